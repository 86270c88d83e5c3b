"""Rows of a JSON file: one object per line, or an array of objects."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from weightwise.data.encodings import UNREADABLE
from weightwise.errors import UserError

_SPACE = " \t\r\n"


@dataclass
class Records:
    """Objects as read.

    Attributes:
        records: column -> value per row.
        numbers: of each row: its line, or in an array its place from 1.
        broken: line or place of what is no row -> what is wrong.
        unit: what the numbers count: "line" or "record".
        sift: whether rows with NUL characters, halves of surrogate pairs or undecodable bytes are
            put into `broken`, too; False: whoever uses their column refuses them.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    unit: str = "line"
    sift: bool = False

    def take(self, number: int, value: Any, problem: str | None) -> None:
        """Put a value among the rows, or what is wrong with it among what is broken.

        Args:
            number: its line or place.
            value: the object; of no meaning where there is a problem.
            problem: what is wrong; None: nothing.
        """
        if problem is None:
            self.records.append(value)
            self.numbers.append(number)
        else:
            self.broken[number] = problem


class _Repeated(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Repeated(f"names {twice!r} twice, and which one counts cannot be known")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def read_records(text: str, name: str, sift: bool = False) -> Records:
    """The rows of a JSON file; an array is told from lines by its bracket.

    What is no row is put into `broken`, not refused.

    Args:
        text: the whole file.
        name: of it, for messages.
        sift: as in `Records`.

    Raises:
        UserError: an array that cannot be read to its end, or one object over several lines.
    """
    start = len(text) - len(text.lstrip(_SPACE))
    if text[start : start + 1] == "[":
        return _array(text, start, Records(unit="record", sift=sift), name)
    found = Records(sift=sift)
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip(_SPACE):
            _add(found, number, line.strip(_SPACE))
    lone = len(found.broken) > 1 and not found.records and text[start : start + 1] == "{"
    if lone and _one_object(text):
        raise UserError(
            f"{name}: is one JSON object over several lines; write an array of objects, or one "
            "object per line, each with the columns as its names"
        )
    return found


def _one_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _add(found: Records, number: int, text: str) -> None:
    """Parse a text that should be one row."""
    problem = None
    try:
        value, end = _DECODER.raw_decode(text)
        if end < len(text):
            problem = "is not valid JSON (something follows the object)"
    except (ValueError, RecursionError) as error:
        problem = _words(error)
    if problem is None:
        problem = _not_a_row(value, found.sift)
    found.take(number, value if problem is None else None, problem)


def _words(error: Exception) -> str:
    if isinstance(error, _Repeated):
        return str(error)
    if isinstance(error, RecursionError):
        return "is nested too deeply to be read"
    if isinstance(error, json.JSONDecodeError):
        return f"is not valid JSON ({error.msg}, character {error.pos + 1})"
    return "holds a number of too many digits"  # Python's limit for whole numbers


def _not_a_row(value: Any, sift: bool) -> str | None:
    """What keeps a value from being a row, if anything."""
    if not isinstance(value, dict):
        return "is not a JSON object of columns"
    for key, one in value.items():
        problem = _unreadable(key)  # no message could name such a column
        if problem is None and sift and isinstance(one, str):
            problem = _unreadable(one)
        if problem is not None:
            return problem
    return None


def _unreadable(text: str) -> str | None:
    if "\0" in text:
        return "holds a NUL character, which no text has"
    if text.isascii():
        return None
    if UNREADABLE.search(text):
        return "holds bytes that are no text in the stated encoding"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair (broken \\u escapes)"
    return None


def _array(text: str, start: int, found: Records, name: str) -> Records:
    """Elements of an array one by one, so that one that is no row can be told apart."""
    at, number = _skip(text, start + 1), 0
    while text[at : at + 1] != "]":
        number += 1
        begin = at
        try:
            value, at = _DECODER.raw_decode(text, at)
        except _Repeated as error:
            # The element is well formed, so where it ends can be found.
            _, at = json.JSONDecoder().raw_decode(text, at)
            value, problem = None, str(error)
        except (ValueError, RecursionError) as error:
            problem = _words(error).partition(", character")[0]
            problem += ")" if "(" in problem and not problem.endswith(")") else ""
            pos = error.pos if isinstance(error, json.JSONDecodeError) else begin
            line = text.count("\n", 0, pos) + 1
            raise UserError(f"{name}, line {line}: record {number} {problem}") from None
        else:
            problem = _not_a_row(value, found.sift)
        found.take(number, value, problem)
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
            if text[at : at + 1] != "]":
                continue
        elif text[at : at + 1] == "]":
            break
        line = text.count("\n", 0, at) + 1
        raise UserError(
            f"{name}, line {line}: is not valid JSON (after record {number} a comma and a record, "
            "or the end of the array, were expected)"
        )
    rest = _skip(text, at + 1)
    if rest < len(text):
        line = text.count("\n", 0, rest) + 1
        raise UserError(f"{name}, line {line}: something follows the end of the JSON array")
    return found


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
