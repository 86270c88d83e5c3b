"""Choosing rows of a table by the value of a column."""

from __future__ import annotations

from pydantic import model_validator

from weightwise.config.base import Strict
from weightwise.config.values import Scalars


class RowFilter(Strict):
    """Keep the rows whose `column` is one of `values`, or lies in [minimum, maximum]."""

    column: str
    """Column of the source table."""
    values: Scalars | None = None
    """Values to keep, or one. Text is compared as text; a number by its value, so that 1 is 1.0;
    true and false with truth values and with the words, however they are written. An empty field
    is `""`."""
    minimum: float | None = None
    """Smallest value to keep."""
    maximum: float | None = None
    """Largest value to keep."""
    exclude: bool = False
    """True: drop the matching rows instead of keeping them."""

    @model_validator(mode="after")
    def _say_something(self) -> RowFilter:
        if self.values is None and self.minimum is None and self.maximum is None:
            raise ValueError("a row filter needs `values`, `minimum` or `maximum`")
        return self
