"""A whole study through `snakemake --profile slurm`, with what happens to clusters on the way."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cluster as pretend
import pytest
from studies import SLURM, finish, tables

from tiny_study import Project

pytestmark = pytest.mark.slow

RUNNING = ("squeue", "-h", "-t", "running,completing", "-O", "JobID,tres-per-job:40")


def fail_once(project: Project) -> Path:
    """Let the first try at each single task's training end with an error."""
    inputs = project.package / "train" / "inputs.py"
    head, docstring, rest = inputs.read_text().partition(
        '        """The untrained model of a run."""\n'
    )
    assert docstring
    tried = project.folder / "tried"
    tried.mkdir()
    failure = (
        "        from pathlib import Path\n"
        f"        mark = Path({str(tried)!r}) / run.id.replace('/', '_')\n"
        "        if run.id.startswith('MOOD/') and not mark.exists():\n"
        "            mark.touch()\n"
        "            raise RuntimeError('the first try fails')\n"
    )
    inputs.write_text(head + docstring + failure + rest)
    return tried


def test_the_documented_command_runs_the_study_through_slurm(cluster, project, undisturbed):
    process = project.start(*SLURM)
    most, devices, waited = 0, {}, False
    while process.poll() is None:
        running = cluster.ask(*RUNNING).splitlines()
        assert all("gpu:1" in line for line in running), running
        most = max(most, len(running))
        waited = waited or "PENDING" in cluster.states().values()
        now = project.trainings()
        seen = {run: one["CUDA_VISIBLE_DEVICES"] for run, one in now.items()}
        assert len(set(seen.values())) == len(seen), f"two trainings on one GPU: {seen}"
        assert all("SLURM_JOB_ID" in one for one in now.values())
        devices |= seen
        time.sleep(0.2)
    finish(project, process)
    assert len(project.records()) == 4
    assert "MOOD" in project.page
    assert most == pretend.GPUS
    assert waited, "four trainings on two GPUs, and none had to wait"
    assert len(devices) == 4
    assert set(devices.values()) == {"0", "1"}
    assert sorted(cluster.states().values()) == ["COMPLETED"] * 4
    assert not list((project.folder / "results" / "slurm").rglob("*.log")), "kept after a success"
    there = tables(project)
    assert there == undisturbed
    assert len(there) > 20

    # In packs nothing is due again.
    project.write(runs_per_job=2)
    again = project.snakemake(*SLURM, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_job_waits_for_a_node_fails_and_is_tried_again(cluster, project):
    """And its log is where the message says, until it is too old."""
    project.write(groupings=[["MOOD"]])
    tried = fail_once(project)
    logs = project.folder / "results" / "slurm" / "rule_train"
    old, young = logs / "before" / "1.log", logs / "before" / "2.log"
    for path, days in ((old, 31), (young, 29)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, times=(time.time() - 86400 * days,) * 2)
    cluster.node("drain")
    process = project.start(*SLURM, "trained")
    pretend.wait_for("a waiting training", lambda: "PENDING" in cluster.states().values())
    assert "Slurm cannot start the trainings now" in project.said
    assert not list(tried.iterdir())
    cluster.node("resume")
    finish(project, process)
    assert len(list(tried.iterdir())) == 1
    assert not old.exists()
    assert young.exists()
    kept = [path for path in logs.rglob("*.log") if path != young]
    texts = "\n".join(log.read_text() for log in kept)
    assert sorted(cluster.states().values()) == ["COMPLETED", "FAILED"], texts
    assert len(project.records()) == 1
    (log,) = kept
    assert str(log) in project.said
    assert "the first try fails" in log.read_text()


def test_without_gpus_a_restart_of_the_controller_costs_no_run(cluster, project):
    project.write(groupings=[["MOOD"], ["SAME"]])
    wanted = ("--default-resources", "gpu=0", "mem_mb=1000", "runtime=60")
    process = project.start(*SLURM, *wanted, "--", "trained")
    now = pretend.wait_for("a training at work", project.trainings)
    assert all("CUDA_VISIBLE_DEVICES" not in one for one in now.values())
    asked = cluster.ask(*RUNNING)
    assert "N/A" in asked
    assert "gpu" not in asked
    cluster.stop_controller()
    # At least one look of Snakemake finds nobody there, and none of its jobs is forgotten for it.
    store = project.folder / "results" / "runs"
    pretend.wait_for("a finished run", lambda: list(store.glob("*/run.json")))
    pretend.wait_for("a look in vain", lambda: "Falling back to 'sacct'" in project.said)
    cluster.start_controller()
    finish(project, process)
    # A job that starts in those seconds may be turned down: such a job is tried again, none is
    # trained twice.
    ends = list(cluster.states().values())
    assert ends.count("COMPLETED") == 2
    assert set(ends) <= {"COMPLETED", "FAILED"}
    assert len(project.records()) == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("slurm_partition=gpus", ["slurm_partition: gpus", "one of: brief, main"]),
        ("gpu=3", ["gpu: 3", "gpu:fake:2", "slurm/config.yaml"]),
    ],
)
def test_a_refused_request_is_told_in_the_last_line(cluster, project, wrong, words):
    done = project.snakemake(*SLURM, "--default-resources", wrong)
    assert done.returncode == 1
    *before, line = done.stderr.strip().splitlines()
    for word in [*words, "error: Slurm refuses the trainings"]:
        assert word in line
    # Nothing of Python, no lines of the Snakefile around it.
    for word in ("Traceback", "WorkflowError", "File "):
        assert word not in done.stderr
    assert not any("refuses" in one for one in before)
    assert not cluster.states()
    assert not (project.folder / "results").exists() or not project.records()
    # Nothing stays locked: the mended command runs at once.
    assert not list((project.folder / ".snakemake" / "locks").glob("*.lock"))
