"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside `path` to write; it is renamed over `path` when left without an error, so
    that a reader sees the old content or the new. Folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON in the order of its keys; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; None where the file is missing or broken (it then counts as not written)."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def away(path: Path) -> Path:
    """Where `put_away` puts a note."""
    return path.with_name(f"{path.name}.away")


def put_away(path: Path) -> None:
    """Let a note count as missing; `bring_back` undoes it, should it be true again."""
    with contextlib.suppress(FileNotFoundError):
        path.replace(away(path))


def bring_back(path: Path) -> bool:
    """Put a note that was put away back to its place, unless another one is there.

    Returns:
        Whether it came back: its status then says nothing of when it was written.
    """
    if not path.exists():
        with contextlib.suppress(FileNotFoundError):
            away(path).replace(path)
            return True
    return False


@contextlib.contextmanager
def locked(store: Path, name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of an entry of a store, `STORE/.NAME.lock`.

    Args:
        store: the store's folder; made where it is missing.
        name: of the entry.
        waiting: called every second while another process holds the lock; may raise.
    """
    store.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store / f".{name}.lock")
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            waiting()
    with lock:
        lock.release()  # of the two holds, one is left
        yield


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a scratch folder that becomes `path` when left without an error; an older one there is
    replaced. To be called by who holds the lock of `path`: debris of a killed process goes."""
    for debris in path.parent.glob(f".{path.name}.*/"):
        shutil.rmtree(debris, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield scratch
        scratch.chmod(0o755)
        # What is not finished, or damaged.
        shutil.rmtree(path, ignore_errors=True)
        scratch.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
