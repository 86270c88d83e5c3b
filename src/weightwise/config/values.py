"""Values of a data table as a study's file names them: YAML reads many as something else."""

from __future__ import annotations

import datetime
import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def plain(value: Any) -> Any:
    """A truth value, number or text as it is.

    Args:
        value: what YAML made of an entry.

    Raises:
        ValueError: YAML read the entry as something that no cell of a table can be compared with.
    """
    if value is None:
        raise ValueError("put it in quotes: YAML reads null, ~ and an empty entry as nothing")
    if isinstance(value, datetime.date):
        raise ValueError(f"put it in quotes: YAML reads {value} as a date")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"put it in quotes: YAML reads {value} as a number")
    if not isinstance(value, bool | int | float | str):
        raise ValueError("must be text, a number, true or false; put text in quotes")
    return value


def spelled(value: Any) -> str:
    """The spelling of an entry: of true and false JSON's, of a number the shortest.

    Args:
        value: what YAML made of it.

    Raises:
        ValueError: as `plain`.
    """
    value = plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, bool | int | float | str) else value


Scalar = Annotated[bool | int | float | str, BeforeValidator(plain)]
"""One value of a table's column."""
Spelled = Annotated[str, BeforeValidator(spelled)]
"""Text that YAML may have read as a number or a truth value."""
Scalars = Annotated[tuple[Scalar, ...], BeforeValidator(_listed), Field(min_length=1)]
"""One value, or a list of values."""
Columns = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
"""One column, or a list of columns."""
OneOrTwoColumns = Annotated[
    tuple[str, ...], BeforeValidator(_listed), Field(min_length=1, max_length=2)
]
"""One text column, or a pair of them."""
