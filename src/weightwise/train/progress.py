"""Progress of a run for people: lines in a log, a bar by hand."""

from __future__ import annotations

import sys
import time

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from weightwise.train.resumable import Progress


def describe_epoch(number: int, scores, best) -> str:
    """`epoch 2: SEN dev 0.412 (loss 1.321, best so far), ...`"""
    parts = []
    for task, scored in scores.items():
        mark = ", best so far" if best[task] else ""
        parts.append(f"{task} dev {scored.score:.4f} (loss {scored.loss:.4f}{mark})")
    return f"epoch {number}: " + ", ".join(parts)


class LogProgress(Progress):
    """One line per epoch, for the log of a job."""

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

    def epoch(self, number: int, scores, best) -> None:
        """Say how the epoch went."""
        seconds = time.monotonic() - self.started
        text = self.describe(number, scores, best)
        print(f"[{seconds:7.1f} s] {text}", file=self.out, flush=True)

    def describe(self, number: int, scores, best) -> str:
        """An epoch in words."""
        return describe_epoch(number, scores, best)

    def stop(self) -> None:
        """A log needs no end."""


class BarProgress(Progress):
    """A bar with losses and ETA, for a run by hand."""

    def __init__(self, label: str):
        """Args: what the bar is labelled with."""
        self.bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps, loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
        )
        self.label = label
        self.task = None

    def start(self, steps: int, done: int = 0) -> None:
        """Show the bar."""
        self.bar.start()
        self.task = self.bar.add_task(self.label, total=steps, completed=done, loss="-")

    def note(self, text: str) -> None:
        """Print it above the bar."""
        self.bar.console.print(text, markup=False)

    def step(self, number: int, epoch: int, record) -> None:
        """Move the bar."""
        loss = " ".join(f"{x:.3f}" for x in record.losses)
        self.bar.update(self.task, advance=1, loss=loss)

    def epoch(self, number: int, scores, best) -> None:
        """Print the epoch's line above the bar."""
        self.bar.console.print(describe_epoch(number, scores, best), markup=False)

    def stop(self) -> None:
        """Leave the bar as it is."""
        self.bar.stop()
