"""The store: whole runs or none, one writer, keys that change with what decides."""

from __future__ import annotations

import json
import os
import shutil
import threading

import pytest

from weightwise import code
from weightwise.code import code_version, training_modules
from weightwise.files import read_json, write_json, write_text
from weightwise.store import RunStore, run_key, write_record

DONE = {"status": "done", "key": "k", "id": "A/baseline/default/seed-1", "scores": {}}


def write_run(runs: RunStore, key: str, text: str = "x") -> bool:
    with runs.writing(key) as folder:
        if folder is None:
            return False
        (folder / "table").write_text(text)
        write_record(folder, DONE | {"text": text})
        return True


def visible(runs: RunStore) -> set[str]:
    return {p.name for p in runs.root.iterdir() if not p.name.endswith(".lock")}


def test_run_is_written_once(tmp_path):
    runs = RunStore(tmp_path / "runs")
    assert runs.record("k") is None
    assert write_run(runs, "k", "first")
    assert not write_run(runs, "k", "second")
    assert runs.record("k")["text"] == "first"
    assert visible(runs) == {"k"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_exception_while_writing_leaves_nothing(tmp_path, error):
    runs = RunStore(tmp_path / "runs")

    def interrupted():
        with runs.writing("k") as folder:
            write_record(folder, DONE)
            raise error

    with pytest.raises(error):
        interrupted()
    assert visible(runs) == set()
    assert runs.record("k") is None
    assert write_run(runs, "k")


def test_debris_is_replaced(tmp_path):
    runs = RunStore(tmp_path / "runs")
    runs.folder("k").mkdir(parents=True)
    (runs.folder("k") / "old").write_text("half a run")
    assert runs.record("k") is None
    assert write_run(runs, "k")
    assert not (runs.folder("k") / "old").exists()


NULL_SCORES = json.dumps(DONE | {"scores": {"A": None}})
NULL_METRIC = json.dumps(DONE | {"scores": {"A": {"metric": None, "epoch": 1, "dev": 0.5}}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"status": "failed"}',
        '{"status": "done"}',
        json.dumps(DONE | {"key": "another"}),
        json.dumps(DONE | {"scores": None}),
        NULL_SCORES,
        NULL_METRIC,
        json.dumps(DONE | {"files": {"gone": "0" * 64}}),
    ],
)
def test_broken_record_is_no_finished_run(tmp_path, text):
    runs = RunStore(tmp_path / "runs")
    runs.folder("k").mkdir(parents=True)
    (runs.folder("k") / "run.json").write_text(text)
    assert runs.record("k") is None
    assert "run.json" in runs.look("k") or "gone" in runs.look("k")


def test_a_changed_file_is_noticed_whatever_its_date(tmp_path):
    runs = RunStore(tmp_path / "runs")
    assert write_run(runs, "k", "first")
    table = runs.folder("k") / "table"
    table.write_text("other")
    os.utime(table, (1, 1))
    assert runs.record("k") is None
    assert str(table) in runs.look("k")
    table.write_text("first")
    assert runs.record("k")["text"] == "first"
    assert write_run(runs, "k", "again") is False
    table.unlink()
    assert write_run(runs, "k", "again")


def test_a_record_without_checksums_counts(tmp_path):
    """Of a version that wrote none."""
    runs = RunStore(tmp_path / "runs")
    write_json(runs.folder("k") / "run.json", DONE)
    assert runs.record("k")["id"] == DONE["id"]


def test_two_writers_train_once(tmp_path):
    runs = RunStore(tmp_path / "runs")
    inside, seen = threading.Event(), []

    def first():
        with runs.writing("k") as folder:
            inside.set()
            seen.append(other_waits.wait(0.3))
            write_record(folder, DONE)

    other_waits = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(5)
    assert not write_run(runs, "k", "second")
    other_waits.set()
    thread.join()
    assert seen == [False]
    assert "text" not in runs.record("k")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package whose training code may be edited."""
    copy = tmp_path / "package"
    shutil.copytree(code.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", copy)
    yield copy
    code.forget()


def version_after(path, old: str, new: str) -> str:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    code.forget()
    return code_version("pcgrad")


def test_code_version_counts_code_alone(package):
    code.forget()
    first = code_version("pcgrad")
    engine = package / "train" / "engine.py"
    assert version_after(engine, '"""One optimisation step', '"""Another sentence') == first
    assert version_after(engine, "class Engine:\n", "class Engine:  # a remark\n\n") == first
    docstring = '"""Set `.grad` of the trunk'
    assert version_after(engine, docstring, '"""Otherwise said: `.grad`') == first
    assert version_after(package / "grid.py", "def plain", "def plainly") == first
    (package / "figures" / "new.py").write_text("x = 1")
    code.forget()
    assert code_version("pcgrad") == first
    second = version_after(engine, "torch._foreach_add_(combined", "torch._foreach_sub_(combined")
    assert second != first
    # A combiner's file decides the runs with that combiner, and no others.
    (package / "combine" / "new.py").write_text("x = 1")
    fixed = code_version("addition")
    changed = version_after(package / "combine" / "pcgrad.py", "product < 0", "product > 0")
    assert changed not in (first, second)
    assert code_version("addition") == fixed


def test_what_runs_share_is_found_by_imports():
    names = {str(p.relative_to(code.PACKAGE)) for p in training_modules()}
    assert {
        *("train/engine.py", "train/optimiser.py", "train/state.py", "train/smart.py"),
        *("model/encoder.py", "model/heads.py", "data/batches.py", "seeding.py"),
    } <= names
    assert not names & {"train/run.py", "train/heartbeat.py", "combine/pcgrad.py", "collect.py"}
    assert not any(name.startswith(("config/", "tables/", "figures/")) for name in names)


def test_what_is_left_out_is_there():
    for path in code.LEFT_OUT:
        assert (code.PACKAGE / path).exists(), f"{path} is gone; take it off the list"


def test_the_files_that_a_combiner_imports_stand_behind_its_runs(package):
    attention = package / "combine" / "attention.py"
    assert attention in training_modules("gradattention")
    assert attention not in training_modules("pcgrad")
    code.forget()
    plain, attended = code_version("pcgrad"), code_version("gradattention")
    assert version_after(attention, "WIDTH = 64", "WIDTH = 32") == plain
    assert code_version("gradattention") != attended


def test_key_changes_with_every_part():
    parts = {
        "definition": {"a": 1, "combiner": "addition"},
        "data": {"SEN": "x"},
        "encoder": {"sha256": "y"},
        "code": "c",
        "versions": {"torch": "1"},
    }
    first = run_key(**parts)
    assert first == run_key(**parts)
    assert len(first) == 32
    for change in (
        {"definition": {"a": 2, "combiner": "addition"}},
        {"data": {"SEN": "z"}},
        {"encoder": {"sha256": "z"}},
        {"code": "d"},
        {"versions": {"torch": "2"}},
    ):
        assert run_key(**(parts | change)) != first


def test_small_files_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "sub" / "x.json"
    write_json(path, {"a": "é"})
    assert read_json(path) == {"a": "é"}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert read_json(path) == {"a": "é"}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]
    assert read_json(tmp_path / "none") is None
