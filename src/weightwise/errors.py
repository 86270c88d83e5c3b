"""The exceptions that a user is meant to read, and the hint at what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something in the user's hands is wrong: a configuration, a data file, a checkpoint.

    The message names the file, row or key and the remedy; the command line prints it without a
    traceback.
    """


class Diverged(Exception):
    """A loss or a gradient is not finite; the message names the task."""


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the closest known word, or the whole list where none is close."""
    known = sorted(known)
    word = word[:100]  # to compare texts takes the square of their length
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return "known: " + ", ".join(known)
