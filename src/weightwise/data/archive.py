"""Files out of zip, wheel and tar archives, with nothing of an archive trusted."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from weightwise.config.base import nearest
from weightwise.errors import UserError

MAX_MEMBER_BYTES = 1 << 29
"""Largest member that is read into memory: 512 MiB."""
MAX_ARCHIVE_BYTES = 1 << 33
"""Most bytes that an archive may hold or a folder may unpack to: 8 GiB."""
_BLOCK = 1 << 20
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
)
_COMPRESSIONS = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}


class _Limited:
    """The unpacked stream of a tar; refuses to go on beyond `MAX_ARCHIVE_BYTES`."""

    def __init__(self, stream: IO[bytes], name: str):
        self._stream, self._name, self._left = stream, name, MAX_ARCHIVE_BYTES

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise UserError(f"{self._name}: unpacks to more than {MAX_ARCHIVE_BYTES:,} bytes")
        return data


def _safe(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    drive = len(parts[0]) == 2 and parts[0][1] == ":"
    return not (parts[0] == "" or drive or ".." in parts or "\0" in name)


def _zip_members(file: IO[bytes]) -> Iterator[tuple[str, str, IO[bytes] | None]]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            if info.is_dir():
                yield info.filename, "folder", None
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                yield info.filename, "link or device", None
            elif info.flag_bits & 1:
                yield info.filename, "encrypted file", None
            else:
                with archive.open(info) as stream:
                    yield info.filename, "file", stream


def _tar_members(file: IO[bytes], name: str) -> Iterator[tuple[str, str, IO[bytes] | None]]:
    start = file.read(6)
    file.seek(0)
    opener = next((o for magic, o in _COMPRESSIONS.items() if start.startswith(magic)), None)
    stream = opener(file) if opener else file
    with tarfile.open(fileobj=_Limited(stream, name), mode="r|") as archive:
        for info in archive:
            if info.isreg():
                yield info.name, "file", archive.extractfile(info)
            else:
                yield info.name, "folder" if info.isdir() else "link or device", None


def _members(file: IO[bytes], name: str) -> Iterator[tuple[str, str, IO[bytes] | None]]:
    """(member name, kind, its stream if a file) in the archive's order; unsafe names refused."""
    start = file.read(2)
    file.seek(0)
    for member, kind, stream in _zip_members(file) if start == b"PK" else _tar_members(file, name):
        if not _safe(member):
            raise UserError(f"{name}: holds the unsafe path '{member}'; the archive is refused")
        yield member.removeprefix("./").rstrip("/"), kind, stream


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn what damaged bytes raise, anywhere in the reading, into a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # the disk's, not the archive's
            raise UserError(f"{error.filename or name}: {error.strerror}") from None
        raise UserError(f"{name}: is no readable zip or tar archive ({error})") from None
    except _DAMAGED as error:
        raise UserError(f"{name}: is no readable zip or tar archive ({error})") from None


def _open(archive: Path) -> IO[bytes]:
    try:
        return open(archive, "rb")
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror})") from None


def _read_one(file: IO[bytes], name: str, member: str, max_bytes: int) -> bytes:
    if not _safe(member):
        raise UserError(f"{name}: the member path '{member}' is unsafe; name a path inside it")
    others = []
    with _reading(name):
        for found, kind, stream in _members(file, name):
            if found == member:
                if stream is None:
                    raise UserError(f"{name}: '{member}' is a {kind}, not a file")
                data = stream.read(max_bytes + 1)
                if len(data) > max_bytes:
                    raise UserError(f"{name}: '{member}' is larger than {max_bytes:,} bytes")
                return data
            if stream is not None:
                others.append(found)
    raise UserError(f"{name}: has no file '{member}'; {_near(member, others)}")


def _near(member: str, known: list[str]) -> str:
    """The nearest path, or else the paths with the same last part, or the first few."""
    hint = nearest(member, known)
    if hint.startswith("known"):
        base = member.rsplit("/", 1)[-1]
        same = [k for k in known if k.rsplit("/", 1)[-1] == base]
        hint = "it holds " + ", ".join((same or sorted(known))[:8] or ["nothing"])
    return hint


def read_member(archive: Path, member: str, max_bytes: int = MAX_MEMBER_BYTES) -> bytes:
    """The bytes of one file of an archive.

    Args:
        archive: a zip, wheel, tar, tar.gz, tar.bz2 or tar.xz.
        member: path inside the archive; `inner.tar.gz!folder/file` reaches into an archive that
            is itself a member.
        max_bytes: the most that any one member may unpack to.

    Raises:
        UserError: unreadable archive, unsafe path, link or device, too large, or no such member
            (the nearest one is named).
    """
    name = Path(archive).name
    first, *inner = member.split("!")
    with _open(archive) as file:
        data = _read_one(file, name, first, max_bytes)
    for step, part in enumerate(inner):
        outer = "!".join([name, first, *inner[:step]])
        data = _read_one(io.BytesIO(data), outer, part, max_bytes)
    return data


def extract_folder(
    archive: Path,
    folder: str,
    out: Path,
    only: Container[str] | None = None,
    max_bytes: int = MAX_ARCHIVE_BYTES,
) -> list[Path]:
    """Unpack the files below `folder` into `out`, whole or not at all.

    Args:
        archive: a zip, wheel, tar, tar.gz, tar.bz2 or tar.xz.
        folder: path of the folder inside the archive.
        out: folder to make; it must not exist or must be empty.
        only: if given, only the paths relative to `folder` that are in it.
        max_bytes: the most that all files together may unpack to.

    Returns:
        The files written, sorted.

    Raises:
        UserError: unreadable archive, unsafe path, link or device below `folder`, too large, or
            no file below `folder`.
    """
    name, out = Path(archive).name, Path(out)
    if not _safe(folder):
        raise UserError(f"{name}: the folder '{folder}' is unsafe; name a path inside the archive")
    prefix = folder.rstrip("/") + "/"
    out.parent.mkdir(parents=True, exist_ok=True)
    left, known = max_bytes, set()
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        root = Path(temporary) / "content"
        root.mkdir()
        with _open(archive) as file, _reading(name):
            for member, kind, stream in _members(file, name):
                known.add(member.rpartition("/")[0])
                relative = member.removeprefix(prefix)
                if relative == member or not relative:
                    continue
                if only is not None and relative not in only:
                    continue
                if kind == "folder":
                    continue
                if stream is None:
                    raise UserError(f"{name}: '{member}' is a {kind}; the folder is refused")
                left = _write(stream, root / relative, left, name)
        if not any(root.iterdir()):
            what = "no wanted file below" if folder.rstrip("/") in known else "no folder"
            raise UserError(f"{name}: has {what} '{folder}'; {_near(folder, sorted(known - {''}))}")
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        try:
            os.rename(root, out)
        except OSError as error:
            raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    return sorted(p for p in out.rglob("*") if p.is_file())


def _write(stream: IO[bytes], path: Path, left: int, name: str) -> int:
    """Copy at most `left` bytes into `path`; return what is left of the allowance."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as target:
        while block := stream.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise UserError(f"{name}: the folder unpacks to more than the allowed size")
            target.write(block)
    return left
