"""Slurm jobs of a Snakemake that is gone: only its own ones are cancelled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weightwise import invocation
from weightwise.files import read_json, write_json
from weightwise.layout import Layout


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A queue in a file, of which scancel takes jobs; gives the layout of a study in the folder."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    scripts = {
        "squeue": f"cat {tmp_path}/queue",
        "scancel": f'shift; for job in "$@"; do echo "$job" >> {tmp_path}/cancelled; '
        f'sed -i "/^$job\t/d" {tmp_path}/queue; done',
    }
    for name, script in scripts.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    rows = [("1", "RUNNING", "mine"), ("2", "PENDING", "mine"), ("3", "RUNNING", "another's")]
    text = "".join(f"{n}\t{state}\t{name}\t{tmp_path}\trule_train_{n}\n" for n, state, name in rows)
    (tmp_path / "queue").write_text(text)
    return Layout("tiny", Path("results"), Path("reports"))


def cancelled() -> list[str]:
    path = Path("cancelled")
    return path.read_text().split() if path.exists() else []


def test_jobs_of_a_killed_snakemake_are_named_and_cancelled(queue, capsys):
    invocation.begin(queue, Path("study.yaml"), [], "slurm", "mine")
    invocation.stop_orphans(queue)
    assert cancelled() == ["1", "2"]
    said = capsys.readouterr().err
    assert f"2 Slurm jobs of the snakemake that was killed (process {os.getpid()} on " in said
    assert "are still there: 1, 2; cancelling them" in said


def test_one_that_ended_left_nothing_behind(queue, capsys):
    invocation.begin(queue, Path("study.yaml"), [], "slurm", "mine")
    invocation.end(queue)
    invocation.stop_orphans(queue)
    assert cancelled() == []
    assert capsys.readouterr().err == ""


def test_jobs_that_the_ending_one_lost_sight_of_are_cancelled(queue, capsys):
    invocation.begin(queue, Path("study.yaml"), [], "slurm", "mine")
    invocation.stop_jobs_left(queue)
    assert cancelled() == ["1", "2"]
    assert "2 Slurm jobs of this command are still there: 1, 2" in capsys.readouterr().err


def test_jobs_that_are_ending_are_waited_for_without_a_word(queue, capsys, monkeypatch):
    monkeypatch.setattr(invocation, "GRACE", 0.0)
    path = Path("queue")
    lines = [line for line in path.read_text().splitlines(True) if "\tmine\t" in line]
    path.write_text(lines[0].replace("RUNNING", "COMPLETING"))
    invocation.begin(queue, Path("study.yaml"), [], "slurm", "mine")
    invocation.stop_jobs_left(queue)
    assert cancelled() == []
    assert capsys.readouterr().err == ("Slurm has not ended 1 in 0 seconds; see `squeue --me`\n")


def test_a_note_without_the_name_of_the_jobs_means_all_of_the_folder(queue):
    invocation.begin(queue, Path("study.yaml"), [], "slurm", None)
    note = read_json(queue.invocation)
    del note["slurm_run"]
    write_json(queue.invocation, note)
    invocation.stop_orphans(queue)
    assert cancelled() == ["1", "2", "3"]


def test_here_no_job_is_cancelled(queue):
    invocation.begin(queue, Path("study.yaml"), [], "local", None)
    invocation.stop_orphans(queue)
    invocation.stop_jobs_left(queue)
    assert cancelled() == []
