"""Checksums of the files that a record vouches for, and whether they are still what they were.

A record is a JSON file that is written last and names the checksum of every file beside it. Whoever
changes a file, be it in place and with its old date put back, changes the time of its status
(ctime), which no program can set: a file whose status is older than its record's is the one that
was recorded, and only the others are read again. Imports nothing large.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

DAMAGED = ".damaged"
"""Added to the name of a record whose files are not what it says."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes in lower-case hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path, without: Collection[str] = ()) -> dict[str, str]:
    """{path inside the folder: SHA-256} of every file below it, sorted.

    Args:
        folder: where to look.
        without: paths to leave out, such as the record's own.
    """
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: file_sha256(found[name]) for name in sorted(found) if name not in without}


def changed_file(
    folder: Path, files: Mapping[str, str], record: Path, compare_all: bool = False
) -> str | None:
    """The first file that is missing or is not what the record says; None: all are.

    Args:
        folder: where the files lie.
        files: their checksums by path inside the folder.
        record: the file that says so, written after them.
        compare_all: compare the files that are older than the record, too: it has been moved.
    """
    try:
        recorded = os.stat(record)
    except OSError:
        return record.name
    younger = []
    for name in files:
        try:
            if compare_all or os.stat(folder / name).st_ctime_ns > recorded.st_ctime_ns:
                younger.append(name)
        except OSError:
            return name
    for name in younger:  # copied, moved or touched since, or changed
        try:
            if file_sha256(folder / name) != files[name]:
                return name
        except OSError:
            return name
    if younger:
        with suppress(OSError):  # its own status tells when they were compared last
            os.chmod(record, recorded.st_mode & 0o7777)
    return None


def set_aside(record: Path) -> None:
    """Let a record count no more; what it says stays readable beside its old place."""
    with suppress(OSError):
        record.replace(record.with_name(record.name + DAMAGED))
