"""What a study will run and what it will cost, before anything runs. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet

from weightwise.config import StudyConfig, TrainingConfig
from weightwise.errors import UserError
from weightwise.grid import Cell, Grid
from weightwise.layout import Layout
from weightwise.runs import StudyRuns
from weightwise.tables import Timings, read_table

# fp32 products of one core, FLOP/s. Only for a first guess; finished runs replace it.
GUESSED_FLOPS = 6e10
# Where nothing is known yet.
ASSUMED_TOKENS = 20
ASSUMED_ROWS = 10_000
# Of a step under SMART, as benchmarks/smart.py measures it in fp32.
SMART_WORK = 3.0
BERT_BASE_LAYERS = 12
BERT_BASE_LAYER = 7_080_000


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
        return [PlannedRun(run, None, None) for run in grid.runs], _blind_guess(study, grid)
    rows = []
    for run in grid.runs:
        steps = grid.training(run.variant).epochs * runs.steps_of_epoch(run)
        rows.append(PlannedRun(run, runs.record(run) is not None, steps))
    return rows, _estimate(runs, rows)


def _estimate(runs: StudyRuns, rows: list[PlannedRun]) -> Estimate:
    units = {row.run: _batches(runs, row.run) for row in rows}
    waiting = sum(units[row.run] for row in rows if not row.done)
    finished = [row.run for row in rows if row.done]
    if finished:
        seconds = sum(_seconds(runs, run) for run in finished)
        per_unit = seconds / sum(units[run] for run in finished)
        return Estimate(waiting * per_unit, f"from {len(finished)} finished runs")
    flops = sum(_flops(runs, row.run) for row in rows)
    return Estimate(flops / GUESSED_FLOPS, "a rough guess from sizes and lengths, for one core")


def _blind_guess(study: StudyConfig, grid: Grid) -> Estimate:
    """Nothing is fetched yet: sizes come from the configuration, lengths and layers are assumed."""
    known = [task.data.known_rows.train for task in study.tasks.values()]
    rows = min((n for n in known if n), default=ASSUMED_ROWS)
    kept = _layers_kept(study.encoder.layers, BERT_BASE_LAYERS)
    flops = 0.0
    for run in grid.runs:
        training = grid.training(run.variant)
        examples = training.epochs * min(rows, training.examples_per_epoch or rows)
        texts = sum(len(study.tasks[task].text) for task in run.group)
        flops += 6 * kept * BERT_BASE_LAYER * ASSUMED_TOKENS * texts * examples
    return Estimate(
        flops / GUESSED_FLOPS,
        f"a blind guess, the data and the encoder not being there yet: {ASSUMED_TOKENS} tokens a "
        "text, layers as large as those of bert-base; `weightwise check` prepares them",
    )


def _batches(runs: StudyRuns, run: Cell) -> float:
    """Batches of a run, all tasks counted, in units of one that trains the encoder plainly."""
    training = runs.grid.training(run.variant)
    lengths = runs.epoch_lengths(run)
    work = sum(_work(training, task) * length for task, length in lengths.items())
    return training.epochs * work / training.batch_size


def _work(training: TrainingConfig, task: str) -> float:
    """Products of a batch of a task beside those of one that trains the encoder plainly: a forward
    and a backward, which is twice a forward."""
    kept, smart = training.trunk_tasks, training.smart
    if training.freeze_trunk or (kept is not None and task not in kept):
        return 1 / 3
    if smart is not None and (smart.tasks is None or task in smart.tasks):
        return SMART_WORK
    return 1.0


def _seconds(runs: StudyRuns, run: Cell) -> float:
    timings = read_table(runs.folder(run) / "timings.parquet", Timings)
    return float((timings["train_seconds"] + timings["score_seconds"]).sum())


def _flops(runs: StudyRuns, run: Cell) -> float:
    """2 FLOP per parameter and token forward, 4 backward; scoring is forward only."""
    training = runs.grid.training(run.variant)
    parameters = _encoder_parameters(runs.layout.encoder, runs.study.encoder.layers)
    total = 0.0
    for task in run.group:
        tokens, rows = _tokens(runs, task)
        trained = training.epochs * runs.epoch_lengths(run)[task]
        scored = training.epochs * rows["dev"] + rows["test"]
        total += parameters * tokens * (6 * _work(training, task) * trained + 2 * scored)
    return total


def _tokens(runs: StudyRuns, task: str) -> tuple[float, dict[str, int]]:
    """Mean tokens of an example, [CLS] and [SEP] not counted, and the rows of every split."""
    table = pyarrow.parquet.read_table(runs.layout.tokens(task), columns=["a", "b"])
    lengths = [
        np.asarray(table.column(side).combine_chunks().value_lengths().fill_null(0))
        for side in ("a", "b")
    ]
    return float(np.mean(lengths[0] + lengths[1])), runs.facts[task]["rows"]


def _encoder_parameters(folder: Path, layers: int | Sequence[int] | None) -> int:
    """Parameters of the transformer layers that are kept; embeddings cost next to no products.

    Raises:
        UserError: `config.json` cannot be read.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        hidden, between = config["hidden_size"], config["intermediate_size"]
        available = config["num_hidden_layers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / 'config.json'}: cannot be read ({error})") from None
    return _layers_kept(layers, available) * (4 * hidden * hidden + 2 * hidden * between)


def _layers_kept(layers: int | Sequence[int] | None, available: int) -> int:
    return available if layers is None else layers if isinstance(layers, int) else len(layers)
