"""Files out of zip, wheel and tar archives, with nothing of an archive trusted."""

from __future__ import annotations

import io
import lzma
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from weightwise.config.base import nearest
from weightwise.data.compressed import stream_of
from weightwise.errors import UserError

MAX_MEMBER_BYTES = 1 << 29
"""Largest member that is read into memory: 512 MiB."""
MAX_ARCHIVE_BYTES = 1 << 33
"""Most bytes that an archive may hold or a folder may unpack to: 8 GiB."""
_BLOCK = 1 << 20
_MAX_HEADER_BYTES = 1 << 20
# What zipfile and tarfile raise on damaged or hostile bytes.
_DAMAGED = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted member; headers that refer to headers without end
    ValueError,
    LookupError,
    OverflowError,
)
_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")
Member = tuple[str, str, Callable[[], IO[bytes]] | None]


class _StrictTarInfo(tarfile.TarInfo):
    """Headers that `tarfile` would take for the end of the archive, or read without bound, are
    refused: what follows them would vanish without a word."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        try:
            info = super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:
            raise tarfile.ReadError(f"damaged header: {error}") from None
        extended = (b"L", b"K", tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        if info.size < 0 or (info.type in extended and info.size > _MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {info.size:,} bytes")
        return info


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


def _zip_members(file: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            if info.filename.endswith("/"):
                yield info.filename, "folder", None
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                yield info.filename, "link or device", None
            elif info.flag_bits & 1:
                yield info.filename, "encrypted file", None
            else:
                # The checksum is compared where a member is read to its end.
                yield info.filename, "file", lambda info=info: archive.open(info)


def _tar_members(file: IO[bytes], name: str) -> Iterator[Member]:
    start = file.read(8)
    file.seek(0)
    compression = stream_of(start)
    stream = _Limited(compression[1](file) if compression else file, name)
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as archive:
        for info in archive:
            if info.isreg() and not info.issparse():
                yield info.name, "file", lambda info=info: archive.extractfile(info)
            elif info.isreg():
                yield info.name, "sparse file", None
            else:
                yield info.name, "folder" if info.isdir() else "link or device", None
        # The checksum of a compressed tar stands behind its end.
        while stream.read(_BLOCK):
            pass


def _members(file: IO[bytes], name: str) -> Iterator[Member]:
    """(member name, kind, what opens it if a file) in the archive's order, to its end.

    Unsafe names are refused, and so is a file that is there twice: which one counts depends on
    the reader.
    """
    start = file.read(2)
    file.seek(0)
    seen = set()
    for member, kind, opener in _zip_members(file) if start == b"PK" else _tar_members(file, name):
        if not _safe(member):
            raise UserError(f"{name}: holds the unsafe path {member!r}; the archive is refused")
        member = member.removeprefix("./").rstrip("/")
        if kind != "folder":
            if member in seen:
                raise UserError(f"{name}: holds {member!r} twice; the archive is refused")
            seen.add(member)
        yield member, kind, opener


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


def _read_one(file: IO[bytes], name: str, member: str, max_bytes: int, remedy: str) -> bytes:
    if not _safe(member):
        raise UserError(f"{name}: the member path '{member}' is unsafe; name a path inside it")
    others, data = [], None
    with _reading(name):
        for found, kind, opener in _members(file, name):
            if found == member:
                if opener is None:
                    raise UserError(f"{name}: '{member}' is a {kind}, not a file")
                with opener() as stream:
                    data = stream.read(max_bytes + 1)
                if len(data) > max_bytes:
                    raise UserError(
                        f"{name}: '{member}' is larger than {max_bytes:,} bytes{remedy}"
                    )
            elif opener is not None:
                others.append(found)
    if data is None:
        raise UserError(f"{name}: has no file '{member}'; {_near(member, others)}")
    return data


def is_archive(data: bytes) -> bool:
    """Whether bytes are a zip or a tar (not a compressed one)."""
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06")) or data[257:262] == b"ustar"


def only_member(data: bytes, name: str) -> str:
    """The path of the one file in an archive; what systems add beside it does not count.

    Args:
        data: bytes of a zip or tar.
        name: of the archive, for messages.

    Raises:
        UserError: unreadable archive, a workbook, no file or several (they are listed).
    """
    with _reading(name):
        found = [m for m, kind, _ in _members(io.BytesIO(data), name) if kind == "file"]
    if "[Content_Types].xml" in found or "content.xml" in found:
        raise UserError(
            f"{name}: is a workbook or document of an office program; save the sheet as CSV "
            "(UTF-8) and name that file"
        )
    wanted = [m for m in found if not any(part in _JUNK for part in m.split("/"))]
    if len(wanted) != 1:
        shown = ", ".join(f"'{m}'" for m in wanted[:8]) + (", ..." if len(wanted) > 8 else "")
        raise UserError(
            f"{name}: holds {len(wanted)} files" + (f" ({shown}); name one with `member`"
            if wanted else "; a table was expected")
        )  # fmt: skip
    return wanted[0]


def _near(member: str, known: list[str]) -> str:
    """The nearest path, or else the paths with the same last part, or the first few."""
    hint = nearest(member, known)
    if hint.startswith("known"):
        base = member.rsplit("/", 1)[-1]
        same = [k for k in known if k.rsplit("/", 1)[-1] == base]
        hint = "it holds " + ", ".join((same or sorted(known))[:8] or ["nothing"])
    return hint


def read_member(
    archive: Path | bytes,
    member: str,
    max_bytes: int = MAX_MEMBER_BYTES,
    name: str | None = None,
    remedy: str = "",
) -> bytes:
    """The bytes of one file of an archive, its checksum compared where the archive has one.

    Args:
        archive: a zip, wheel, tar, tar.gz, tar.bz2 or tar.xz, or its bytes.
        member: path inside the archive; `inner.tar.gz!folder/file` reaches into an archive that
            is itself a member.
        max_bytes: the most that any one member may unpack to.
        name: of the archive, for messages; None: that of the file.
        remedy: what is said of a member that is too large.

    Raises:
        UserError: unreadable archive, unsafe path, link or device, too large, or no such member
            (the nearest one is named).
    """
    first, *inner = member.split("!")
    if isinstance(archive, bytes):
        name = name or "archive"
        data = _read_one(io.BytesIO(archive), name, first, max_bytes, remedy)
    else:
        name = name or Path(archive).name
        with _open(archive) as file:
            data = _read_one(file, name, first, max_bytes, remedy)
    for step, part in enumerate(inner):
        outer = "!".join([name, first, *inner[:step]])
        data = _read_one(io.BytesIO(data), outer, part, max_bytes, remedy)
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
            for member, kind, opener in _members(file, name):
                known.add(member.rpartition("/")[0])
                relative = member.removeprefix(prefix)
                if relative == member or not relative:
                    continue
                if only is not None and relative not in only:
                    continue
                if kind == "folder":
                    continue
                if opener is None:
                    raise UserError(f"{name}: '{member}' is a {kind}; the folder is refused")
                with opener() as stream:
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
