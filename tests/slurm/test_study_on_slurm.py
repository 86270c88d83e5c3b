"""A whole study through `snakemake --profile slurm`, with what happens to clusters on the way."""

from __future__ import annotations

import time
from pathlib import Path

import cluster as pretend
import pytest

from tiny_study import Project, make_project

pytestmark = pytest.mark.slow

# Changes nothing but how soon Snakemake looks.
SLURM = ("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1")
LIMIT = 240
RUNNING = ("squeue", "-h", "-t", "running,completing", "-O", "JobID,tres-per-job:40")


def finish(project: Project, process) -> None:
    """Wait for a Snakemake that should end well."""
    assert process.wait(LIMIT) == 0, project.said


def tables(project: Project) -> dict[str, bytes]:
    """Every table of a study that must not depend on where it was computed."""
    results = project.folder / "results"
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in results.rglob("*.parquet")
        if path.name not in ("timings.parquet", "costs.parquet")
    }


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


def test_the_documented_command_runs_the_study_through_slurm(cluster, project, tmp_path):
    project.write(combiners=["addition", "pcgrad"])
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

    # In packs nothing is due again.
    project.write(runs_per_job=2)
    again = project.snakemake(*SLURM, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr

    here = tmp_path / "here"
    here.mkdir()
    local = make_project(here)
    local.environment |= project.environment | {"PYTHONPATH": str(here / "src")}
    local.write(**project.study | {"runs_per_job": 1})
    assert local.snakemake("tables").returncode == 0
    there = tables(project)
    assert there == tables(local)
    assert len(there) > 20


def test_a_job_that_fails_is_tried_again_and_its_log_is_where_the_message_says(cluster, project):
    project.write(groupings=[["MOOD"]])
    tried = fail_once(project)
    finish(project, project.start(*SLURM, "trained"))
    assert len(list(tried.iterdir())) == 1
    logs = list((project.folder / "results" / "slurm" / "rule_train").rglob("*.log"))
    texts = "\n".join(log.read_text() for log in logs)
    assert sorted(cluster.states().values()) == ["COMPLETED", "FAILED"], texts
    assert len(project.records()) == 1
    (log,) = logs
    assert str(log) in project.said
    assert "the first try fails" in log.read_text()


def test_jobs_wait_for_a_drained_node(cluster, project):
    project.write(groupings=[["MOOD"]])
    cluster.node("drain")
    process = project.start(*SLURM, "trained")
    pretend.wait_for("a waiting training", lambda: "PENDING" in cluster.states().values())
    assert "Slurm cannot start the trainings now" in project.said
    assert not project.records()
    cluster.node("resume")
    finish(project, process)
    assert len(project.records()) == 1


def test_a_restart_of_the_controller_costs_no_run(cluster, project):
    process = project.start(*SLURM, "trained")
    pretend.wait_for("a training at work", project.trainings)
    cluster.stop_controller()
    # At least one look of Snakemake finds nobody there.
    logs = project.folder / "results" / "runs"
    pretend.wait_for("a finished run", lambda: list(logs.glob("*/run.json")))
    cluster.start_controller()
    finish(project, process)
    # A controller that is just up does not know the node's GPUs yet and may turn down a job's step:
    # such a job is tried again, none is trained twice.
    states = list(cluster.states().values())
    assert states.count("COMPLETED") == 3
    assert set(states) <= {"COMPLETED", "FAILED"}
    assert len(project.records()) == 3


SACCT = """\
#!/bin/sh
# Accounts as far as the plugin asks, from what squeue knows: `CANCELLED by 0` as sacct says it.
name=
while [ $# -gt 0 ]; do
  if [ "$1" = --name ]; then name=$2; fi
  shift
done
if [ -n "$name" ]; then
  squeue --noheader --states=all --format='%i|%T' --name "$name" | sed 's/CANCELLED/CANCELLED by 0/'
fi
"""


def test_a_job_cancelled_by_hand_is_noticed_and_tried_again(cluster, project):
    """By accounts, where the plugin alone would wait for ever for `CANCELLED by 0`."""
    sacct = project.folder / "bin" / "sacct"
    sacct.parent.mkdir()
    sacct.write_text(SACCT)
    sacct.chmod(0o755)
    project.environment["PATH"] = f"{sacct.parent}:{cluster.environment['PATH']}"
    project.write(groupings=[["MOOD"]])
    process = project.start(*SLURM, "trained")
    pretend.wait_for("a training at work", project.trainings)
    (number,) = cluster.states()
    cluster.ask("scancel", number)
    finish(project, process)
    assert sorted(cluster.states().values()) == ["CANCELLED", "COMPLETED"]
    assert len(project.records()) == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("slurm_partition=gpus", ["slurm_partition: gpus", "one of: brief, main"]),
        ("gpu=3", ["gpu: 3", "gpu:fake:2", "slurm/config.yaml"]),
    ],
)
def test_a_refused_request_is_told_before_anything_runs(cluster, project, wrong, words):
    done = project.snakemake(*SLURM, "--default-resources", wrong)
    assert done.returncode == 1
    for word in [*words, "Slurm refuses the trainings", "WorkflowError"]:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not cluster.states()
    assert not (project.folder / "results").exists() or not project.records()
    # Nothing stays locked: the mended command runs at once.
    assert project.snakemake(*SLURM, "-n").returncode == 0
