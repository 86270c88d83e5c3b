"""`weightwise status`: where every run is, from files alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import psutil
import pytest
from core_helpers import make_study
from rich.console import Console

from weightwise.errors import UserError
from weightwise.files import write_json, write_text
from weightwise.layout import Layout
from weightwise.progress import last_line, study_progress, study_status
from weightwise.status import as_json, named_study, render
from weightwise.train.failure import failure
from weightwise.train.heartbeat import Heartbeat
from weightwise.train.resumable import Progress
from weightwise.train.run import execute


def shown(study) -> str:
    """What the command prints."""
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(render(study.study.name, study_status(study.study, study.layout)))
    return console.export_text()


def state_of(study, run) -> str:
    states = {one.id: one.state for one in study_status(study.study, study.layout).runs}
    return states[run.id]


def beat_file(study, run):
    return study.layout.running(run, study.grid.fingerprint(run))


def beat(study, run, **changes) -> None:
    """A sign of life of this very process, but for the changes."""
    facts = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "created": psutil.Process().create_time(),
        "slurm_job": None,
        "started": time.time() - 100,
        "written": time.time(),
        "start_step": 0,
        "step": 5,
        "steps": 10,
        "epoch": 1,
    }
    write_json(beat_file(study, run), facts | changes)


def test_before_the_data_are_prepared_everything_waits(tiny_folder, tmp_path):
    study = make_study(tiny_folder)
    found = study_status(study, Layout("tiny", tmp_path))
    assert not found.prepared
    assert {one.state for one in found.runs} == {"waiting"}
    assert found.eta is None
    assert found.elapsed is None


def test_every_state(prepared):
    study = prepared()
    done, running, failed, stopped, *_ = study.grid.runs
    execute(study, done)
    beat(study, running, slurm_job="12")
    write_text(study.log(failed), "run ...\nTraceback\nMemoryError: no room [for] this\n\n")
    write_json(study.failed(failed), failure(failed.id, None, UserError("out of room"), "log"))
    write_json(
        study.failed(stopped),
        {"id": stopped.id, "error": "stopped by TERM after step 3 of 9", "stopped": True},
    )
    found = study_status(study.study, study.layout)
    states = {one.id: one.state for one in found.runs}
    assert [states[r.id] for r in (done, running, failed, stopped)] == [
        "done",
        "running",
        "failed",
        "stopped",
    ]
    assert set(states[r.id] for r in study.grid.runs[4:]) == {"waiting"}
    text = shown(study)
    assert f"{len(study.grid.runs)} runs: 1 done, 1 running" in text
    assert "1 stopped, 1 failed" in text
    assert "5 of 10" in text
    assert "Slurm job 12" in text
    assert "out of room" in text
    assert "MemoryError: no room [for] this" in text
    data = as_json("tiny", found)
    json.dumps(data)
    assert data["counts"]["failed"] == 1
    entry = next(r for r in data["runs"] if r["id"] == failed.id)
    assert entry["last_line"] == "MemoryError: no room [for] this"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "running"),
        ({"created": 1.0}, "waiting"),  # another process has the number now
        ({"pid": 2**22 + 1}, "waiting"),
        ({"host": "elsewhere"}, "running"),
        ({"host": "elsewhere", "written": time.time() - 3600}, "waiting"),
        ({"pid": "x"}, "waiting"),
    ],
)
def test_signs_of_life_are_believed_only_while_they_can_be_true(prepared, changes, state):
    study = prepared()
    run = study.grid.runs[0]
    beat(study, run, **changes)
    assert state_of(study, run) == state


def test_a_retried_run_that_failed_before_counts_as_running(prepared):
    study = prepared()
    run = study.grid.runs[0]
    write_json(study.failed(run), failure(run.id, None, UserError("killed"), "log"))
    assert state_of(study, run) == "failed"
    beat(study, run)
    assert state_of(study, run) == "running"


def test_eta_from_the_running_runs_while_few_are_done(prepared):
    study = prepared()
    first = study.grid.runs[0]
    now = time.time()
    beat(study, first, started=now - 100, written=now, step=5, steps=10)
    found = study_status(study.study, study.layout)
    left = sum(len(run.group) for run in study.grid.runs) - 0.5 * len(first.group)
    # half a run of that many tasks in 100 seconds
    assert found.eta == pytest.approx(left / (0.5 * len(first.group) / 100), rel=1e-6)


def test_eta_from_finished_runs_survives_a_pause(prepared):
    study = prepared()
    runs = study.grid.runs[:8]
    for i, run in enumerate(runs):
        record = {"status": "done", "key": study.key(run), "id": run.id, "scores": {}}
        write_json(study.folder(run) / "run.json", record)
        at = 1_000_000 + 10 * i + (50_000 if i >= 1 else 0)
        os.utime(study.folder(run) / "run.json", (at, at))
    left = sum(len(r.group) for r in study.grid.runs[8:])
    per_second = sum(len(r.group) for r in runs[2:]) / 60
    text = study_progress(study)
    assert text.startswith(f"8 of {len(study.grid.runs)} runs done, ETA ")
    found = study_status(study.study, study.layout)
    assert found.eta is None  # nothing is running
    beat(study, study.grid.runs[8], step=0)
    found = study_status(study.study, study.layout)
    assert found.eta == pytest.approx(left / per_second, rel=1e-6)


def test_a_heartbeat_says_what_the_loop_says_and_goes(prepared):
    study = prepared()
    run = study.grid.runs[0]
    with Heartbeat(beat_file(study, run), run.id, Progress()) as beats:
        assert state_of(study, run) == "running"
        execute(study, run, beats)
        assert beats.facts["step"] == beats.facts["steps"] > 0
    assert not beat_file(study, run).exists()


def test_a_study_is_found_by_the_name_it_was_started_under(tmp_path):
    write_json(tmp_path / "mine" / "invocation.json", {"study": "a.yaml", "set": ["seeds=[1]"]})
    assert [str(x) for x in named_study("mine", tmp_path)[:1]] == ["a.yaml"]
    with pytest.raises(UserError, match=r"other: no such file, .* started were mine"):
        named_study("other", tmp_path)


def test_last_line_of_hostile_logs(tmp_path):
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_bytes(b"\xff\xfe bad bytes \n\n   \n")
    assert last_line(log).endswith("bad bytes")
    log.write_bytes(b"x" * 100_000 + b"\nlast\n")
    assert last_line(log) == "last"


def test_status_imports_no_torch():
    code = (
        "import sys, weightwise.status, weightwise.progress, weightwise.invocation\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
