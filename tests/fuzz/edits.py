"""Damage to bytes, and values that no reader expects: strategies that several kinds draw from."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

PIECES = (
    *(b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b"\t", b",", b'"'),
    *(b"'", b"{", b"}", b"[", b"]", b":", b"\\", b"\\ud800", b"\xed\xa0\x80", b"\xe2\x80\xa8"),
    *(b"\x85", b"\x1a", b"=1+1", b"9" * 400, b"-1", b"1e999", b"NaN", b"null", b"PK\x03\x04"),
    *(b"\x1f\x8b", b"BZh", b"PAR1", b"\x80\x04", b"\xff" * 8, b"\x00" * 512),
)

VALUES = (
    *(None, True, False, 0, -1, 1, 2, 7, 1.5, -0.0, 10**9, 2**31, 2**62, 2**64, 10**18, 1e-320),
    *("", " ", "0", "2", "x", "gelu", "\ud800", "\u202e", "a\x00b", "../../x", "/", "9" * 5000),
    *([], ["gelu"], {}, {"a": 1}, [[]], [None], ["auto", "x.Y"], {"type": "ByteLevel"}),
)
"""Values for a key of a JSON file."""


@st.composite
def edits(draw: st.DrawFn, most: int = 4) -> list[tuple[float, int, bytes]]:
    """Up to so many changes of bytes: (place as a share of the file, bytes to take away, bytes to
    put there)."""
    one = st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from((0, 0, 1, 1, 2, 4, 16, 200, 10**9)),
        st.one_of(st.just(b""), st.sampled_from(PIECES), st.binary(max_size=6)),
    )
    return draw(st.lists(one, max_size=most))


def edited(data: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """The bytes with the changes made."""
    for share, gone, new in changes:
        place = int(share * (len(data) + 1))
        data = data[:place] + new + data[place + gone :]
    return data


@st.composite
def json_edits(draw: st.DrawFn, most: int = 3) -> list[tuple[int, str, Any]]:
    """Changes of a JSON file: (which value, how, its new value)."""
    how = st.sampled_from(("set", "set", "set", "drop", "rename", "nest"))
    value = st.one_of(st.sampled_from(VALUES), st.integers(-3, 70), st.text(max_size=4))
    return draw(st.lists(st.tuples(st.integers(0, 10**6), how, value), max_size=most))


def json_edited(text: str, changes: list[tuple[int, str, Any]]) -> bytes:
    """The JSON file with the changes made."""
    data = json.loads(text)
    for which, how, value in changes:
        spots = _spots(data)
        if not spots:
            break
        holder, key = spots[which % len(spots)]
        if how == "set":
            holder[key] = value
        elif how == "nest":
            holder[key] = [holder[key]]
        elif how == "drop" or isinstance(holder, list):
            del holder[key]
        else:
            holder[f"{key}s"] = holder.pop(key)
    return json.dumps(data).encode()


def _spots(data: Any) -> list[tuple[Any, Any]]:
    """Every value below, as what holds it and its key."""
    found = []
    for key, value in list(data.items() if isinstance(data, dict) else enumerate(data)):
        found.append((data, key))
        if isinstance(value, dict | list):
            found += _spots(value)
    return found
