"""A run that was stopped goes on as if it had not been."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from core_helpers import make_study, rewrite_tensors
from safetensors.torch import load_file

from weightwise.errors import Diverged
from weightwise.files import read_json, write_json
from weightwise.layout import Layout
from weightwise.tables import Epochs, Steps, read_table
from weightwise.train import checkpoint, loop
from weightwise.train.checkpoint import Checkpoints
from weightwise.train.engine import Engine
from weightwise.train.inputs import Prepared
from weightwise.train.resumable import Progress, Stopped
from weightwise.train.run import execute

TRIPLE = "SEN+PAR+SIM/pcgrad/default/seed-1"
KEYS = {
    "groupings": {"up_to": 3},
    "training": {"epochs": 3, "dropout": 0.3, "clip_norm": 1.0, "learning_rate": 1e-3},
}
TABLES = ("epochs", "steps", "gramians", "predictions")


class After:
    """Asks to stop after so many calls."""

    def __init__(self, steps: int):
        self.left = steps

    def __call__(self) -> str | None:
        self.left -= 1
        return "TERM" if self.left <= 0 else None


class Notes(Progress):
    """Remembers what it is told."""

    def __init__(self):
        self.notes: list[str] = []
        self.steps: list[int] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, number: int, epoch: int, record) -> None:
        self.steps.append(number)


def tables(study, key: str) -> dict[str, bytes]:
    """Bytes of the run's tables."""
    return {name: (study.store.folder(key) / f"{name}.parquet").read_bytes() for name in TABLES}


def without_times(record: dict) -> dict:
    """A record without the checksums of the tables of times."""
    times = ("timings.parquet", "step_times.parquet")
    return record | {"files": {k: v for k, v in record["files"].items() if k not in times}}


@pytest.fixture(scope="module")
def undisturbed(tiny_folder, tmp_path_factory):
    """Tables of the run that was never stopped."""
    layout = Layout("tiny", tmp_path_factory.mktemp("undisturbed"))
    shutil.copytree(tiny_folder / "results", layout.results, dirs_exist_ok=True)
    study = Prepared(make_study(tiny_folder, **KEYS), layout)
    key, _ = execute(study, study.grid.run(TRIPLE))
    return tables(study, key), study.record(study.grid.run(TRIPLE))


def stop_after(study, steps: int) -> None:
    """Train some steps and stop."""
    with pytest.raises(Stopped, match="stopped by TERM after step"):
        execute(study, study.grid.run(TRIPLE), stop=After(steps))


# 41 examples in batches of 8: six steps an epoch. 6 stops between an epoch's last step and its
# scores, 7 after its scores.
@pytest.mark.parametrize("steps", [[1], [4], [6], [7], [9], [3, 2, 5, 1], [19]])
def test_a_stopped_run_ends_with_the_tables_of_one_never_stopped(prepared, undisturbed, steps):
    study = prepared(**KEYS)
    run = study.grid.run(TRIPLE)
    for count in steps:
        stop_after(study, count)
        assert study.record(run) is None
        note = study.failure(run)
        assert note["stopped"]
        assert len(list(study.store.checkpoints(study.key(run)).iterdir())) == 1
    told = Notes()
    key, trained = execute(study, run, told)
    assert trained
    assert told.notes[0].startswith("goes on after step ")
    assert tables(study, key) == undisturbed[0]
    assert without_times(study.record(run)) == without_times(undisturbed[1])
    assert not study.store.checkpoints(key).exists()
    assert study.failure(run) is None


@pytest.mark.parametrize(
    "combiner",
    ["random", "gradattention", "gradattention(sample_fraction=0.5, update=sample)", "mgda"],
)
def test_every_memory_of_a_combiner_is_in_the_checkpoint(prepared, combiner):
    keys = {"groupings": {"up_to": 3}, "combiners": [combiner], "training": {"epochs": 2}}
    whole, stopped = prepared(**keys), prepared(**keys)
    run = next(r for r in whole.grid.runs if len(r.group) == 3)
    key, _ = execute(whole, run)
    with pytest.raises(Stopped):
        execute(stopped, run, stop=After(5))
    again, _ = execute(stopped, run)
    assert again == key
    assert tables(stopped, key) == tables(whole, key)


