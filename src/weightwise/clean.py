"""`weightwise clean`: what no study needs any more, and how much room it takes. Imports no torch.

A study needs what its markers name and what its file asks for. Studies are found by their folders
in `results/`. Runs, stages, prepared data and encoders that none of them names are left over, as
are checkpoints of runs that are finished or that no study asks for, locks, scratch folders of
killed processes, and what earlier versions kept. Whatever a running process holds is left alone: an
entry is removed under its lock, and what a study is working on stays.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from weightwise import invocation
from weightwise.alive import is_alive
from weightwise.config import StudyConfig, load_study
from weightwise.data.prepared import NotPrepared, asked, read_record
from weightwise.errors import UserError
from weightwise.files import read_json
from weightwise.layout import Layout
from weightwise.runs import StudyRuns

RESTING = 3600.0
"""Seconds without a change after which what no lock covers counts as left."""


@dataclass(frozen=True)
class Left:
    """Something that no study needs: what it is, where, its bytes, and the lock that covers it."""

    what: str
    path: Path
    bytes: int
    lock: Path | None


@dataclass
class Needed:
    """Names of what studies need, per store."""

    runs: set[str]
    stages: set[str]
    data: set[str]
    encoders: set[str]


def left_over(results: Path, studies: list[StudyConfig]) -> list[Left]:
    """Everything that nobody needs.

    Args:
        results: the folder of everything that is computed.
        studies: studies whose data and runs stay, marked or not.
    """
    needed = _needed(results, studies)
    layout = Layout("", results)
    found: list[Left] = []
    for what, store, names in (
        ("run", layout.store, needed.runs),
        ("stage", layout.stage_store, needed.stages),
        ("prepared data", layout.data_store, needed.data),
        ("encoder", layout.encoder_store, needed.encoders),
    ):
        found += _of_store(what, store, names)
    for folder in _studies(results):
        old = folder / "data"
        if (old / "checks.json").exists() or (old / "encoder").is_dir():
            found.append(Left("prepared data of an earlier version", old, size(old), None))
    return found


def remove(left: Left) -> bool:
    """Remove it, unless a process holds it now; whether it is gone."""
    if left.lock is None:
        _remove(left.path)
        return not left.path.exists()
    lock = FileLock(left.lock)
    try:
        with lock.acquire(timeout=0):
            _remove(left.path)
            with suppress(OSError):
                left.lock.unlink()
    except (Timeout, OSError):
        return False
    return not left.path.exists()


def size(path: Path) -> int:
    """Bytes of a file, or of everything below a folder."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _studies(results: Path) -> list[Path]:
    """Folders of studies: those that hold something a study leaves."""
    signs = ("owner.json", "invocation.json", "prepared.json", "done", "made", "data/checks.json")
    return [
        folder
        for folder in sorted(results.iterdir() if results.is_dir() else ())
        if folder.is_dir() and any((folder / sign).exists() for sign in signs)
    ]


def _opened(results: Path) -> Iterator[StudyConfig]:
    """The studies whose files can be opened, as they were last started."""
    for folder in _studies(results):
        started, owner = read_json(folder / "invocation.json"), read_json(folder / "owner.json")
        for note, base in ((started, Path()), (owner, folder)):
            if isinstance(note, dict) and isinstance(note.get("study"), str):
                with suppress(UserError, OSError):
                    yield load_study(base / note["study"], map(str, note.get("set") or []))
                    break


def _needed(results: Path, studies: list[StudyConfig]) -> Needed:
    needed = Needed(set(), set(), set(), set())
    for folder in _studies(results):
        layout = Layout(folder.name, results)
        note = read_json(layout.prepared)
        if isinstance(note, dict) and isinstance(note.get("data"), str):
            needed.data.add(note["data"])
        needed.runs |= set(_keys(folder / "done"))
        needed.stages |= set(_keys(folder / "stages"))
        if invocation.working(layout):  # what it is about to mark
            working = read_json(layout.invocation)
            needed.data.add(str(working.get("data")))
        for beat in map(read_json, (folder / "running").rglob("*.json")):
            if isinstance(beat, dict) and is_alive(beat):
                needed.data |= _all(layout.data_store)
    for study in [*studies, *_opened(results)]:
        layout = Layout(study.name, results)
        needed.data.add(asked(study, layout).digest)
        with suppress(NotPrepared):
            runs = StudyRuns(study, layout)
            for run in runs.grid.runs:
                needed.runs |= set(runs.keys(run))
            for name in runs.grid.stages:
                needed.stages |= set(runs.stage_keys(name))
    for name in needed.data:
        record = read_record(Layout("", results), name)
        if record is not None:
            needed.encoders.add(record.encoder.folder)
    return needed


def _keys(folder: Path) -> Iterator[str]:
    """The keys that the markers below a folder name."""
    for note in map(read_json, folder.rglob("*.json")):
        if isinstance(note, dict) and isinstance(note.get("key"), str):
            yield note["key"]


def _all(store: Path) -> set[str]:
    return {path.name for path in store.iterdir()} if store.is_dir() else set()


def _of_store(what: str, store: Path, needed: set[str]) -> Iterator[Left]:
    """What a store holds beside what is needed: entries, scratch folders, checkpoints, locks."""
    if not store.is_dir():
        return
    entries = {path.name for path in store.iterdir() if not path.name.startswith(".")}
    for path in sorted(store.iterdir()):
        name = path.name
        if not name.startswith("."):
            if name not in needed:
                yield Left(what, path, size(path), store / f".{name}.lock")
        elif name == ".checkpoints":
            for one in sorted(path.iterdir()):
                if one.name not in needed or one.name in entries:
                    kept = f"checkpoints of a {what}"
                    yield Left(kept, one, size(one), store / f".{one.name}.lock")
        elif name.endswith(".lock"):
            # Beside an entry that stays nobody needs it: who wants the entry makes it anew.
            if _free(path) and _rests(path):
                yield Left("lock", path, size(path), path)
        elif path.is_dir() and _rests(path):
            key = name[1:].partition(".")[0]
            yield Left(f"scratch folder of a {what}", path, size(path), store / f".{key}.lock")


def _free(lock: Path) -> bool:
    try:
        with FileLock(lock).acquire(timeout=0):
            return True
    except (Timeout, OSError):
        return False


def _rests(path: Path) -> bool:
    """Whether nothing has changed in it for a while."""
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > RESTING
    return False
