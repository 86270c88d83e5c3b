"""The training loop of a stage: from an objective to the encoder that it leaves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from weightwise.errors import Diverged
from weightwise.stages.inputs import Objective, StageInputs, in_batches
from weightwise.stages.mlm import MaskedLanguageObjective
from weightwise.stages.simcse import ContrastiveObjective
from weightwise.stages.state import restore, state_of
from weightwise.train.checkpoint import Checkpoints
from weightwise.train.optimiser import AdamW
from weightwise.train.resumable import Progress, Resumable
from weightwise.train.schedule import rate_factor

OBJECTIVES: dict[str, type[Objective]] = {
    "mlm": MaskedLanguageObjective,
    "simcse": ContrastiveObjective,
}
REMEDY = "lower the stage's learning rate, or set its clip_norm"


@dataclass
class StageTables:
    """Rows of a stage's tables as they come (schemas StageEpochs, StageSteps, Timings)."""

    epochs: list[dict] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)
    timings: list[dict] = field(default_factory=list)

    def measured(self, epoch: int) -> dict[str, float]:
        """What was measured after an epoch; 0: before the first."""
        return {row["measure"]: row["value"] for row in self.epochs if row["epoch"] == epoch}


@dataclass(frozen=True)
class StageStep:
    """What the person who waits is told of a step."""

    losses: tuple[float, ...]


class StageTraining(Resumable):
    """A stage in progress. The encoder of the last epoch is the result."""

    kind = "stage"
    format = "stage-1"
    kept_tables = ("epochs", "steps", "timings")

    def __init__(self, inputs: StageInputs, progress: Progress | None = None):
        """Load what the stage starts from.

        Raises:
            UserError: the checkpoint does not fit.
        """
        stage = inputs.stage
        self.inputs = inputs
        self.objective = OBJECTIVES[stage.kind](inputs)
        super().__init__(progress, -(-self.objective.size // stage.batch_size), stage.epochs)
        self.model = self.objective.model
        self.tables = StageTables()
        self.generator = inputs.dropout()
        self.optimiser = AdamW(stage.beta1, stage.beta2, stage.epsilon)
        self.optimiser.add(self.model.named_parameters(), stage.learning_rate, stage.weight_decay)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """See `state.state_of`."""
        return state_of(self)

    def restore(self, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        """See `state.restore`."""
        restore(self, tensors, state)

    def _begin(self) -> None:
        """Measure what the stage starts from, unless that is done."""
        if not self.tables.epochs:
            self.progress.epoch(0, self._measure(0), {})

    def _train_epoch(self, checkpoints: Checkpoints | None, stop: Callable[[], str | None]) -> None:
        """Take the steps of the epoch that are left."""
        inputs, stage, epoch = self.inputs, self.inputs.stage, self.epoch
        order = inputs.draws(f"order:{epoch}").permutation(self.objective.size)
        for index in in_batches(order, stage.batch_size)[self.taken :]:
            started = time.perf_counter()
            number = self.step + 1
            # A step's draws need no state in a checkpoint: they have a generator of their own.
            draws = inputs.draws(f"step:{number}")
            loss = float(self.objective.backward(index, draws, self.generator))
            if not math.isfinite(loss):
                raise Diverged(
                    f"the loss of stage {inputs.name} is {loss} in step {number} of {self.total} "
                    f"(epoch {epoch}): {REMEDY}"
                )
            if stage.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), stage.clip_norm)
            self.optimiser.step(
                rate_factor(number - 1, self.total, stage.learning_rate_schedule, stage.warmup)
            )
            self.optimiser.zero()
            self.tables.steps.append({"step": number, "epoch": epoch, "loss": loss})
            self.taken += 1
            self.seconds += time.perf_counter() - started
            self.progress.step(number, epoch, StageStep((loss,)))
            self._keep(checkpoints, stop)

    def _finish_epoch(self) -> None:
        """Measure the held-out texts, go to the next epoch."""
        started = time.perf_counter()
        epoch = self.epoch
        losses = [row["loss"] for row in self.tables.steps if row["epoch"] == epoch]
        found = self._measure(epoch, train_loss=math.fsum(losses) / len(losses))
        self._next_epoch(started)
        self.progress.epoch(epoch, found, {})

    def _measure(self, epoch: int, **known: float) -> dict[str, float]:
        found = known | self.objective.measure()
        if not all(math.isfinite(value) for value in found.values()):
            raise Diverged(
                f"stage {self.inputs.name} measures {found} after epoch {epoch}: {REMEDY}"
            )
        self.tables.epochs += [
            {"epoch": epoch, "measure": name, "value": value} for name, value in found.items()
        ]
        return found
