"""Before a workflow starts its markers tell what the stores hold."""

from __future__ import annotations

import json
import shutil

import pytest

from weightwise.errors import UserError
from weightwise.made import Made as Notes
from weightwise.made import forget
from weightwise.owner import own, refuse_second_file


def ids(made) -> set[str]:
    return {run.id for run in made.runs.grid.runs}


def test_markers_follow_the_store(make):
    made = make()
    assert made.reconcile() == []
    made.prepare()
    made.finish()
    # Runs that the store has need no job, whoever trained them.
    assert made.reconcile() == []
    assert made.marked() == ids(made)
    assert made.layout.prepared.exists()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda folder: shutil.rmtree(folder), "is gone"),
        (lambda folder: (folder / "run.json").write_text(""), "run.json is damaged"),
        (lambda folder: (folder / "run.json").write_text('{"status": "done"}'), "is damaged (key)"),
        (lambda folder: (folder / "timings.parquet").write_bytes(b"\0" * 99 + b"x"), "timings"),
        (lambda folder: (folder / "timings.parquet").unlink(), "timings.parquet is gone"),
    ],
)
def test_a_lost_run_is_named_and_due(make, harm, words):
    made = make()
    made.prepare()
    made.finish()
    made.reconcile()
    run = made.runs.grid.runs[0]
    harm(made.runs.store.folder(made.runs.key(run)))
    (line,) = made.reconcile()
    assert words in line
    assert f"run {run.id}" in line
    assert made.marked() == ids(made) - {run.id}
    made.finish()
    assert made.reconcile() == []
    assert made.marked() == ids(made)


def test_a_marker_of_other_data_is_removed_and_comes_back(make):
    made = make()
    made.prepare()
    made.finish()
    made.reconcile()
    path = made.folder / "data" / "SEN-dev.csv"
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b"w11", b"w12"))
    (line,) = made.reconcile()
    assert "content of the file of tasks.SEN.data.dev" in line
    assert not made.layout.prepared.exists()
    made.prepare()
    lines = made.reconcile()
    assert len(lines) == sum("SEN" in i for i in ids(made))
    assert made.marked() == {i for i in ids(made) if "SEN" not in i}
    path.write_bytes(kept)
    assert made.reconcile() == []
    assert made.marked() == ids(made)


def test_a_damaged_marker_is_mended(make):
    made = make()
    made.prepare()
    made.finish()
    made.reconcile()
    run = made.runs.grid.runs[0]
    marker = made.layout.done(run, made.runs.grid.fingerprint(run))
    marker.write_text("{")
    assert made.reconcile() == []
    assert json.loads(marker.read_text())["key"] == made.runs.key(run)


def notes(made) -> Notes:
    return Notes(made.runs)


def step(made, name: str, partial: bool = False) -> None:
    with notes(made).making(name, partial):
        for stem in {"collect": ("scores", "runs"), "tables": ("arms", "scores")}[name]:
            path = made.layout.tables / f"{stem}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{stem} of {name}")


@pytest.fixture
def tabled(make):
    made = make()
    made.prepare()
    made.finish()
    made.reconcile()
    step(made, "collect")
    step(made, "tables")
    assert notes(made).old() is None
    return made


def test_tables_know_what_they_were_made_of(tabled):
    for keys, first in (
        ({"report": {"confidence": 0.8}}, "tables"),
        ({"seeds": [1, 2]}, "collect"),
        ({"study_seed": 3}, None),
        ({"runs_per_job": 2}, "fine"),
    ):
        before = tabled.keys
        tabled.keys = before | keys
        if first is None:
            tabled.prepare()
            first = "collect"
        found = notes(tabled).old()
        assert (found[0] if found else "fine") == first, keys
        tabled.keys = before


def test_a_title_makes_no_collection_old(tabled):
    tabled.keys["tasks"]["SEN"]["title"] = "Mood"
    assert notes(tabled).old() == ("tables", "made of other runs, data, settings or code")


@pytest.mark.parametrize(
    ("name", "first"), [("scores", "collect"), ("runs", "collect"), ("arms", "tables")]
)
def test_a_damaged_table_is_old_and_comes_back(tabled, name, first):
    path = tabled.layout.tables / f"{name}.parquet"
    content = path.read_bytes()
    path.write_bytes(b"x" + content[1:])
    assert f"{first}: " in notes(tabled).forget_old()
    assert not tabled.layout.made("tables").exists()
    path.write_bytes(content)
    assert notes(tabled).old() is None
    assert tabled.layout.made("tables").exists()


def test_what_rests_on_other_tables_is_refused(tabled):
    tabled.keys |= {"seeds": [1, 2]}
    with pytest.raises(UserError, match="run `weightwise collect` first"):
        step(tabled, "tables")


def test_tables_of_some_runs_are_old_when_the_others_come(make):
    made = make()
    made.prepare()
    step(made, "collect")
    assert notes(made).old() == ("collect", "made when runs were missing")
    made.finish()
    assert notes(made).old() == ("collect", "other runs are finished now")
    forget(made.layout)
    assert not made.layout.made("collect").exists()


def test_two_files_of_one_name(make):
    made = make()
    own(made.layout, made.file, [])
    refuse_second_file(made.layout, made.file, [])
    second = made.folder / "second.yaml"
    shutil.copy(made.file, second)
    with pytest.raises(UserError, match=r"belong to .*study.yaml, which has the same `name`"):
        refuse_second_file(made.layout, second, [])
    # Renamed, or called otherwise by now, it owns nothing.
    made.file.write_text(made.file.read_text().replace("name: tiny", "name: large"))
    refuse_second_file(made.layout, second, [])
    shutil.copy(second, made.file)
    made.file.rename(made.folder / "elsewhere.txt")
    refuse_second_file(made.layout, second, [])


def test_a_copied_folder_owns_itself(make):
    made = make()
    own(made.layout, made.file, [])
    copied = made.folder.parent / "copied"
    shutil.copytree(made.folder, copied)
    layout = made.layout
    layout.results = copied / "results"
    refuse_second_file(layout, copied / "study.yaml", [])
    with pytest.raises(UserError):
        refuse_second_file(layout, made.file, [])
