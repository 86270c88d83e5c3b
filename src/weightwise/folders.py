"""Whether a study's folders can be written, asked before the work and not found out in it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from weightwise.errors import UserError
from weightwise.faults import told

PROBE = 10_000_000
"""Bytes written to see whether the disk, or the user's share of it, is full: what a study needs at
least."""


def refuse_unwritable(folders: Iterable[Path], remedy: str = "") -> None:
    """Refuse folders in which, or in whose place, nothing can be made.

    Args:
        folders: those that will be written; one that is missing is judged by the folder in which
            it would be made.
        remedy: what to do instead of the usual (another folder for the results).

    Raises:
        UserError: one of them cannot be written; it names the folder and the remedy.
    """
    for folder in folders:
        existing = folder.absolute()
        while not os.path.lexists(existing):
            existing = existing.parent
        code = None
        if existing.is_symlink() and not existing.exists():
            code = errno.ENOENT  # a link to a scratch folder that was swept
        elif not existing.is_dir():
            code = errno.ENOTDIR
        elif not os.access(existing, os.W_OK | os.X_OK):
            code = errno.EROFS if _read_only(existing) else errno.EACCES
        if code == errno.ENOENT:
            raise UserError(
                f"{existing}: is a link to {os.readlink(existing)}, which is gone; make that "
                "folder, or remove the link"
            )
        if code is not None:
            if remedy:
                raise UserError(f"{existing}: {os.strerror(code)}: {remedy}")
            raise UserError(told(OSError(code, os.strerror(code), str(existing))))


def refuse_full(folder: Path) -> None:
    """Refuse a disk that has no room for the least that a study writes.

    Args:
        folder: where results go; made where it is missing.

    Raises:
        UserError: the disk or the user's quota is used up, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        named = OSError(error.errno, os.strerror(error.errno or 0), str(folder))
        raise UserError(told(named) or f"{folder}: cannot be written ({error})") from None


def _read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False
