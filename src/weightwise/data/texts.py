"""Cleaning of raw texts, and the keys under which two texts count as the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weightwise.data.matching import shown
from weightwise.data.sources import SourceTable
from weightwise.errors import UserError

# Tab, line feed and carriage return are ordinary white space; the other control characters stand
# in published files by accident (STS-B has one) and mean nothing.
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# What draws nothing without being white space or a format character: Unicode's
# Default_Ignorable_Code_Point beyond category Cf, and the braille blank.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
# Format characters that are drawn: Arabic, Syriac and Kaithi number signs.
_DRAWN = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")


def visible(text: str) -> bool:
    """Whether anything of a text can be seen: more than white space, characters of no width (such
    as U+200B, U+FEFF, soft hyphens, direction marks, variation selectors) and combining marks with
    nothing to combine with."""
    # Nearly always the first character answers.
    return any(_seen(character) for character in text)


def _seen(character: str) -> bool:
    if character.isalnum() and character < "\u034f":
        return True
    if character.isspace() or _BLANK.match(character):
        return False
    category = unicodedata.category(character)
    if category == "Cf":
        return _DRAWN.match(character) is not None
    return category not in ("Cc", "Mn", "Me")


def clean_texts(
    table: SourceTable, column: str, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Texts of a column as they stand, control characters replaced by a space each.

    Args:
        table: source.
        column: text column.
        positions: [n] positions in the table's frame.

    Returns:
        [n] texts (object; "" where missing), [n] bool, True where nothing of a text can be seen,
        and the number of texts in which a control character was replaced.

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
        if not isinstance(value, str) or "\0" in value or not value.isascii():
            _refuse_unfit(value, f"{table.at(int(positions[i]))}, column '{column}'")
        text = _CONTROL.sub(" ", value)
        replaced += text is not value and text != value
        texts[i] = text
    empty = np.array([not visible(text) for text in texts], dtype=bool)
    return texts, empty, replaced


def read_texts(
    table: SourceTable,
    column: str,
    positions: np.ndarray,
    refuse: str | None,
    tokenless: Callable[[Sequence[str]], np.ndarray],
) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Cleaned texts of a column, and which of them say nothing.

    Args:
        table: source.
        column: text column.
        positions: [n] positions in the table's frame.
        refuse: refuse texts that say nothing, naming these rows ("rows", "rows of stage 'A'");
            None: mark them.
        tokenless: which texts the tokenizer leaves without a token.

    Returns:
        [n] texts; by reason, [n] bool, True where a text says nothing for it; the number of texts
        in which a control character was replaced.

    Raises:
        UserError: as `clean_texts`, or a text that says nothing where `refuse` is given.
    """
    texts, empty, replaced = clean_texts(table, column, positions)
    without = np.zeros(len(texts), dtype=bool)
    without[~empty] = tokenless(texts[~empty].tolist())
    for nothing, what in (
        (empty, "an empty text"),
        (without, "a text of which the tokenizer leaves no token"),
    ):
        if refuse is not None and nothing.any():
            first = int(np.flatnonzero(nothing)[0])
            held = dict.fromkeys(f"U+{ord(c):04X}" for c in texts[first] if not c.isspace())
            only = f" (only {', '.join([*held][:5])})" if held else ""
            raise UserError(
                f"{table.at(int(positions[first]))}, column '{column}': {int(nothing.sum())} "
                f"{refuse} have {what}, this one first{only}; set `empty_text: drop` to leave "
                "them out"
            )
    return texts, {"empty text": empty, "text without a token": without}, replaced


def _refuse_unfit(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise UserError(f"{where}: {shown(value)} is not text; name a text column in `text`")
    if "\0" in value:
        raise UserError(
            f"{where}: holds a NUL character; is the file really text? "
            "`bad_rows: drop` at the source leaves such rows out"
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{where}: holds half of a surrogate pair; the file's escapes are broken "
            "(`bad_rows: drop` at the source leaves such rows out)"
        ) from None


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
