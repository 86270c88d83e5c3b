"""A study that is interrupted on one machine goes on by the same command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from weightwise.files import read_json

TABLES = ("scores", "changes", "arms", "best", "predictions")


def wait_for(condition, seconds: float = 120) -> None:
    """Until it holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)


def start(project) -> subprocess.Popen:
    """Snakemake in the background, in a process group of its own."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "study.yaml"]
    command += ["--", "tables"]
    with (project.folder / "output.txt").open("w") as output:  # a pipe would wait for orphans
        return subprocess.Popen(
            command,
            cwd=project.folder,
            env=os.environ | project.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def beats(project) -> list[dict]:
    """Signs of life of trainings that are under way."""
    found = (project.folder / "results" / "tiny" / "running").rglob("*.json")
    facts = [read_json(path) for path in found]
    return [one for one in facts if one and one["steps"]]


def tables(project) -> dict[str, bytes]:
    folder = project.folder / "results" / "tiny" / "tables"
    return {name: (folder / f"{name}.parquet").read_bytes() for name in TABLES}


def slowly(project) -> None:
    """Make every step take a while, without changing a result or the training code's digest."""
    (project.package / "train" / "heartbeat.py").write_text(
        (project.package / "train" / "heartbeat.py")
        .read_text()
        .replace(
            'self.facts["step"], self.facts["epoch"] = number, epoch',
            'self.facts["step"], self.facts["epoch"] = number, epoch; '
            '(time.sleep(0.1), self._write()) if os.environ.get("SLOWLY") else None',
        )
    )
    project.environment["SLOWLY"] = "1"


@pytest.fixture(scope="module")
def expected():
    """Filled by the first test that ends a study undisturbed."""
    return {}


@pytest.mark.parametrize("how", ["KILL", "TERM", "INT"])
def test_an_interrupted_study_ends_with_the_same_tables(project, how, expected):
    project.write(seeds=[1], runs_per_job=3, training=project.study["training"] | {"epochs": 8})
    if not expected:
        done = project.snakemake("--", "tables")
        assert done.returncode == 0, done.stderr
        expected.update(tables(project))
        for folder in ("results", ".snakemake"):
            shutil.rmtree(project.folder / folder)
    slowly(project)
    snakemake = start(project)
    wait_for(lambda: any(beat["step"] > 10 for beat in beats(project)))
    working = {beat["pid"]: beat["id"] for beat in beats(project)}
    finished = project.records()
    status = subprocess.run(
        [sys.executable, "-m", "weightwise", "status", "tiny", "--json"],
        cwd=project.folder,
        env=os.environ | project.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(status.stdout)
    assert {run["id"] for run in told["runs"] if run["state"] == "running"} & set(working.values())
    if how == "KILL":
        snakemake.kill()
    else:  # as a terminal or a shutting-down machine does it: everybody is told
        os.killpg(snakemake.pid, getattr(signal, f"SIG{how}"))
    assert snakemake.wait(timeout=120) != 0
    output = (project.folder / "output.txt").read_text()
    if how != "KILL":
        assert "stopped by" in output
        assert not any(psutil.pid_exists(pid) for pid in working)
    del project.environment["SLOWLY"]
    again = project.snakemake("--", "tables")
    assert again.returncode == 0, again.stderr
    if how == "KILL":
        assert "was killed; its lock is removed" in again.stderr
        assert "stopping them. They go on from their checkpoints" in again.stderr
    assert not any(psutil.pid_exists(pid) for pid in working)
    # What was finished stayed, what was under way went on, what came out is the same.
    after = project.records()
    assert finished.items() <= after.items()
    logs = [p.read_text() for p in (project.folder / "results" / "tiny" / "logs").rglob("*.log")]
    assert sum("goes on after step" in text for text in logs) >= 1
    assert tables(project) == expected
    assert not list((project.folder / "results" / "runs").glob(".checkpoints/*/step-*"))


def test_a_folder_that_a_living_snakemake_works_in_is_left_alone(project):
    project.write(seeds=[1])
    slowly(project)
    snakemake = start(project)
    wait_for(lambda: beats(project))
    second = project.snakemake("--", "tables")
    assert second.returncode != 0
    assert f"works on this study on {beats(project)[0]['host']} (process {snakemake.pid}" in (
        second.stderr
    )
    assert "if it is dead: snakemake --unlock" in second.stderr
    assert snakemake.poll() is None
    os.killpg(snakemake.pid, signal.SIGTERM)
    snakemake.wait(timeout=120)


def test_runs_side_by_side_in_one_job_give_the_same_tables(project, tmp_path):
    project.write(seeds=[1], groupings=[["MOOD", "SAME"]], alphas=[0.3], runs_per_job=5)
    assert project.snakemake("--", "tables").returncode == 0
    one_by_one = tables(project)
    first = project.records()
    project.write(runs_side_by_side=2)
    dry = project.snakemake("-n", "--", "tables")
    assert "Nothing to be done" in dry.stdout + dry.stderr
    assert project.records() == first
    done = project.snakemake("--config", f"results={tmp_path / 'elsewhere'}", "--", "tables")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "elsewhere" / "tiny" / "tables"
    assert {name: (folder / f"{name}.parquet").read_bytes() for name in TABLES} == one_by_one
