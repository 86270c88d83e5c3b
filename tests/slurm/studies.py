"""Studies on Slurm: how they are started, slowed down, watched and compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tiny_study import Project
from weightwise.files import read_json

SLURM = ("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1")
LIMIT = 240
# Snakemake with nothing changed but how soon it looks at its jobs: by itself the plugin waits ten
# seconds longer after every look without news.
OFTEN = """\
import asyncio
import snakemake_executor_plugin_slurm
from snakemake.cli import main

async def soon(self):
    await asyncio.sleep(1)

snakemake_executor_plugin_slurm.Executor.sleep = soon
main()
"""
# They tell how long something took.
TIMES = ("timings.parquet", "costs.parquet", "cost_ratios.parquet", "step_times.parquet")
STEP = 'self.facts["step"], self.facts["epoch"] = number, epoch'


def command(*arguments: str) -> list[str]:
    """Snakemake on the tiny study, looking often."""
    return [sys.executable, "-c", OFTEN, "--configfile", "study.yaml", *arguments]


def finish(project: Project, process) -> None:
    """Wait for a Snakemake that should end well."""
    assert process.wait(LIMIT) == 0, project.said


def tables(project: Project) -> dict[str, bytes]:
    """Every table of a study that must not depend on where and how it was computed."""
    results = project.folder / "results"
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in results.rglob("*.parquet")
        if path.name not in TIMES
    }


def slow_down(project: Project) -> None:
    """Let a step take a second in runs that `hold` names; no result and no digest of the training
    code changes by it."""
    heartbeat = project.package / "train" / "heartbeat.py"
    text = heartbeat.read_text()
    assert text.count(STEP) == 1
    held = 'Path("held", self.facts["id"].replace("/", "_")).exists()'
    heartbeat.write_text(
        text.replace(STEP, f"{STEP}; (time.sleep(1), self._write()) if {held} else None")
    )
    (project.folder / "held").mkdir()


def hold(project: Project, *runs: str) -> None:
    """Let these runs, given by id, take a second for each step."""
    for run in runs:
        (project.folder / "held" / run.replace("/", "_")).touch()


def release(project: Project, *runs: str) -> None:
    """Let these runs go on at their own pace; without any: all."""
    for path in list((project.folder / "held").iterdir()):
        if not runs or path.name in {run.replace("/", "_") for run in runs}:
            path.unlink()


def at_work(project: Project) -> dict[str, dict]:
    """Signs of life of the runs that are trained just now and have taken a few steps, by id."""
    found = {}
    for path in (project.folder / "results" / "tiny" / "running").rglob("*.json"):
        beat = read_json(path)
        if (
            beat
            and beat["step"] >= beat["start_step"] + 3
            and Path(f"/proc/{beat['pid']}").exists()
        ):
            found[beat["id"]] = beat
    return found


def log_of(project: Project, run: str) -> str:
    """The log of the latest try at a run."""
    (path,) = (project.folder / "results" / "tiny" / "logs").glob(f"{run}-*.log")
    return path.read_text()


def status(project: Project, *options: str) -> str:
    """What `weightwise status` says, typed in another shell."""
    done = subprocess.run(
        [sys.executable, "-m", "weightwise", "status", "tiny", *options],
        cwd=project.folder,
        env=os.environ | project.environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def states(project: Project) -> dict[str, dict]:
    """What `weightwise status --json` says of every run, by id."""
    return {run["id"]: run for run in json.loads(status(project, "--json"))["runs"]}
