"""What no study needs is listed with its size, and removed unless a process holds it."""

from __future__ import annotations

import os
import shutil
from collections import Counter

from filelock import FileLock

from weightwise.clean import left_over, remove
from weightwise.owner import own


def kinds(made) -> Counter:
    return Counter(one.what for one in left_over(made.layout.results, []))


def started(made):
    """As after a finished workflow."""
    made.prepare()
    made.finish()
    made.reconcile()
    own(made.layout, made.file, [])


def test_what_a_study_needs_stays(make):
    made = make()
    started(made)
    assert set(kinds(made)) <= {"lock"}


def test_what_was_edited_away_is_left_over(make):
    made = make()
    started(made)
    before = {p.name for p in made.layout.data_store.iterdir()}
    made.keys["encoder"]["max_length"] = 16
    made.prepare()
    made.finish()
    made.reconcile()
    runs = len(made.runs.grid.runs)
    found = left_over(made.layout.results, [])
    assert Counter(one.what for one in found if one.what != "lock") == {"prepared data": 1}
    (data,) = (one for one in found if one.what == "prepared data")
    assert data.path.name in before
    assert data.bytes == sum(p.stat().st_size for p in data.path.rglob("*") if p.is_file())
    assert remove(data)
    assert not data.path.exists()
    # Runs of the former configuration have their own markers; without them they go, too.
    shutil.rmtree(made.layout.root / "done")
    made.reconcile()
    assert kinds(made)["run"] == runs


def test_a_study_that_is_gone_leaves_everything(make):
    made = make()
    started(made)
    shutil.rmtree(made.layout.root)
    found = kinds(made)
    assert found["run"] == len(made.runs.grid.runs)
    assert found["prepared data"] == found["encoder"] == 1
    kept = left_over(made.layout.results, [made.study])
    assert {one.what for one in kept} <= {"lock"}


def test_checkpoints_of_what_is_asked_for_stay(make):
    made = make()
    made.prepare()
    own(made.layout, made.file, [])
    runs = made.runs
    for key in (runs.key(runs.grid.runs[0]), "nobody"):
        folder = runs.store.checkpoints(key)
        folder.mkdir(parents=True)
        (folder / "step-9").write_bytes(bytes(1000))
    (found,) = (one for one in left_over(made.layout.results, []) if "checkpoints" in one.what)
    assert found.path.name == "nobody"
    assert found.bytes == 1000
    assert remove(found)


def test_what_a_process_holds_is_kept(make):
    made = make()
    started(made)
    shutil.rmtree(made.layout.root)
    one = next(o for o in left_over(made.layout.results, []) if o.what == "run")
    with FileLock(one.lock):
        assert not remove(one)
        assert one.path.exists()
    assert remove(one)


def test_old_locks_and_scratch_folders(make):
    made = make()
    started(made)
    store = made.layout.store
    lock, scratch = store / ".dead.lock", store / ".dead.x1"
    lock.touch()
    scratch.mkdir()
    (scratch / "half").write_bytes(bytes(10))
    assert "scratch folder of a run" not in kinds(made)
    for path in (lock, scratch):
        os.utime(path, (1e9, 1e9))
    found = {one.what: one for one in left_over(made.layout.results, [])}
    assert found["scratch folder of a run"].path == scratch
    assert remove(found["scratch folder of a run"])
    assert not scratch.exists()


def test_data_and_encoders_of_an_earlier_version(make):
    made = make()
    started(made)
    old = made.layout.root / "data"
    (old / "encoder").mkdir(parents=True)
    (old / "encoder" / "model.safetensors").write_bytes(bytes(500))
    (found,) = (one for one in left_over(made.layout.results, []) if "earlier" in one.what)
    assert found.bytes == 500
    assert remove(found)
