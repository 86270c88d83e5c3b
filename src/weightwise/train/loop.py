"""The training loop of one run: from batches to scores, steps and predictions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from weightwise.combine import SURGERY, Combiner, make_combiner
from weightwise.config import TaskConfig, TrainingConfig
from weightwise.data.batches import Batch, Framing, make_batch
from weightwise.data.tokens import TokenisedSplit
from weightwise.errors import Diverged
from weightwise.model.linear import set_product_dtype
from weightwise.model.multitask import MultiTaskModel
from weightwise.seeding import numpy_generator, seed_for
from weightwise.train.checkpoint import Checkpoints
from weightwise.train.engine import Engine
from weightwise.train.optimiser import AdamW
from weightwise.train.outcome import RunTables
from weightwise.train.probing import Probing
from weightwise.train.recording import gramian_rows, regulariser_rows, step_rows
from weightwise.train.resumable import Progress, Resumable
from weightwise.train.schedule import (
    batches_of_epoch,
    examples_of_epoch,
    micro_batches,
    plan_of_epoch,
    steps_of_epoch,
)
from weightwise.train.scoring import score_split
from weightwise.train.smart import make_smart
from weightwise.train.state import restore, state_of


@dataclass(frozen=True)
class RunInputs:
    """Everything that one run needs; the loop reads nothing else.

    `train` and `framing` by task; `scoring` by (task, split), split one of train, dev, test;
    `head_only` names tasks that do not train the trunk.
    """

    tasks: dict[str, TaskConfig]
    training: TrainingConfig
    combiner: str
    weights: tuple[float, ...] | None
    seed: int
    study_seed: int
    epoch_lengths: dict[str, int]
    train: dict[str, TokenisedSplit]
    framing: dict[str, Framing]
    scoring: dict[tuple[str, str], list[Batch]]
    device: torch.device
    bf16: bool
    head_only: frozenset[str] = frozenset()


class Training(Resumable):
    """A run in progress. It keeps, for each task, the epoch with its best dev score."""

    kind = "run"
    format = 2
    kept_tables = ("epochs", "steps", "gramians", "regularisers", "step_times", "timings")

    def __init__(
        self, model: MultiTaskModel, inputs: RunInputs, progress: Progress | None = None
    ) -> None:
        """Args: the untrained model; the run's inputs; who is told how it goes."""
        keys = inputs.training
        steps = steps_of_epoch(
            keys.schedule, inputs.epoch_lengths, keys.batch_size, keys.epoch_surgery
        )
        super().__init__(progress, steps, keys.epochs)
        self.model = model
        self.inputs = inputs
        self.tables = RunTables()
        set_product_dtype(model.encoder, inputs.bf16)
        self.generators = _dropout_generators(inputs)
        self.smart = make_smart(model, keys.smart, inputs.study_seed, inputs.seed)
        self.combiners = {"arm": _combiner(inputs, inputs.combiner, "combiner")}
        if keys.epoch_surgery and len(inputs.tasks) > 1:
            self.combiners["surgery"] = _combiner(inputs, SURGERY, "surgery")
        self.engines = {
            name: Engine(
                model,
                combiner,
                self.generators,
                keys.record_every,
                inputs.head_only,
                self.smart,
            )
            for name, combiner in self.combiners.items()
        }
        self.optimiser = _optimiser(model, inputs, self.combiners["arm"])
        self.trunk = [p for _, p in model.trunk_parameters()]
        # Weights of the epochs that are some task's best so far, but for the last epoch's.
        self.snapshots: dict[int, dict[str, torch.Tensor]] = {}
        self.probing = Probing(keys, self.per_epoch)
        self.weakest: str | None = None
        """The task with the lowest score on its training data after the last epoch."""

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """See `state.state_of`."""
        return state_of(self)

    def restore(self, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        """See `state.restore`."""
        restore(self, tensors, state)

    def _train_epoch(self, checkpoints: Checkpoints | None, stop: Callable[[], str | None]) -> None:
        """Take the steps of the epoch that are left."""
        inputs, keys = self.inputs, self.inputs.training
        for positions in self._plan()[self.taken :]:
            started = time.perf_counter()
            batches = {
                task: [
                    make_batch(inputs.train[task], part, inputs.framing[task]).to(inputs.device)
                    for part in micro_batches(index, keys.accumulate)
                ]
                for task, index in positions.items()
            }
            number = self.step + 1
            try:
                engine = self._engine(len(batches))
                if self.smart is not None and number == self.probing.steps + 1:
                    self.smart.restart()  # probing has moved the heads meanwhile
                if self.probing.frozen(number):
                    record = engine.heads_step(batches)
                else:
                    record = engine.step(batches, number)
            except Diverged as error:
                raise Diverged(
                    f"{error} in step {number} of {self.total} (epoch {self.epoch}): lower the "
                    "learning rate, or set clip_norm"
                ) from None
            if keys.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.trunk, keys.clip_norm)
            frozen = self.probing.frozen(number)
            self.optimiser.step(self.probing.rate_factor(number), frozen)
            self.optimiser.zero()
            seconds = time.perf_counter() - started
            tasks, tables = list(batches), self.tables
            tables.steps += step_rows(tasks, record, number, self.epoch)
            tables.gramians += gramian_rows(tasks, record, number, self.epoch)
            tables.regularisers += regulariser_rows(tasks, record, number, self.epoch)
            tables.step_times.append({"step": number, "seconds": seconds})
            self.taken += 1
            self.seconds += seconds
            self.progress.step(number, self.epoch, record)
            self._keep(checkpoints, stop)

    def _plan(self) -> list[dict[str, np.ndarray]]:
        """The steps of the epoch."""
        keys = self.inputs.training
        batches = _batches(self.inputs, self.epoch)
        return plan_of_epoch(keys.schedule, batches, self.epoch, self.weakest, keys.epoch_surgery)

    def _engine(self, tasks: int) -> Engine:
        """The engine of a step with so many tasks: several of them in one step where each has its
        own make the step of the epoch's surgery."""
        surgery = "surgery" in self.engines and tasks > 1
        return self.engines["surgery" if surgery else "arm"]

    def _weakest(self) -> str:
        """The task with the lowest score on its training data (bertram, section 5.3)."""
        inputs = self.inputs
        scores = {
            task: score_split(self.model, task, inputs.scoring[task, "train"], config.score_name)
            for task, config in inputs.tasks.items()
        }
        return min(scores, key=lambda task: np.nan_to_num(scores[task].score, nan=-2))

    def _finish_epoch(self) -> None:
        """Score dev, note what is best so far, go to the next epoch."""
        started = time.perf_counter()
        inputs, tables, epoch = self.inputs, self.tables, self.epoch
        scores = {
            task: score_split(self.model, task, inputs.scoring[task, "dev"], config.score_name)
            for task, config in inputs.tasks.items()
        }
        for task, scored in scores.items():
            if not np.isfinite(scored.loss):  # the epoch's last step, which no later loss reveals
                raise Diverged(
                    f"the dev loss of task {task} is {scored.loss} after epoch {epoch}: lower the "
                    "learning rate, or set clip_norm"
                )
        better = {task: tables.is_better(task, scored) for task, scored in scores.items()}
        if any(better.values()) and epoch < inputs.training.epochs:
            self.snapshots[epoch] = {k: v.clone() for k, v in self.model.state_dict().items()}
        for task, scored in scores.items():
            if better[task]:
                tables.best[task] = {"dev": scored}
                tables.best_epoch[task] = epoch
            losses = [r["loss"] for r in tables.steps if r["task"] == task and r["epoch"] == epoch]
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
        if inputs.training.schedule == "weakest_last" and len(inputs.tasks) > 1:
            self.weakest = self._weakest()
        for old in set(self.snapshots) - set(tables.best_epoch.values()):
            del self.snapshots[old]
        self._next_epoch(started)
        self.progress.epoch(epoch, scores, better)

    def _end(self) -> None:
        """Score every task's test split, once, with the weights of its best dev epoch."""
        started = time.perf_counter()
        inputs, tables = self.inputs, self.tables
        for epoch in sorted(set(tables.best_epoch.values()), reverse=True):
            if epoch != inputs.training.epochs:
                self.model.load_state_dict(self.snapshots[epoch])
            for task, best in tables.best_epoch.items():
                batches = inputs.scoring.get((task, "test"))
                if best == epoch and batches:
                    tables.best[task]["test"] = score_split(
                        self.model, task, batches, inputs.tasks[task].score_name
                    )
        tables.timings[-1]["score_seconds"] += time.perf_counter() - started


