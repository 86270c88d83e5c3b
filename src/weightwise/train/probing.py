"""Linear probing, alone or before fine-tuning (mlm paper, section 4.3; simcse paper, section 4.3.1;
Kumar et al. 2022): the encoder stays as it is while the heads learn."""

from __future__ import annotations

from weightwise.config import TrainingConfig
from weightwise.train.schedule import rate_factor


class Probing:
    """Which steps of a run leave the encoder alone, and how fast a step learns.

    A run that probes and then fine-tunes has two parts, each with the rate's schedule for itself: a
    decay over both would start the fine-tuning with a rate that is half gone.
    """

    def __init__(self, keys: TrainingConfig, per_epoch: int):
        """Args: the run's keys of training; its steps of an epoch."""
        self.keys = keys
        first = keys.epochs if keys.freeze_trunk else keys.probe_epochs
        self.steps = first * per_epoch
        """The first so many steps train the heads alone."""
        self.total = keys.epochs * per_epoch

    def frozen(self, number: int) -> bool:
        """Whether step `number` (from 1) trains the heads alone."""
        return number <= self.steps

    def rate_factor(self, number: int) -> float:
        """Factor of all learning rates at step `number` (from 1), in its own part of the run."""
        schedule = (self.keys.learning_rate_schedule, self.keys.warmup)
        if self.frozen(number):
            return rate_factor(number - 1, self.steps, *schedule)
        return rate_factor(number - 1 - self.steps, self.total - self.steps, *schedule)
