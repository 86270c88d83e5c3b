"""Texts of the data on the page: written by anyone, so shown and never obeyed."""

from __future__ import annotations

import unicodedata

from weightwise.report.html import Cell

LONGEST = 200
# They join letters and signs into one, which some scripts are written with.
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


def shown(text: str, longest: int = LONGEST) -> str:
    """The text on one line, at most `longest` characters of it and an ellipsis in place of more.

    White space of any kind becomes single spaces. What else cannot be seen, such as a control
    character or one that turns the direction of writing (U+202A to U+202E, U+2066 to U+2069), is
    written as its number, `[U+202E]`; it counts as one character.
    """
    line = " ".join(text.split())
    if len(line) > longest:
        line = line[: longest - 1].rstrip() + "…"
    return "".join(f"[U+{ord(c):04X}]" if _hidden(c) else c for c in line)


def text_cell(text: object) -> Cell:
    """A cell of a foreign text; its look isolates its direction of writing from the page's."""
    return Cell(shown(text) if isinstance(text, str) else "", look="foreign")


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf") and character not in JOINERS
