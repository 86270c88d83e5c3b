"""Which of some values that a study names a cell of a table is, and how messages show cells.

A cell is what its file gives: text from csv and tsv; from jsonl and Parquet also truth values,
whole numbers of any size, real numbers, decimals, dates, bytes, lists and mappings.
"""

from __future__ import annotations

import datetime
import math
import numbers
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from weightwise.config.values import spelled
from weightwise.data.values import number, spelling

_LONGEST_SHOWN = 80
_SHOWN_LETTERS = 60


def exact(value: Any, decimal: str = ".") -> Decimal | None:
    """A cell as a number to the last digit, so that 1, "1.0" and Decimal("1.00") are one; None for
    what is no finite number, truth values included.

    Args:
        value: the cell.
        decimal: decimal mark of text, "." or ",".
    """
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, numbers.Integral):
        return Decimal(int(value))
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, str) and decimal == "." and math.isfinite(number(value)):
        return Decimal(value.strip())
    plain = number(value, decimal)
    # The shortest text of a float, which is what a person would have written.
    return Decimal(repr(plain)) if math.isfinite(plain) else None


def truth(value: Any) -> bool | None:
    """A truth value, or the word true or false however it is written; None for anything else."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else ""
    return {"true": True, "false": False}.get(word)


def positions_among(values: Sequence[Any], wanted: Sequence[str], decimal: str = ".") -> np.ndarray:
    """Which of some spellings each cell is: [n] int64 positions in `wanted`, -1 for none.

    A cell is one of them if its text is; else if it is the same number, or the same truth value,
    and no two of them are.

    Args:
        values: [n] cells.
        wanted: spellings that differ from each other.
        decimal: decimal mark of cells that are text.
    """
    spellings = {text: i for i, text in enumerate(wanted)}
    by_value: dict[Any, int | None] = {}
    for i, text in enumerate(wanted):
        key = _key(text, ".")
        if key is not None:
            by_value[key] = None if key in by_value else i
    found = np.full(len(values), -1, dtype=np.int64)
    for i, value in enumerate(values):
        if is_unreadable(value):
            continue
        text = spelling(value)
        position = spellings.get(text, spellings.get(text.strip()))
        if position is None and by_value:
            position = by_value.get(_key(value, decimal))
        if position is not None:
            found[i] = position
    return found


def _key(value: Any, decimal: str) -> Any:
    said = truth(value)
    return exact(value, decimal) if said is None else ("truth", said)


def among(cells: Sequence[Any], wanted: Sequence[Any], decimal: str = ".") -> np.ndarray:
    """[n] bool: which cells are one of some values of a study's file.

    Args:
        cells: [n] raw values.
        wanted: text, which a cell must be spelled as (numbers of jsonl and Parquet may also be
            equal to it); numbers, which it must be equal to; truth values.
        decimal: decimal mark of cells that are text.
    """
    texts = {spelled(value) for value in wanted if isinstance(value, str)}
    quoted = {exact(text) for text in texts} - {None}
    plain = {exact(value) for value in wanted if not isinstance(value, str)} - {None}
    truths = {value for value in wanted if isinstance(value, bool)}

    def chosen(cell: Any) -> bool:
        if spelling(cell) in texts:
            return True
        if truths and truth(cell) in truths:
            return True
        equal = plain if isinstance(cell, str) else plain | quoted
        return bool(equal) and exact(cell, decimal) in equal

    return np.array([chosen(cell) for cell in cells], dtype=bool)


def is_unreadable(value: Any) -> bool:
    """Whether a cell is of a kind that no label is: a date, bytes, a list, a mapping."""
    return not (value is None or isinstance(value, str | np.bool_ | numbers.Real | Decimal))


def kind(value: Any) -> str:
    """The kind of a cell in words, such as `a date`."""
    for types, words in (
        (datetime.date, "a date"),
        (datetime.time | datetime.timedelta, "a time"),
        (bytes | bytearray, "bytes"),
        (dict, "a mapping"),
        (list | tuple, "a list"),
    ):
        if isinstance(value, types):
            return words
    return f"of type {type(value).__name__}"


def shown(value: Any) -> str:
    """A cell as messages show it, long ones cut."""
    if isinstance(value, str | bytes) and len(value) > _LONGEST_SHOWN:
        return repr(value[:_SHOWN_LETTERS]) + f"... ({len(value):,} characters)"
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"a number of {value.bit_length():,} bits"
    return text if len(text) <= _LONGEST_SHOWN else text[:_SHOWN_LETTERS] + "..."
