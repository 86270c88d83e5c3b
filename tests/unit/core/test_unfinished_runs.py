"""Why runs did not finish, when Slurm knows more than what they left."""

from __future__ import annotations

import os
import socket

import psutil
import pytest

from weightwise import unfinished
from weightwise.errors import UserError
from weightwise.files import write_json
from weightwise.slurm import End
from weightwise.train.failure import failure
from weightwise.train.resumable import Stopped
from weightwise.train.run import execute

ENDS = {
    "1": End("Slurm job 1 ended TIMEOUT: raise runtime", plain=False),
    "2": End("Slurm job 2 ended OUT_OF_MEMORY: raise mem_mb", plain=False),
    "3": End("Slurm job 3 ended FAILED: exit code 1; its log tells why", plain=True),
    "4": None,
}


@pytest.fixture
def asked(monkeypatch):
    """The jobs that Slurm is asked about."""
    jobs = []

    def explain_end(job: str) -> End | None:
        jobs.append(job)
        return ENDS[job]

    monkeypatch.setattr(unfinished, "explain_end", explain_end)
    return jobs


def leave(study, run, error: Exception, job: str | None, **more) -> None:
    """The note that a run leaves."""
    note = failure(run.id, None, error, study.log(run))
    write_json(study.failed(run), note | {"slurm_job": job} | more)


def marker(study, run) -> str:
    return str(study.layout.done(run, study.grid.fingerprint(run)))


def test_a_run_stopped_by_its_jobs_time_limit_failed_once_it_is_given_up(prepared, asked):
    study = prepared()
    run = study.grid.runs[0]
    leave(study, run, Stopped("stopped by TERM after step 3 of 9"), "1")
    (note,) = unfinished.notes(study)
    words = "stopped by TERM after step 3 of 9; Slurm job 1 ended TIMEOUT: raise runtime"
    assert note["error"] == words
    assert note["stopped"]
    (note,) = unfinished.notes(study, {marker(study, run)})
    assert not note["stopped"]
    assert note["error"] == words
    assert asked == ["1"], "Slurm is asked once"
    assert study.failure(run) == note


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ("2", "Slurm job 2 ended OUT_OF_MEMORY: raise mem_mb"),
        ("3", "killed, perhaps for memory"),
        ("4", "killed, perhaps for memory"),
    ],
)
def test_of_a_killed_run_slurm_knows_more_or_nothing(prepared, asked, job, expected):
    study = prepared()
    leave(study, study.grid.runs[0], UserError("killed, perhaps for memory"), job, killed=True)
    (note,) = unfinished.notes(study)
    assert note["error"] == expected
    assert asked == [job]


def test_an_error_of_the_training_is_told_alone(prepared, asked):
    study = prepared()
    leave(study, study.grid.runs[0], UserError("out of range"), "3")
    leave(study, study.grid.runs[1], UserError("out of luck"), None)
    assert [note["error"] for note in unfinished.notes(study)] == ["out of range", "out of luck"]
    assert asked == ["3"]


def test_a_job_that_ended_before_its_training_began(prepared, asked):
    study = prepared()
    done, never, *_ = study.grid.runs
    execute(study, done)
    (note,) = unfinished.notes(study, {marker(study, done), marker(study, never)})
    assert note["id"] == never.id
    assert "before this training began" in note["error"]
    assert not note["stopped"]
    assert study.failure(never) == note
    assert asked == []


def test_a_run_that_is_under_way_has_not_ended(prepared, asked):
    study = prepared()
    run = study.grid.runs[0]
    leave(study, run, UserError("killed"), "1", killed=True)
    beat = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "created": psutil.Process().create_time(),
    }
    write_json(study.layout.running(run, study.grid.fingerprint(run)), beat)
    assert unfinished.notes(study) == []
    assert asked == []
