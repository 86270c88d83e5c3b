"""Labels in any script: which ones the figures' own font can draw, and what is done with others.

Figures have their text as outlines of DejaVu Sans, which looks the same everywhere. It lacks
Chinese, Japanese, Korean, the scripts of India and most emoji, and text from right to left needs
more than outlines in a row. Such a label stays text in the SVG, and whoever opens the report draws
it with fonts of their own machine, as with the text of the page.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterable

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font

WIDE, NARROW = 1.0, 0.65
"""Widths that are assumed for letters of other fonts, in ems: ideographs and emoji, all others."""
MOST_LOOKED_FOR = 200
"""Letters for which the fonts of this machine are searched."""
# They turn the direction of what follows, beyond the label that they stand in.
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_INVISIBLE = ("Mn", "Me", "Cf")


def writable(text: str) -> str:
    """The text without what may not stand in XML, or would turn the label around it."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs", "Cn") else c
        for c in _TURNING.sub("", text)
    )


def foreign_letters(text: str, font: FontProperties) -> str:
    """The letters of a text that the font cannot draw; where one needs more than an outline, since
    its script runs from right to left or joins its letters, this one, too. Empty: it can be drawn.

    Args:
        text: a label.
        font: the font of the figure.
    """
    if text.isascii():
        return ""
    face = _face(font)
    return "".join(
        c
        for c in dict.fromkeys(text)
        if not c.isascii() and (not face.get_char_index(ord(c)) or _needs_shaping(c))
    )


def assumed_width(text: str, foreign: str) -> float:
    """The width of the foreign letters of a text, in ems."""
    strange = set(foreign)
    return sum(_width(c) for c in text if c in strange)


def letters_without_a_font(letters: Iterable[str]) -> list[str]:
    """Those of the letters for which no font is installed on this machine, sorted.

    Asks fontconfig, as browsers do; without it matplotlib's list of fonts, which has no colour
    emoji.
    """
    wanted = sorted({c for c in letters if unicodedata.category(c) not in _INVISIBLE})
    return [c for c in wanted[:MOST_LOOKED_FOR] if not _has_a_font(c)]


def _needs_shaping(character: str) -> bool:
    return unicodedata.bidirectional(character) in ("R", "AL", "AN") or (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
    )


def _width(character: str) -> float:
    if unicodedata.category(character) in _INVISIBLE:
        return 0.0
    if unicodedata.east_asian_width(character) in "WF" or ord(character) >= 0x1F000:
        return WIDE
    return NARROW


def _face(font: FontProperties) -> FT2Font:
    return font_manager.get_font(font_manager.findfont(font))


@functools.cache
def _has_a_font(character: str) -> bool:
    if shutil.which("fc-list"):
        try:
            done = subprocess.run(
                ["fc-list", f":charset={ord(character):x}", "family"],
                capture_output=True,
                timeout=20,
                check=True,
            )
            return bool(done.stdout.strip())
        except (OSError, subprocess.SubprocessError):
            pass
    return any(ord(character) in charmap for charmap in _charmaps())


@functools.cache
def _charmaps() -> tuple[frozenset[int], ...]:
    found = []
    fonts = font_manager.fontManager.ttflist
    # Matplotlib's font of last resort has a box for every letter.
    for path in {entry.fname for entry in fonts if "last resort" not in entry.name.lower()}:
        try:
            found.append(frozenset(FT2Font(path).get_charmap()))
        except (OSError, RuntimeError):
            continue  # a font that cannot be opened draws nothing
    return tuple(found)
