"""How far a study is, from files alone. Imports no torch."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weightwise.alive import is_alive
from weightwise.config import StudyConfig
from weightwise.duration import duration
from weightwise.errors import UserError
from weightwise.files import read_json
from weightwise.grid import Grid
from weightwise.layout import Layout
from weightwise.runs import StudyRuns

RECENT = 20
# Jobs side by side finish in bunches; the gaps between a few of them tell nothing.
ENOUGH = 6
STATES = ("done", "running", "waiting", "stopped", "failed")


@dataclass(frozen=True)
class Status:
    """What is known of a run or a stage: its state (one of STATES), the sign of life of a running
    one, the note of a failed or stopped one, and where its log is."""

    id: str
    state: str
    facts: dict[str, Any]
    log: Path

    @property
    def reason(self) -> str:
        """Why it failed or stopped."""
        return str(self.facts.get("error", ""))

    @property
    def last_line(self) -> str:
        """The last line of its log that says something."""
        return last_line(self.log)


@dataclass(frozen=True)
class RunStatus(Status):
    """A run; what it costs goes by its number of tasks."""

    tasks: int


@dataclass
class StudyStatus:
    """A study's runs and stages, and who works on it since when (times in seconds since the
    epoch)."""

    runs: list[RunStatus]
    prepared: bool
    stages: list[Status] = field(default_factory=list)
    invocation: dict[str, Any] = field(default_factory=dict)
    finished: list[tuple[float, int]] = field(default_factory=list)
    """When each run was finished, and its number of tasks."""

    def count(self, state: str) -> int:
        """Runs in that state."""
        return sum(one.state == state for one in self.runs)

    @property
    def elapsed(self) -> float | None:
        """Seconds since the last command that works or worked on the study began."""
        started = self.invocation.get("started")
        if not isinstance(started, int | float):
            return None
        return max(0.0, (self.invocation.get("ended") or time.time()) - started)

    @property
    def eta(self) -> float | None:
        """Seconds until the last run is done at the present rate; None where it is unknown."""
        left = sum(one.tasks for one in self.runs if one.state != "done")
        rate = _rate(self.finished) or self._rate_of_running()
        running = sum(_share(one.facts) * one.tasks for one in self._running())
        return max(0.0, left - running) / rate if left and rate and self._running() else None

    def _running(self) -> list[RunStatus]:
        return [one for one in self.runs if one.state == "running"]

    def _rate_of_running(self) -> float:
        """Tasks of runs per second, from how far the running ones are."""
        rate = 0.0
        for one in self._running():
            steps, taken = one.facts.get("steps"), one.facts["step"] - one.facts["start_step"]
            seconds = one.facts["written"] - one.facts["started"]
            if steps and taken and seconds > 0:
                rate += one.tasks * taken / steps / seconds
        return rate


def study_status(study: StudyConfig, layout: Layout) -> StudyStatus:
    """Where every run of a study is. Reads small files only; works beside a running study."""
    invocation = read_json(layout.invocation)
    known = invocation if isinstance(invocation, dict) else {}
    found = StudyStatus([], True, invocation=known)
    try:
        runs = StudyRuns(study, layout)
    except UserError:
        found.prepared = False
        grid = Grid(study)
        found.runs = [
            RunStatus(run.id, "waiting", {}, layout.log(run, grid.fingerprint(run)), len(run.group))
            for run in grid.runs
        ]
        found.stages = [
            Status(
                f"stage {one}", "waiting", {}, layout.stage_log(one, grid.stage_fingerprint(one))
            )
            for one in grid.stages
        ]
        return found
    for run in runs.grid.runs:
        mark = runs.grid.fingerprint(run)
        state, facts = _state(runs.record(run), layout.running(run, mark), runs.failure(run))
        found.runs.append(RunStatus(run.id, state, facts, runs.log(run), len(run.group)))
    for name in runs.grid.stages:
        mark = runs.grid.stage_fingerprint(name)
        beat = layout.stage_file("running", name, mark)
        state, facts = _state(runs.stage_record(name), beat, runs.stage_failure(name))
        found.stages.append(Status(f"stage {name}", state, facts, layout.stage_log(name, mark)))
    found.finished = finished_runs(runs)
    return found


def _state(record: dict | None, beating: Path, note: dict | None) -> tuple[str, dict[str, Any]]:
    """The state of what leaves a record, a sign of life or a note, and the facts of that state."""
    if record is not None:
        return "done", {}
    beat = read_json(beating)
    if isinstance(beat, dict) and is_alive(beat):
        return "running", beat
    if note is not None:
        return "stopped" if note.get("stopped") else "failed", note
    return "waiting", {}


def last_line(log: Path) -> str:
    """The last line of a log that is not empty; nothing where there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def finished_runs(runs: StudyRuns) -> list[tuple[float, int]]:
    """When each finished run was written, and its number of tasks; in order of time."""
    finished = []
    for run in runs.grid.runs:
        try:
            written = (runs.folder(run) / "run.json").stat().st_mtime
        except OSError:
            continue
        finished.append((written, len(run.group)))
    return sorted(finished)


def study_progress(runs: StudyRuns) -> str:
    """`12 of 63 runs done, ETA 4 min`.

    The rate is that of the most recent runs, weighted by their number of tasks, so that it holds
    for any number of jobs side by side and after a restart.
    """
    finished = finished_runs(runs)
    total = runs.grid.runs
    text = f"{len(finished)} of {len(total)} runs done"
    rate = _rate(finished)
    left = sum(len(run.group) for run in total) - sum(size for _, size in finished)
    return f"{text}, ETA {duration(left / rate)}" if rate and left > 0 else text


def _rate(finished: list[tuple[float, int]]) -> float | None:
    """Tasks of runs per second, from the most recent runs; None: too few to tell."""
    recent = _since_last_pause(finished)[-RECENT:]
    if len(recent) < ENOUGH:
        return None
    span = max(recent[-1][0] - recent[0][0], 1e-9)
    return sum(size for _, size in recent[1:]) / span


def _since_last_pause(finished: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """The runs after the last long gap: yesterday's runs say nothing of today's rate."""
    gaps = [after[0] - before[0] for before, after in itertools.pairwise(finished)]
    typical = sorted(gaps)[len(gaps) // 2] if gaps else 0.0
    longest = max(10 * typical, 600.0)
    starts = [i + 1 for i, gap in enumerate(gaps) if gap > longest]
    return finished[starts[-1] :] if starts else finished


def _share(beat: dict) -> float:
    steps = beat.get("steps")
    return beat["step"] / steps if steps else 0.0
