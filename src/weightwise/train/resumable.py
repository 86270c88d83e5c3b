"""What every training in progress is, of a run or of a stage: epochs of steps that can be stopped
between any two of them and gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch

if TYPE_CHECKING:
    from weightwise.train.checkpoint import Checkpoints


class Stopped(Exception):
    """The training was asked to stop; its checkpoint holds everything so far."""


class Progress:
    """What a training tells the person who waits; this one says nothing."""

    def start(self, steps: int, done: int = 0) -> None:
        """The training takes so many steps, and so many are done."""

    def step(self, number: int, epoch: int, record: Any) -> None:
        """One step is done."""

    def epoch(self, number: int, scores: dict[str, Any], best: dict[str, bool]) -> None:
        """An epoch is scored."""

    def note(self, text: str) -> None:
        """Something to know."""


class Resumable:
    """A training in progress. A checkpoint holds what `state` and its tables hold, nothing else.

    Subclasses have the attributes `inputs` (with `device` and `bf16`), `model` and `tables`, and
    implement the methods that raise NotImplementedError here.
    """

    kind: ClassVar[str]
    """What is trained, in a word for messages."""
    format: ClassVar[int | str]
    """Of its checkpoints; another one cannot be gone on from."""
    kept_tables: ClassVar[tuple[str, ...]]
    """Attributes of `tables` whose rows a checkpoint keeps."""

    def __init__(self, progress: Progress | None, per_epoch: int, epochs: int):
        """Args: who is told how it goes; steps of an epoch; epochs."""
        self.progress = progress or Progress()
        self.per_epoch = per_epoch
        self.epochs = epochs
        self.total = per_epoch * epochs
        self.epoch = 1
        """The epoch that is being trained."""
        self.taken = 0
        """Steps of that epoch that are done."""
        self.seconds = 0.0
        """Seconds that they took."""

    @property
    def step(self) -> int:
        """Steps that are done."""
        return (self.epoch - 1) * self.per_epoch + self.taken

    def run(
        self,
        checkpoints: Checkpoints | None = None,
        stop: Callable[[], str | None] = lambda: None,
    ) -> Any:
        """Train to the end.

        Args:
            checkpoints: where to go on from, and where to write; None: from the start, nothing.
            stop: asked after every step; a text stops the training, which leaves a checkpoint.

        Returns:
            Its tables.

        Raises:
            Diverged: a loss or gradient was not finite; the message names step and epoch.
            Stopped: `stop` gave a text.
        """
        if checkpoints is not None and checkpoints.load(self):
            self.progress.note(f"goes on after step {self.step} of {self.total}")
        self.progress.start(self.total, self.step)
        self._begin()
        while self.epoch <= self.epochs:
            self._train_epoch(checkpoints, stop)
            self._finish_epoch()
            if self.epoch <= self.epochs:
                self._keep(checkpoints, stop, epoch_ended=True)
        self._end()
        return self.tables

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Everything that its further course depends on: tensors by name, and JSON values."""
        raise NotImplementedError

    def restore(self, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        """Put a fresh training where `state` was.

        Raises:
            KeyError, TypeError, ValueError: they do not fit; nothing has changed then.
        """
        raise NotImplementedError

    def _begin(self) -> None:
        """Before the first step that is left."""

    def _train_epoch(self, checkpoints: Checkpoints | None, stop: Callable[[], str | None]) -> None:
        """Take the steps of the epoch that are left, each followed by `_keep`."""
        raise NotImplementedError

    def _finish_epoch(self) -> None:
        """Measure what the epoch brought, and end it with `_next_epoch`."""
        raise NotImplementedError

    def _end(self) -> None:
        """After the last epoch."""

    def _next_epoch(self, measuring: float) -> None:
        """Note the epoch's times and go to the next one; `measuring` began at that
        `time.perf_counter()`."""
        self.tables.timings.append(
            {
                "epoch": self.epoch,
                "steps": self.per_epoch,
                "train_seconds": self.seconds,
                "score_seconds": time.perf_counter() - measuring,
            }
        )
        self.epoch, self.taken, self.seconds = self.epoch + 1, 0, 0.0

    def _keep(
        self,
        checkpoints: Checkpoints | None,
        stop: Callable[[], str | None],
        epoch_ended: bool = False,
    ) -> None:
        """Write a checkpoint if one is due or if the training has to stop here."""
        reason = stop()
        if checkpoints is not None and (reason or checkpoints.due(epoch_ended)):
            checkpoints.save(self)
        if reason:
            raise Stopped(f"stopped by {reason} after step {self.step} of {self.total}")

    def place(self) -> dict[str, float]:
        """Where it is, for `state`."""
        return {"epoch": self.epoch, "taken": self.taken, "seconds": self.seconds}

    def checked_place(self, state: dict[str, Any]) -> tuple[int, int, float]:
        """Epoch, steps taken and their seconds of a `state`.

        Raises:
            KeyError, TypeError, ValueError: there is no such place in this training.
        """
        epoch, taken, seconds = int(state["epoch"]), int(state["taken"]), float(state["seconds"])
        if not (1 <= epoch <= self.epochs and 0 <= taken <= self.per_epoch):
            raise ValueError(f"epoch {epoch}, step {taken} does not exist in this {self.kind}")
        return epoch, taken, seconds
