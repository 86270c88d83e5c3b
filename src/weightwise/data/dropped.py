"""A record of the rows that were left out: which, of which table, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

SHOWN = 10
"""Most row numbers that the facts list for a reason."""


@dataclass
class Dropped:
    """Rows of one task that were left out.

    Attributes:
        counts: per table, or per split of a table that a column divides, rows by reason.
        parts: (table or split, reason, row numbers) in the order of the steps.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    parts: list[tuple[str, str, np.ndarray]] = field(default_factory=list)

    def add(self, where: str, reason: str, rows: np.ndarray) -> None:
        """Leave rows out.

        Args:
            where: table or split.
            reason: why, in a few words that follow a number of rows.
            rows: [n] row numbers in the source; none: nothing is recorded.
        """
        counts = self.counts.setdefault(where, Counter())
        if len(rows):
            counts[reason] += len(rows)
            self.parts.append((where, reason, np.asarray(rows, dtype=np.int64)))

    def rows(self, where: str) -> np.ndarray:
        """The row numbers left out of a table or split, in no order."""
        parts = [rows for key, _, rows in self.parts if key == where]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def first(self) -> dict[str, dict[str, list[int]]]:
        """Per table or split and reason, the first row numbers, at most `SHOWN`."""
        found: dict[str, dict[str, np.ndarray]] = {where: {} for where in self.counts}
        for where, reason, rows in self.parts:
            known = found[where].get(reason, np.zeros(0, dtype=np.int64))
            found[where][reason] = np.sort(np.concatenate((known, rows)))[:SHOWN]
        return {
            where: {reason: rows.tolist() for reason, rows in reasons.items()}
            for where, reasons in found.items()
        }

    def frame(self, task: str) -> pd.DataFrame:
        """All of them, columns of the table `DroppedRows`."""
        frames = [
            pd.DataFrame({"task": task, "table": where, "row": rows, "reason": reason})
            for where, reason, rows in self.parts
        ]
        columns = ["task", "table", "row", "reason"]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)

    def told(self) -> str:
        """Counts of all tables by reason, in words; "" if nothing was left out."""
        total = sum(self.counts.values(), Counter())
        return ", ".join(f"{count:,} {reason}" for reason, count in total.items())
