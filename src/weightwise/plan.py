"""What a study will run and what it will cost, before anything runs. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.parquet

from weightwise.blind_guess import blind_guess
from weightwise.config import StudyConfig
from weightwise.errors import UserError
from weightwise.grid import Cell, Grid
from weightwise.layout import Layout
from weightwise.runs import StudyRuns
from weightwise.tables import Timings, read_table
from weightwise.training_work import GUESSED_FLOPS, layer_parameters, layers_kept, work_of_batch


@dataclass(frozen=True)
class Estimate:
    """Core-seconds of the runs that are not finished, and where the figure comes from."""

    seconds: float
    basis: str


@dataclass(frozen=True)
class PlannedRun:
    """One run of the plan."""

    run: Cell
    done: bool | None
    """None where the data are not prepared yet, so that nobody can know."""
    steps: int | None


def planned(study: StudyConfig, layout: Layout) -> tuple[list[PlannedRun], Estimate]:
    """All runs of a study with their state, and the cost of those to come.

    Before the data are prepared it rests on stated assumptions.
    """
    grid = Grid(study)
    try:
        runs = StudyRuns(study, layout)
    except UserError:
        guess = Estimate(*blind_guess(study, grid, layout.cache))
        return [PlannedRun(run, None, None) for run in grid.runs], guess
    rows = []
    for run in grid.runs:
        steps = grid.training(run.variant).epochs * runs.steps_of_epoch(run)
        rows.append(PlannedRun(run, runs.record(run) is not None, steps))
    return rows, _estimate(runs, rows)


def _estimate(runs: StudyRuns, rows: list[PlannedRun]) -> Estimate:
    units = {row.run: _batches(runs, row.run) for row in rows}
    waiting = sum(units[row.run] for row in rows if not row.done)
    took = {row.run: _seconds(runs, row.run) for row in rows if row.done}
    finished = [run for run, seconds in took.items() if seconds is not None]
    if finished:
        seconds = sum(took[run] for run in finished)
        per_unit = seconds / sum(units[run] for run in finished)
        return Estimate(waiting * per_unit, f"from {len(finished)} finished runs")
    flops = sum(_flops(runs, row.run) for row in rows)
    return Estimate(flops / GUESSED_FLOPS, "a rough guess from sizes and lengths, for one core")


def _batches(runs: StudyRuns, run: Cell) -> float:
    """Batches of a run, all tasks counted, in units of one that trains the encoder plainly."""
    training = runs.grid.training(run.variant)
    lengths = runs.epoch_lengths(run)
    work = sum(work_of_batch(training, task) * length for task, length in lengths.items())
    return training.epochs * work / training.batch_size


def _seconds(runs: StudyRuns, run: Cell) -> float | None:
    """Seconds that a finished run took; None where its table cannot be read: the next `collect`
    says so."""
    try:
        timings = read_table(runs.folder(run) / "timings.parquet", Timings)
    except UserError:
        return None
    return float((timings["train_seconds"] + timings["score_seconds"]).sum())


def _flops(runs: StudyRuns, run: Cell) -> float:
    """2 FLOP per parameter and token forward, 4 backward; scoring is forward only."""
    training = runs.grid.training(run.variant)
    of_layer, available = layer_parameters(runs.layout.encoder / "config.json")
    parameters = of_layer * layers_kept(runs.study.encoder.layers, available)
    total = 0.0
    for task in run.group:
        tokens, rows = _tokens(runs, task)
        trained = training.epochs * runs.epoch_lengths(run)[task]
        scored = training.epochs * rows["dev"] + rows["test"]
        total += parameters * tokens * (6 * work_of_batch(training, task) * trained + 2 * scored)
    return total


def _tokens(runs: StudyRuns, task: str) -> tuple[float, dict[str, int]]:
    """Mean tokens of an example, [CLS] and [SEP] not counted, and the rows of every split."""
    table = pyarrow.parquet.read_table(runs.layout.tokens(task), columns=["a", "b"])
    lengths = [
        np.asarray(table.column(side).combine_chunks().value_lengths().fill_null(0))
        for side in ("a", "b")
    ]
    return float(np.mean(lengths[0] + lengths[1])), runs.facts[task]["rows"]
