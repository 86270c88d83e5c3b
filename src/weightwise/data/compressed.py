"""Files that hold another file compressed: told by their first bytes, unpacked within bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from typing import IO

from weightwise.errors import UserError

MOST_BYTES = 1 << 31
"""Most bytes that a file may unpack to where the study does not say: 2 GiB."""
MOST_TIMES = 200
"""Most times its packed size that a file may unpack to where the study does not say. Text packs
to a third or a tenth of its size."""
UNSUSPICIOUS = 1 << 26
"""Bytes below which the ratio does not matter: 64 MiB."""
_BLOCK = 1 << 20
_LAYERS = 3
STREAMS = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile),
}
_UNKNOWN = {
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\x1f\x9d": "compress (.Z)",
}
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


def most_bytes(packed: int, stated: int | None) -> int:
    """Most bytes that `packed` bytes may unpack to, `stated` being `max_unpacked` of the study."""
    if stated is not None:
        return stated
    return min(MOST_BYTES, max(UNSUSPICIOUS, MOST_TIMES * packed))


def stream_of(start: bytes) -> tuple[str, object] | None:
    """Name of the compression that a file's first bytes tell, and what opens it."""
    return next((found for magic, found in STREAMS.items() if start.startswith(magic)), None)


def unpack(data: bytes, name: str, stated: int | None = None) -> bytes:
    """The content of gzip, bzip2 or xz, nested ones included; other bytes as they are.

    Args:
        data: bytes of a file.
        name: of the file, for messages.
        stated: most bytes to unpack to; None: `most_bytes`.

    Raises:
        UserError: damaged, larger than the bound, or packed in a way that is not read.
    """
    for _ in range(_LAYERS):
        found = stream_of(data[:8])
        if found is None:
            break
        kind, opener = found
        most = most_bytes(len(data), stated)
        try:
            data = _read(opener(io.BytesIO(data)), most, len(data), name)
        except DAMAGED as error:
            raise UserError(
                f"{name}: is damaged or cut off: its {kind} content cannot be unpacked ({error})"
            ) from None
    for magic, kind in _UNKNOWN.items():
        if data.startswith(magic):
            raise UserError(
                f"{name}: is packed with {kind}, which is not read; unpack it, or pack it with "
                "gzip, bzip2, xz or zip"
            )
    return data


def _read(stream: IO[bytes], most: int, packed: int, name: str) -> bytes:
    blocks, size = [], 0
    with stream:
        # To the end, where the checksum is.
        while block := stream.read(_BLOCK):
            size += len(block)
            if size > most:
                raise UserError(
                    f"{name}: its {packed:,} bytes unpack to more than {most:,}; if that is right, "
                    "set `max_unpacked` to more"
                )
            blocks.append(block)
    return b"".join(blocks)