def train(model: MultiTaskModel, inputs: RunInputs, progress: Progress | None = None) -> RunTables:
    """Train a model from start to end without checkpoints; see `Training.run`."""
    return Training(model, inputs, progress).run()


def _dropout_generators(inputs: RunInputs) -> dict[str, torch.Generator]:
    generators = {}
    for task in inputs.tasks:
        seed = seed_for(inputs.study_seed, inputs.seed, f"dropout:{task}")
        generators[task] = torch.Generator(inputs.device).manual_seed(seed)
    return generators


def _optimiser(model: MultiTaskModel, inputs: RunInputs, combiner: Combiner) -> AdamW:
    keys = inputs.training
    optimiser = AdamW(keys.beta1, keys.beta2, keys.epsilon)
    optimiser.add(
        model.trunk_parameters(), keys.learning_rate, keys.weight_decay, combiner.sampler()
    )
    probing = keys.probe_learning_rate
    for task, head in model.heads.items():
        # A head that learns on an encoder which is not trained for it probes, whatever others do.
        rate = keys.head_learning_rate or keys.learning_rate
        rate = probing if task in inputs.head_only else rate
        optimiser.add(head.named_parameters(), rate, keys.weight_decay, probing_rate=probing)
    return optimiser


def _combiner(inputs: RunInputs, name: str, purpose: str) -> Combiner:
    generator = numpy_generator(inputs.study_seed, inputs.seed, purpose)
    weights = inputs.weights if name == inputs.combiner else None
    return make_combiner(name, weights, generator)


def _batches(inputs: RunInputs, epoch: int) -> dict[str, list[np.ndarray]]:
    """For every task its batches of the epoch, as positions in its training split."""
    found = {}
    for task in inputs.tasks:
        size, length = len(inputs.train[task]), inputs.epoch_lengths[task]
        order = examples_of_epoch(task, size, length, epoch, inputs.study_seed, inputs.seed)
        found[task] = batches_of_epoch(order, inputs.training.batch_size)
    return found
