"""Progress of a stage for people: a line per epoch."""

from __future__ import annotations

from weightwise.stages.outcome import NAMES
from weightwise.train.progress import LogProgress


class StageLog(LogProgress):
    """One line per epoch, for a log or a terminal."""

    def describe(self, number: int, scores: dict[str, float], best: dict[str, bool]) -> str:
        """What was measured after the epoch (0: before the first)."""
        found = ", ".join(f"{NAMES[name]} {value:.4f}" for name, value in scores.items())
        return f"epoch {number}: {found}" if number else f"before: {found}"
