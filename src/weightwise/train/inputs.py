"""From a prepared study to the inputs of its runs; shared by all runs of a process."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from weightwise.config import StudyConfig, TrainingConfig
from weightwise.data import tokens
from weightwise.data.batches import Batch, Framing, scoring_batches, vocabulary_of
from weightwise.data.tokens import SpecialTokens, TokenisedSplit
from weightwise.grid import Cell
from weightwise.layout import Layout
from weightwise.model.multitask import MultiTaskModel
from weightwise.runs import StudyRuns
from weightwise.train.device import choose_bf16, choose_device
from weightwise.train.loop import RunInputs

SCORING_SEQUENCES = 64


class Prepared(StudyRuns):
    """The prepared data of a study, read once per process."""

    def __init__(self, study: StudyConfig, layout: Layout):
        """Args: the study; where its files lie.

        Raises:
            UserError: the data are not prepared.
        """
        super().__init__(study, layout)
        self._batches: dict[tuple, list[Batch]] = {}

    @cached_property
    def splits(self) -> dict[str, dict[str, TokenisedSplit]]:
        """Token ids of all tasks of the study."""
        return {task: tokens.load_splits(self.layout.tokens(task)) for task in self.study.tasks}

    @cached_property
    def special(self) -> SpecialTokens:
        """Ids of [CLS] and [SEP]."""
        return SpecialTokens(*next(iter(self.facts.values()))["special"])

    @cached_property
    def vocabulary(self) -> np.ndarray:
        """Token ids that occur anywhere in the study."""
        return vocabulary_of(
            [split for splits in self.splits.values() for split in splits.values()], self.special
        )

    def framing(self, task: str, training: TrainingConfig) -> Framing:
        """How the texts of a task become sequences."""
        return Framing(
            self.special,
            self.study.tasks[task].pair or training.pair,
            self.study.encoder.max_length,
            self.vocabulary,
        )

    def scoring(self, task: str, split: str, framing: Framing, device) -> list[Batch]:
        """Batches of a split for scoring, made once."""
        key = (task, split, framing.pair, str(device))
        if key not in self._batches:
            batches = scoring_batches(self.splits[task][split], framing, SCORING_SEQUENCES)
            self._batches[key] = [b.to(device) for b in batches]
        return self._batches[key]

    def inputs(self, run: Cell) -> RunInputs:
        """Everything that the loop needs for a run."""
        training = self.grid.training(run.variant)
        device = choose_device(training.device)
        weights = run.arm.weights(len(run.group)) if len(run.group) > 1 else None
        # Scores on the training data say which task is the weakest.
        ranked = training.schedule == "weakest_last" and len(run.group) > 1
        splits = ("train", "dev", "test") if ranked else ("dev", "test")
        framing = {task: self.framing(task, training) for task in run.group}
        return RunInputs(
            tasks={task: self.study.tasks[task] for task in run.group},
            training=training,
            combiner=run.arm.combiner,
            weights=None if weights is None else tuple(float(w) for w in weights),
            seed=run.seed,
            study_seed=self.study.study_seed,
            epoch_lengths=self.epoch_lengths(run),
            train={task: self.splits[task]["train"] for task in run.group},
            framing=framing,
            scoring={
                (task, split): self.scoring(task, split, framing[task], device)
                for task in run.group
                for split in splits
                if split in self.splits[task]
            },
            head_only=self.grid.head_only(run),
            device=device,
            bf16=choose_bf16(training.precision, device),
        )

    def model(self, run: Cell) -> MultiTaskModel:
        """The untrained model of a run."""
        inputs = self.inputs(run)
        folder, layers = self.encoder_after(inputs.training.start)
        model = MultiTaskModel(
            inputs.tasks,
            inputs.training,
            folder,
            layers,
            self.vocabulary,
            self.study.encoder.max_length,
            {task: self.facts[task]["train_mean"] for task in run.group},
            inputs.study_seed,
            inputs.seed,
        )
        return model.to(inputs.device)
