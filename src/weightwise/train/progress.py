"""Progress for people: lines in a log, a bar by hand, the study's ETA on the terminal."""

from __future__ import annotations

import itertools
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

from weightwise.duration import duration
from weightwise.runs import StudyRuns
from weightwise.train.loop import Progress

RECENT = 20
# Jobs side by side finish in bunches; the gaps between a few of them tell nothing.
ENOUGH = 6


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
        print(
            f"[{seconds:7.1f} s] {describe_epoch(number, scores, best)}", file=self.out, flush=True
        )

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


def _since_last_pause(finished: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """The runs after the last long gap: yesterday's runs say nothing of today's rate."""
    gaps = [after[0] - before[0] for before, after in itertools.pairwise(finished)]
    typical = sorted(gaps)[len(gaps) // 2] if gaps else 0.0
    longest = max(10 * typical, 600.0)
    starts = [i + 1 for i, gap in enumerate(gaps) if gap > longest]
    return finished[starts[-1] :] if starts else finished


def study_progress(runs: StudyRuns) -> str:
    """`12 of 63 runs done, ETA 4 min`, from the files alone.

    The rate is that of the most recent runs, weighted by their number of tasks, so that it holds
    for any number of jobs side by side and after a restart.
    """
    finished = []
    total = runs.grid.runs
    for run in total:
        try:
            written = (runs.folder(run) / "run.json").stat().st_mtime
        except OSError:
            continue
        finished.append((written, len(run.group)))
    finished.sort()
    text = f"{len(finished)} of {len(total)} runs done"
    recent = _since_last_pause(finished)[-RECENT:]
    left = sum(len(run.group) for run in total) - sum(size for _, size in finished)
    if len(recent) < ENOUGH or left <= 0:
        return text
    span = max(recent[-1][0] - recent[0][0], 1e-9)
    return f"{text}, ETA {duration(left * span / sum(size for _, size in recent[1:]))}"
