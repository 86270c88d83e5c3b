"""A study on Slurm whose jobs and whose Snakemake are ended goes on by the same command."""

from __future__ import annotations

import os
import signal
import time

import cluster as pretend
import pytest
from studies import (
    LIMIT,
    SLURM,
    at_work,
    finish,
    hold,
    log_of,
    release,
    slow_down,
    states,
    status,
    tables,
)

pytestmark = pytest.mark.slow

RUNS = (
    "MOOD/baseline/default/seed-1",
    "SAME/baseline/default/seed-1",
    "MOOD+SAME/addition/default/seed-1",
    "MOOD+SAME/pcgrad/default/seed-1",
)
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


@pytest.fixture
def held(project):
    """The project, with every run held."""
    slow_down(project)
    hold(project, *RUNS)
    return project


def keep_accounts(cluster, project) -> None:
    """Let Snakemake find accounts, by which the plugin alone would wait for ever for a cancelled
    job."""
    sacct = project.folder / "bin" / "sacct"
    sacct.parent.mkdir()
    sacct.write_text(SACCT)
    sacct.chmod(0o755)
    project.environment["PATH"] = f"{sacct.parent}:{cluster.environment['PATH']}"


def end_time_is_over(cluster, job: str) -> None:
    """Let a job's time limit be reached: the shortest one to ask for is a minute."""
    cluster.ask("scontrol", "update", f"jobid={job}", "endtime=now")


def goes_on_after(project, run: str) -> int:
    """The step after which the latest try at a run went on."""
    _, found, rest = log_of(project, run).partition("goes on after step ")
    assert found, f"{run} started from nothing"
    return int(rest.split()[0])


def nothing_is_left(cluster, project) -> None:
    """No job, no lock, no checkpoint."""
    assert not cluster.ask("squeue", "-h", "-o", "%i %T")
    assert not list((project.folder / ".snakemake" / "locks").glob("*.lock"))
    assert not list((project.folder / "results" / "runs").glob(".checkpoints/*/*step-*"))


def test_jobs_that_are_cancelled_too_late_or_killed(cluster, held, undisturbed):
    project = held
    keep_accounts(cluster, project)
    command = (*SLURM, "--retries", "1", "--", "tables")
    process = project.start(*command)
    tries: dict[str, list[dict]] = {}
    while process.poll() is None:
        for run, beat in at_work(project).items():
            job = beat["slurm_job"]
            if any(job == one["slurm_job"] for one in tries.get(run, [])):
                continue
            tries.setdefault(run, []).append(beat)
            role = list(tries).index(run)
            if role == 0:  # cancelled once
                release(project, run)
                cluster.ask("scancel", job)
            elif role == 1:  # out of time as often as it is tried
                end_time_is_over(cluster, job)
            elif role == 2:  # as the kernel kills what takes too much memory
                os.kill(beat["pid"], signal.SIGKILL)
            else:
                release(project, run)
        time.sleep(0.2)
    said = project.said
    assert process.returncode == 1, said
    assert set(tries) == set(RUNS), said
    cancelled, late, killed, alone = tries
    ends = cluster.states()
    assert [ends[beat["slurm_job"]] for beat in tries[late]] == ["TIMEOUT"] * 2
    assert [ends[beat["slurm_job"]] for beat in tries[killed]] == ["FAILED"] * 2
    assert ends[tries[cancelled][0]["slurm_job"]] == "CANCELLED"
    assert len(ends) == 7

    # The cancelled run was retried and went on; the others failed for good, and it is told why.
    finished = project.records()
    assert set(finished) == {cancelled, alone}
    assert goes_on_after(project, cancelled) >= 3
    once = goes_on_after(project, late)
    assert once >= 3
    texts = {
        late: ["stopped by TERM after step", "ended TIMEOUT: its time limit", "raise runtime in"],
        killed: ["was killed while it trained", "memory was not enough; raise mem_mb in"],
    }
    told, shown = states(project), status(project)
    for run, words in texts.items():
        (line,) = (line for line in said.splitlines() if line.startswith(f"{run}: "))
        assert told[run]["state"] == "failed"
        for word in [*words, "slurm/config.yaml"]:
            assert word in line
            assert word in told[run]["reason"]
            assert word in shown
            assert word in " ".join(project.page.split())
    assert "2 of 4 runs of study 'tiny' failed" in said

    release(project)
    finish(project, project.start(*command))
    assert goes_on_after(project, late) > once
    after = project.records()
    assert set(after) == set(RUNS)
    assert finished.items() <= after.items()
    assert tables(project) == undisturbed
    nothing_is_left(cluster, project)


def test_a_snakemake_that_is_killed_and_one_that_is_terminated(cluster, held, undisturbed):
    project = held
    command = (*SLURM, "--jobs", "2", "--", "tables")
    other = cluster.submit("sleep 600", "--gpus=1", "--mem=100")
    killed = project.start(*command)
    pretend.wait_for("a training at work", lambda: at_work(project))
    pretend.wait_for("a waiting job", lambda: "PENDING" in cluster.states().values())
    ((first, beat),) = at_work(project).items()
    killed.kill()
    killed.wait()

    # Its jobs are still there, and who looks is told so.
    jobs = set(cluster.states()) - {other}
    assert sorted(cluster.states()[job] for job in jobs) == ["PENDING", "RUNNING"]
    told = states(project)
    assert told[first]["state"] == "running"
    assert told[first]["slurm_job"] == beat["slurm_job"]
    assert [run["state"] for run in told.values()].count("waiting") == 3
    assert f"Slurm job {beat['slurm_job']}" in status(project)

    again = project.start(*command)
    pretend.wait_for(
        "the end of the jobs that were left",
        lambda: all(cluster.states()[job] == "CANCELLED" for job in jobs),
    )
    assert f"process {killed.pid}" in project.said
    assert "was killed; its lock is removed, its finished runs are kept" in project.said
    (line,) = (line for line in project.said.splitlines() if "are still there" in line)
    assert line.startswith("2 Slurm jobs of the snakemake that was killed")
    assert all(job in line for job in jobs)
    assert cluster.states()[other] == "RUNNING"
    cluster.ask("scancel", other)

    # It submits nothing more, waits for its two jobs and ends.
    pretend.wait_for("two trainings at work", lambda: len(at_work(project)) == 2)
    working = set(at_work(project))
    again.send_signal(signal.SIGTERM)
    pretend.wait_for("a word", lambda: "Will exit after finishing currently" in project.said)
    assert again.poll() is None
    release(project)
    assert again.wait(LIMIT) == 1
    assert "The same command goes on with what is missing." in project.said
    assert "are still there" not in project.said.partition("Will exit after")[2]
    assert not cluster.ask("squeue", "-h", "-o", "%i %T")
    assert not list((project.folder / ".snakemake" / "locks").glob("*.lock"))
    finished = project.records()
    assert set(finished) == working
    assert first in working
    assert goes_on_after(project, first) >= 3

    cluster.forget()
    finish(project, project.start(*command))
    assert list(cluster.states().values()) == ["COMPLETED"] * 2
    after = project.records()
    assert set(after) == set(RUNS)
    assert finished.items() <= after.items()
    assert tables(project) == undisturbed
    assert {run["state"] for run in states(project).values()} == {"done"}
    nothing_is_left(cluster, project)
