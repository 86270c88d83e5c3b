"""Progress of a stage for people: a line per epoch."""

from __future__ import annotations

import sys
import time

from weightwise.stages.outcome import NAMES
from weightwise.train.resumable import Progress


class StageLog(Progress):
    """One line per epoch, for a log or a terminal."""

    def __init__(self, out=None):
        """Args: a stream; None: standard error."""
        self.out = out or sys.stderr
        self.started = time.monotonic()

    def start(self, steps: int, done: int = 0) -> None:
        """Say how long it will be."""
        print(f"{steps - done} steps", file=self.out, flush=True)

    def note(self, text: str) -> None:
        """Say it."""
        print(text, file=self.out, flush=True)

    def epoch(self, number: int, scores: dict[str, float], best: dict[str, bool]) -> None:
        """Say what was measured after the epoch (0: before the first)."""
        found = ", ".join(f"{NAMES[name]} {value:.4f}" for name, value in scores.items())
        seconds = time.monotonic() - self.started
        word = f"epoch {number}" if number else "before"
        print(f"[{seconds:7.1f} s] {word}: {found}", file=self.out, flush=True)
