"""Cleaning of raw texts, and the keys under which two texts count as the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from weightwise.data.sources import SourceTable
from weightwise.errors import UserError

# Tab, line feed and carriage return are ordinary white space; the other control characters stand
# in published files by accident (STS-B has one) and mean nothing.
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def clean_texts(
    table: SourceTable, column: str, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Texts of a column as they stand, control characters replaced by a space each.

    Args:
        table: source.
        column: text column.
        positions: [n] positions in the table's frame.

    Returns:
        [n] texts (object; "" where missing), [n] bool, True where a text is empty or only white
        space, and the number of texts in which a control character was replaced.

    Raises:
        UserError: no such column, a value that is no text, or a text with NUL characters or
            halves of surrogate pairs, which no tokenizer can take.
    """
    raw = table.column(column).to_numpy(dtype=object)[positions]
    texts = np.empty(len(raw), dtype=object)
    replaced = 0
    for i, value in enumerate(raw):
        if value is None:
            texts[i] = ""
            continue
        where = f"{table.at(int(positions[i]))}, column '{column}'"
        if not isinstance(value, str):
            raise UserError(f"{where}: {value!r} is not text; name a text column in `text`")
        if "\0" in value:
            raise UserError(
                f"{where}: holds a NUL character; is the file really text? "
                "`bad_rows: drop` at the source leaves such rows out"
            )
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise UserError(
                    f"{where}: holds half of a surrogate pair; the file's escapes are broken "
                    "(`bad_rows: drop` at the source leaves such rows out)"
                ) from None
        text = _CONTROL.sub(" ", value)
        replaced += text is not value and text != value
        texts[i] = text
    empty = np.array([not t.strip() for t in texts], dtype=bool)
    return texts, empty, replaced


def same_text_key(text: str) -> str:
    """Texts with equal keys count as the same: case folded, white space collapsed."""
    return " ".join(text.casefold().split())


def sentence_keys(text_a: Sequence[str], text_b: Sequence[Any]) -> list[tuple[str, ...]]:
    """Per row, the sorted keys of its one or two texts: equal for a pair in either order.

    Args:
        text_a: [n] texts.
        text_b: [n] second texts; anything but a string where there is none.
    """
    return [
        tuple(sorted((same_text_key(a), same_text_key(b))))
        if isinstance(b, str)
        else (same_text_key(a),)
        for a, b in zip(text_a, text_b, strict=True)
    ]