@pytest.mark.parametrize(
    "training",
    [
        {"schedule": "weakest_last", "epoch_surgery": True},
        {"schedule": "rotating"},
        {"schedule": "round_robin", "trunk_tasks": ["SEN"]},
    ],
)
@pytest.mark.parametrize("steps", [7, 23])
def test_schedules_go_on_where_they_were(prepared, training, steps):
    keys = {
        "groupings": {"up_to": 3},
        "combiners": ["addition"],
        "training": {"epochs": 3} | training,
    }
    whole, stopped = prepared(**keys), prepared(**keys)
    run = next(r for r in whole.grid.runs if len(r.group) == 3)
    key, _ = execute(whole, run)
    with pytest.raises(Stopped):
        execute(stopped, run, stop=After(steps))
    execute(stopped, run)
    assert tables(stopped, key) == tables(whole, key)


def test_steps_are_not_taken_twice(prepared):
    study = prepared(**KEYS)
    stop_after(study, 4)
    told = Notes()
    execute(study, study.grid.run(TRIPLE), told)
    assert told.steps == list(range(5, 19))


def test_a_checkpoint_is_written_every_few_minutes_and_after_epochs(prepared, monkeypatch):
    study = prepared(**KEYS)
    run = study.grid.run(TRIPLE)
    saved = []
    monkeypatch.setattr(Checkpoints, "save", lambda self, training: saved.append(training.step))
    monkeypatch.setattr(Checkpoints, "due", lambda self, epoch_ended: epoch_ended)
    execute(study, run)
    assert saved == [6, 12]  # not after the last: the run is done then
    now = [0.0]
    monkeypatch.undo()
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    kept = Checkpoints(Path("nowhere"), "key", minutes=10)
    kept.size = 6e8  # two seconds by the guess
    now[0] = 50
    assert not kept.due(epoch_ended=True)
    now[0] = 150
    assert kept.due(epoch_ended=True)
    assert not kept.due(epoch_ended=False)
    now[0] = 600
    assert kept.due(epoch_ended=False)


def truncate(place: Path) -> None:
    path = place / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def other_shape(place: Path) -> None:
    def change(tensors):
        name = next(n for n in tensors if n.startswith("model/") and tensors[n].ndim == 2)
        return tensors | {name: torch.zeros(2, 2)}

    (place / "tensors.safetensors").rename(place / "model.safetensors")
    rewrite_tensors(place, change)
    (place / "model.safetensors").rename(place / "tensors.safetensors")


def edit(**changes):
    def apply(place: Path) -> None:
        state = read_json(place / "state.json")
        write_json(place / "state.json", state | changes)

    return apply


def not_json(place: Path) -> None:
    (place / "state.json").write_text("{")


def bad_table(place: Path) -> None:
    (place / "steps.parquet").write_bytes(b"no parquet")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncate, "."),
        (other_shape, r"is torch.float32 \[2, 2\]"),
        (not_json, "state.json is missing, broken"),
        (bad_table, "."),
        (edit(format=0), "of another format"),
        (edit(key="0" * 32), "another run's"),
        (edit(bf16=True), "another precision"),
        (edit(epoch=99), "does not exist in this run"),
        (edit(combiners={"arm": {"generator": {"bit_generator": "MT19937"}}}), "."),
        (edit(weakest="OTHER"), "no task of this run"),
    ],
)
def test_a_spoilt_checkpoint_is_left_aside_with_a_word(prepared, undisturbed, spoil, reason):
    study = prepared(**KEYS)
    run = study.grid.run(TRIPLE)
    stop_after(study, 8)
    (place,) = study.store.checkpoints(study.key(run)).iterdir()
    spoil(place)
    told = Notes()
    key, _ = execute(study, run, told)
    (note,) = told.notes
    assert str(place) in note
    assert "left aside" in note
    assert re.search(reason, note)
    assert told.steps[0] == 1
    assert tables(study, key) == undisturbed[0]


