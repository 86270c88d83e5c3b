"""JSON files of others, read with limits: nothing in them is trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weightwise.errors import UserError

MAX_JSON_BYTES = 1 << 27
"""Largest JSON file that is read: 128 MiB. The largest tokenizers are about 20 MiB."""
_LFS = b"version https://git-lfs.github.com/spec/"


def read_bytes(path: Path, name: str, max_bytes: int = MAX_JSON_BYTES) -> bytes:
    """The content of a file.

    Args:
        path: the file.
        name: what messages call it.
        max_bytes: the most that it may hold.

    Raises:
        UserError: it cannot be read, is larger, or is the pointer of a file that git-lfs keeps.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise UserError(f"{name}: holds {size:,} bytes; at most {max_bytes:,} are read")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror})") from None
    if data.startswith(_LFS):
        raise UserError(lfs_message(name))
    return data


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is the small text that git-lfs leaves in the place of a large one."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_LFS)) == _LFS
    except OSError:
        return False


def lfs_message(name: str) -> str:
    """What to tell of a git-lfs pointer."""
    return (
        f"{name}: is a git-lfs pointer, not the file itself; run `git lfs pull` in the folder that "
        "was cloned (after `git lfs install`), or download the file"
    )


def read_text(path: Path, name: str) -> str:
    """UTF-8 text, with or without a byte order mark; `name` is what messages call the file.

    Raises:
        UserError: as `read_bytes`, or not UTF-8.
    """
    try:
        return read_bytes(path, name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: is not UTF-8 text (byte {error.start})") from None


def read_object(path: Path, name: str) -> dict[str, Any]:
    """A JSON object; `name` is what messages call the file.

    Raises:
        UserError: as `read_text`, or not a JSON object, nested too deeply, with a number that is
            too long or none that JSON knows, or with text that is no Unicode.
    """
    text = read_text(path, name)

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no number in JSON")

    try:
        data = json.loads(text, parse_constant=refuse)
        if "\\u" in text:
            # A lone surrogate is no character: libraries that are given one raise far from here.
            json.dumps(data, ensure_ascii=False).encode()
    except RecursionError:
        raise UserError(f"{name}: is nested too deeply to be read") from None
    except UnicodeEncodeError:
        raise UserError(f"{name}: holds a lone surrogate (\\ud800 to \\udfff)") from None
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{name}: cannot be read as JSON ({first})") from None
    if not isinstance(data, dict):
        raise UserError(f"{name}: is no JSON object ({{...}})")
    return data
