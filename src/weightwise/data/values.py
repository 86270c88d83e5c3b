"""Raw values of a table's column as numbers, as spellings, and in words.

A cell is what its file gives: text from csv and tsv; from jsonl and Parquet also truth values,
whole numbers of any size, real numbers, decimals, dates, bytes, lists and mappings.
"""

from __future__ import annotations

import datetime
import decimal
import math
import numbers as numeric
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# ASCII digits and no underscores: float() of a text takes more than people mean by a number.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.ASCII | re.I)
_LONGEST_SHOWN = 80


def number(value: Any, decimal_mark: str = ".") -> float:
    """A cell as a number; NaN for what is none, an infinity for what is too large.

    Args:
        value: the cell.
        decimal_mark: `.` or `,`; what stands before the decimals in text.
    """
    if isinstance(value, str):
        text = value.strip()
        if decimal_mark != ".":
            # A dot would group thousands here, or show that the file has no decimal commas.
            text = "" if "." in text else text.replace(decimal_mark, ".")
        return float(text) if _NUMBER.fullmatch(text) else math.nan
    if isinstance(value, bool | int | float | decimal.Decimal | np.number | np.bool_):
        try:
            return float(value)
        except OverflowError:
            return math.copysign(math.inf, value)
        except ValueError:  # a signalling NaN
            return math.nan
    return math.nan


def numbers(values: Iterable[Any], decimal_mark: str = ".") -> np.ndarray:
    """`number` of many cells: [n] float64."""
    return np.fromiter((number(value, decimal_mark) for value in values), dtype=float)


def spelling(value: Any) -> str:
    """The text that a cell is compared as: of a truth value JSON's, of null none."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    try:
        return str(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"{value:#x}"


def exact(value: Any, decimal_mark: str = ".") -> decimal.Decimal | None:
    """A cell as a number to the last digit, so that 1, "1.0" and Decimal("1.00") are one; None for
    what is no finite number, truth values included."""
    if isinstance(value, str):
        if not math.isfinite(number(value, decimal_mark)):
            return None
        return decimal.Decimal(value.strip().replace(decimal_mark, "."))
    if isinstance(value, bool | np.bool_) or not isinstance(value, numeric.Real | decimal.Decimal):
        return None
    if isinstance(value, numeric.Integral):
        return decimal.Decimal(int(value))
    if isinstance(value, decimal.Decimal):
        return value if value.is_finite() else None
    # The shortest text of a float, which is what a person would have written.
    return decimal.Decimal(repr(float(value))) if math.isfinite(value) else None


def truth(value: Any) -> bool | None:
    """A truth value, or the word true or false however it is written; None for anything else."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else ""
    return {"true": True, "false": False}.get(word)


def positions_among(
    values: Sequence[Any], wanted: Sequence[str], decimal_mark: str = "."
) -> np.ndarray:
    """Which of some spellings each cell is: [n] int64 positions in `wanted`, -1 for none.

    A cell is one of them if its text is; else if it is the same number, or the same truth value,
    and no two of them are.

    Args:
        values: [n] cells.
        wanted: spellings that differ from each other.
        decimal_mark: of numbers in text.
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
            position = by_value.get(_key(value, decimal_mark))
        if position is not None:
            found[i] = position
    return found


def _key(value: Any, decimal_mark: str) -> Any:
    said = truth(value)
    if said is not None:
        return ("truth", said)
    return exact(value, decimal_mark)


def is_unreadable(value: Any) -> bool:
    """Whether a cell is of a kind that no label is: a date, bytes, a list, a mapping."""
    return not (
        value is None or isinstance(value, str | bool | np.bool_ | numeric.Real | decimal.Decimal)
    )


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
        return repr(value[:_LONGEST_SHOWN]) + f"... ({len(value):,} characters)"
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"a number of {value.bit_length():,} bits"
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
