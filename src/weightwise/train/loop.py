"""The training loop of one run: from batches to scores, steps and predictions."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from weightwise.combine import Combiner, make_combiner
from weightwise.config import TaskConfig, TrainingConfig
from weightwise.data.batches import Batch, Framing, make_batch
from weightwise.data.tokens import TokenisedSplit
from weightwise.model.linear import set_product_dtype
from weightwise.model.multitask import MultiTaskModel
from weightwise.seeding import numpy_generator, seed_for
from weightwise.train.engine import Diverged, Engine
from weightwise.train.optimiser import AdamW
from weightwise.train.recording import gramian_rows, step_rows
from weightwise.train.schedule import (
    batches_of_epoch,
    examples_of_epoch,
    micro_batches,
    rate_factor,
    steps_of_epoch,
)
from weightwise.train.scoring import Scored, score_split


@dataclass(frozen=True)
class RunInputs:
    """Everything that one run needs; the loop reads nothing else.

    `train` and `framing` by task; `scoring` by (task, split), split one of dev, test.
    """

    tasks: dict[str, TaskConfig]
    training: TrainingConfig
    combiner: str
    weights: tuple[float, ...] | None
    seed: int
    study_seed: int
    epoch_length: int
    train: dict[str, TokenisedSplit]
    framing: dict[str, Framing]
    scoring: dict[tuple[str, str], list[Batch]]
    device: torch.device
    bf16: bool


@dataclass
class RunTables:
    """Rows of the run's tables as they come (schemas Epochs, Steps, Gramians, StepTimes, Timings),
    and per task the best epoch with its scores on dev and test."""

    epochs: list[dict] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)
    gramians: list[dict] = field(default_factory=list)
    step_times: list[dict] = field(default_factory=list)
    timings: list[dict] = field(default_factory=list)
    best: dict[str, dict[str, Scored]] = field(default_factory=dict)
    best_epoch: dict[str, int] = field(default_factory=dict)

    def predictions(self) -> pd.DataFrame:
        """Predictions of every task at its best dev epoch (schema Predictions)."""
        frames = []
        for task, splits in self.best.items():
            for split, scored in splits.items():
                frames.append(
                    pd.DataFrame(
                        {
                            "task": task,
                            "split": split,
                            "row": scored.rows,
                            "label": scored.labels,
                            "prediction": scored.predictions,
                            "confidence": (
                                np.nan if scored.confidence is None else scored.confidence
                            ),
                        }
                    )
                )
        return pd.concat(frames, ignore_index=True)


class Progress:
    """What the loop tells the person who waits; this one says nothing."""

    def start(self, steps: int) -> None:
        """The run will take so many steps."""

    def step(self, record) -> None:
        """One step is done."""

    def epoch(self, number: int, scores: dict[str, Scored], best: dict[str, bool]) -> None:
        """An epoch is scored."""


def train(model: MultiTaskModel, inputs: RunInputs, progress: Progress | None = None) -> RunTables:
    """Train a model and keep, for each task, the epoch with its best dev score.

    Raises:
        Diverged: a loss or gradient was not finite; the message names step, epoch and task.
    """
    progress = progress or Progress()
    keys = inputs.training
    tables = RunTables()
    set_product_dtype(model.encoder, inputs.bf16)
    combiner = _combiner(inputs)
    engine = Engine(model, combiner, _dropout_generators(inputs), keys.record_every)
    optimiser = _optimiser(model, keys, combiner)
    trunk = [p for _, p in model.trunk_parameters()]
    snapshots: dict[int, dict[str, torch.Tensor]] = {}
    per_epoch = steps_of_epoch(inputs.epoch_length, keys.batch_size)
    total = per_epoch * keys.epochs
    progress.start(total)
    step = 0
    for epoch in range(1, keys.epochs + 1):
        started = time.perf_counter()
        first_row = len(tables.steps)
        for positions in zip(*_orders(inputs, epoch), strict=True):
            began = time.perf_counter()
            batches = {
                task: [
                    make_batch(inputs.train[task], part, inputs.framing[task]).to(inputs.device)
                    for part in micro_batches(index, keys.accumulate)
                ]
                for task, index in zip(inputs.tasks, positions, strict=True)
            }
            step += 1
            try:
                record = engine.step(batches, step)
            except Diverged as error:
                raise Diverged(
                    f"{error} in step {step} of {total} (epoch {epoch}): lower the learning rate, "
                    "or set clip_norm",
                    tables,
                ) from None
            if keys.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(trunk, keys.clip_norm)
            optimiser.step(rate_factor(step - 1, total, keys.learning_rate_schedule, keys.warmup))
            optimiser.zero()
            tables.steps += step_rows(list(inputs.tasks), record, step, epoch)
            tables.gramians += gramian_rows(list(inputs.tasks), record, step, epoch)
            tables.step_times.append({"step": step, "seconds": time.perf_counter() - began})
            progress.step(record)
        trained = time.perf_counter()
        scores = {
            task: score_split(model, task, inputs.scoring[task, "dev"], config.score_name)
            for task, config in inputs.tasks.items()
        }
        for task, scored in scores.items():
            if not np.isfinite(scored.loss):  # the epoch's last step, which no later loss reveals
                raise Diverged(
                    f"the dev loss of task {task} is {scored.loss} after epoch {epoch}: lower the "
                    "learning rate, or set clip_norm",
                    tables,
                )
        better = {task: _is_better(tables, task, scored) for task, scored in scores.items()}
        if any(better.values()) and epoch < keys.epochs:
            snapshots[epoch] = {k: v.clone() for k, v in model.state_dict().items()}
        for task, scored in scores.items():
            if better[task]:
                tables.best[task] = {"dev": scored}
                tables.best_epoch[task] = epoch
            losses = [r["loss"] for r in tables.steps[first_row:] if r["task"] == task]
            tables.epochs.append(
                {
                    "epoch": epoch,
                    "task": task,
                    "split": "dev",
                    "metric": inputs.tasks[task].score_name,
                    "score": scored.score,
                    "loss": scored.loss,
                    "train_loss": float(np.mean(losses)),
                    "best": better[task],
                }
            )
        tables.timings.append(
            {
                "epoch": epoch,
                "steps": per_epoch,
                "train_seconds": trained - started,
                "score_seconds": time.perf_counter() - trained,
            }
        )
        for old in set(snapshots) - set(tables.best_epoch.values()):
            del snapshots[old]
        progress.epoch(epoch, scores, better)
    started = time.perf_counter()
    _score_tests(model, inputs, tables, snapshots)
    tables.timings[-1]["score_seconds"] += time.perf_counter() - started
    return tables


def _combiner(inputs: RunInputs):
    generator = numpy_generator(inputs.study_seed, inputs.seed, "combiner")
    return make_combiner(inputs.combiner, inputs.weights, generator)


def _dropout_generators(inputs: RunInputs) -> dict[str, torch.Generator]:
    generators = {}
    for task in inputs.tasks:
        seed = seed_for(inputs.study_seed, inputs.seed, f"dropout:{task}")
        generators[task] = torch.Generator(inputs.device).manual_seed(seed)
    return generators


def _optimiser(model: MultiTaskModel, keys: TrainingConfig, combiner: Combiner) -> AdamW:
    optimiser = AdamW(keys.beta1, keys.beta2, keys.epsilon)
    optimiser.add(
        model.trunk_parameters(), keys.learning_rate, keys.weight_decay, combiner.sampler()
    )
    head_rate = keys.head_learning_rate or keys.learning_rate
    for head in model.heads.values():
        optimiser.add(head.named_parameters(), head_rate, keys.weight_decay)
    return optimiser


def _orders(inputs: RunInputs, epoch: int) -> list[list[np.ndarray]]:
    """For every task its batches of the epoch, as positions in its training split."""
    return [
        list(
            batches_of_epoch(
                examples_of_epoch(
                    task,
                    len(inputs.train[task]),
                    inputs.epoch_length,
                    epoch,
                    inputs.study_seed,
                    inputs.seed,
                ),
                inputs.training.batch_size,
            )
        )
        for task in inputs.tasks
    ]


def _is_better(tables: RunTables, task: str, scored: Scored) -> bool:
    """Whether this epoch is the task's best so far; the first one is, and an undefined score
    never is unless nothing better exists."""
    if task not in tables.best:
        return True
    return bool(
        np.nan_to_num(scored.score, nan=-2) > np.nan_to_num(tables.best[task]["dev"].score, nan=-2)
    )


def _score_tests(
    model: MultiTaskModel, inputs: RunInputs, tables: RunTables, snapshots: dict[int, dict]
) -> None:
    """Score every task's test split, once, with the weights of its best dev epoch."""
    last = inputs.training.epochs
    for epoch in sorted(set(tables.best_epoch.values()), reverse=True):
        if epoch != last:
            model.load_state_dict(snapshots[epoch])
        for task, best in tables.best_epoch.items():
            batches = inputs.scoring.get((task, "test"))
            if best == epoch and batches:
                tables.best[task]["test"] = score_split(
                    model, task, batches, inputs.tasks[task].score_name
                )
