"""How the values of a source become text and numbers, the same for every format.

`csv` and `tsv` hold text only. `json` and `parquet` hold values, which stay what they are until
they are used: as a class, an id or in `where: values` by their spelling, in a numeric label or
`where: minimum` as a number.
"""

from __future__ import annotations

import datetime
import math
import re
from decimal import Decimal
from typing import Any

import numpy as np

# Groups of three digits, a comma and decimals: 1.234,5 or 1 234,5 or 0,25.
_COMMA = re.compile(r"[+-]?(\d{1,3}(?:[.\s\u00a0\u202f'’]\d{3})+|\d*)(?:,(\d+))?([eE][+-]?\d+)?")


def spelling(value: Any) -> str | None:
    """The text that stands for a value: JSON's `true` and `false`, dates as in ISO 8601, numbers
    as written (a decimal keeps its zeros), "" for null. None where nothing does (lists, objects).

    Args:
        value: from a column of a `SourceTable`.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal | np.number):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return None


def number(value: Any, decimal: str = ".") -> float:
    """A value as a number: numbers, booleans (0 and 1) and text that is one; NaN otherwise.

    Args:
        value: from a column of a `SourceTable`.
        decimal: decimal mark of text, "." or ",".
    """
    if isinstance(value, str):
        return _number_of_text(value.strip(), decimal)
    if isinstance(value, bool | int | float | Decimal | np.number | np.bool_):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
        except ValueError:  # a signalling NaN
            return math.nan
    return math.nan


def _number_of_text(text: str, decimal: str) -> float:
    if decimal == ",":
        found = _COMMA.fullmatch(text)
        if found is None or not (found[1] or found[2]):
            return math.nan
        sign = "-" if text.startswith("-") else ""
        whole = re.sub(r"\D", "", found[1])
        text = f"{sign}{whole or 0}.{found[2] or 0}{found[3] or ''}"
    elif "_" in text:  # Python reads 1_000, data files mean a word
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan


def numbers(values: np.ndarray, decimal: str = ".") -> np.ndarray:
    """[n] float64 of [n] values (object), as `number` reads each."""
    return np.array([number(value, decimal) for value in values], dtype=float)


def decimal_comma(value: Any) -> bool:
    """Whether text is a number with a decimal comma, such as `2,5` (a hint at `decimal: ","`)."""
    return isinstance(value, str) and bool(re.fullmatch(r"[+-]?\d+,\d+", value.strip()))