def test_a_checkpoint_is_written_whole_or_not_at_all(prepared, monkeypatch):
    study = prepared(**KEYS)
    run = study.grid.run(TRIPLE)
    stop_after(study, 3)
    folder = study.store.checkpoints(study.key(run))

    def full_disk(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_json", full_disk)
    with pytest.raises(OSError, match="No space left"):
        execute(study, run, stop=After(3))
    assert [p.name for p in folder.iterdir()] == ["step-3"]
    monkeypatch.undo()
    told = Notes()
    execute(study, run, told)
    assert told.steps[0] == 4


def test_what_a_checkpoint_holds_can_be_read_without_unpickling(prepared):
    study = prepared(**KEYS)
    run = study.grid.run(TRIPLE)
    stop_after(study, 8)
    (place,) = study.store.checkpoints(study.key(run)).iterdir()
    assert sorted(p.suffix for p in place.iterdir()) == [".json"] + [".parquet"] * 5 + [
        ".safetensors"
    ]
    tensors = load_file(place / "tensors.safetensors")
    assert {name.partition("/")[0] for name in tensors} >= {"model", "optimiser", "dropout"}
    state = json.loads((place / "state.json").read_text())
    assert (state["epoch"], state["taken"]) == (2, 1)


def test_a_diverged_run_keeps_its_tables(prepared, monkeypatch):
    study = prepared(**KEYS)
    run = study.grid.run(TRIPLE)
    whole = Engine.step

    def step(self, batches, number):
        if number == 8:
            raise Diverged("the loss of task PAR is nan")
        return whole(self, batches, number)

    monkeypatch.setattr(loop.Engine, "step", step)
    with pytest.raises(Diverged, match="PAR is nan in step 8 of 18"):
        execute(study, run)
    kept = study.layout.failed_tables(run, study.grid.fingerprint(run))
    assert read_table(kept / "steps.parquet", Steps)["step"].max() == 7
    assert read_table(kept / "epochs.parquet", Epochs)["epoch"].max() == 1
    monkeypatch.undo()
    execute(study, run)
    assert not kept.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_run_write_its_checkpoint(prepared, undisturbed, number, tmp_path):
    """The real command in a process of its own, stopped in the middle and started again."""
    study = prepared(**KEYS)
    run = study.grid.run(TRIPLE)
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study.study.model_dump(mode="json"), sort_keys=False))
    command = [sys.executable, "-m", "weightwise.train", TRIPLE, "--study", str(file), "--log"]
    command += ["--results", str(study.layout.results)]
    # Stops itself at a known step, so that the test waits for nothing.
    code = (
        "import os, sys\n"
        "from weightwise.train import loop, __main__\n"
        "whole = loop.Training._keep\n"
        "def keep(self, checkpoints, stop, epoch_ended=False):\n"
        f"    if self.step == 8: os.kill(os.getpid(), {int(number)})\n"
        "    whole(self, checkpoints, stop, epoch_ended)\n"
        "loop.Training._keep = keep\n"
        "sys.exit(__main__.main(sys.argv[1:]))\n"
    )
    stopped = subprocess.run(
        [sys.executable, "-c", code, *command[3:]], capture_output=True, text=True, check=False
    )
    assert stopped.returncode == 3, stopped.stderr
    assert f"stopped {TRIPLE}: stopped by" in stopped.stderr
    assert "after step 8 of 18" in study.failure(run)["error"]
    assert not study.layout.running(run, study.grid.fingerprint(run)).exists()
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "goes on after step 8 of 18" in study.log(run).read_text()
    assert tables(study, study.key(run)) == undisturbed[0]
