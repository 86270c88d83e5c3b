"""From a prepared study to the inputs of its runs; shared by all runs of a process."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
import torch

from weightwise.config import StudyConfig, TrainingConfig
from weightwise.data import tokens
from weightwise.data.batches import Batch, Framing, scoring_batches, vocabulary_of
from weightwise.data.tokens import SpecialTokens, TokenisedSplit
from weightwise.grid import Cell
from weightwise.layout import Layout
from weightwise.model.multitask import MultiTaskModel
from weightwise.runs import StudyRuns
from weightwise.seeding import numpy_generator
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
        self._vocabularies: dict[tuple[str, ...], np.ndarray] = {}
        self._drawn: dict[tuple[str, int], TokenisedSplit] = {}

    @cached_property
    def splits(self) -> dict[str, dict[str, TokenisedSplit]]:
        """Token ids of all tasks of the study."""
        return {task: tokens.load_splits(self.layout.tokens(task)) for task in self.study.tasks}

    @cached_property
    def special(self) -> SpecialTokens:
        """Ids of [CLS] and [SEP]."""
        return SpecialTokens(*next(iter(self.facts.values()))["special"])

    def vocabulary(self, group: tuple[str, ...]) -> np.ndarray:
        """Ascending token ids that occur in any text of these tasks.

        A run keeps the word embeddings of its own tasks' texts and of no others: whatever depends
        on the size of that table (coordinates that a combiner draws, the rounding of its norms) is
        then the same in every study that has these tasks.

        Args:
            group: tasks of the study.
        """
        if group not in self._vocabularies:
            splits = [split for task in group for split in self.splits[task].values()]
            self._vocabularies[group] = vocabulary_of(splits, self.special)
        return self._vocabularies[group]

    def framing(self, task: str, training: TrainingConfig, group: tuple[str, ...]) -> Framing:
        """How the texts of a task become sequences in a run of that group."""
        return Framing(
            self.special,
            self.study.tasks[task].pair or training.pair,
            self.study.encoder.max_length,
            self.vocabulary(group),
        )

    def training_rows(self, task: str, most: int | None) -> TokenisedSplit:
        """The task's training split, or `most` rows of it (`training.train_rows`), drawn once;
        a smaller number is part of a larger one."""
        whole = self.splits[task]["train"]
        if most is None or most >= len(whole):
            return whole
        if (task, most) not in self._drawn:
            order = numpy_generator(self.study.study_seed, 0, f"train_rows:{task}").permutation(
                len(whole)
            )
            if self.study.tasks[task].data.balance:
                # Every class in turn, so that as many of each are taken, to a row.
                turn = pd.Series(whole.labels[order]).groupby(whole.labels[order]).cumcount()
                order = order[np.argsort(turn, kind="stable")]
            self._drawn[task, most] = whole.take(np.sort(order[:most]))
        return self._drawn[task, most]

    def scoring(
        self,
        task: str,
        split: str,
        framing: Framing,
        group: tuple[str, ...],
        device: torch.device,
        most: int | None = None,
    ) -> list[Batch]:
        """Batches of a split for scoring, made once for all runs of a group.

        Args:
            task, split: whose rows; of train those of `training_rows`.
            framing: how they become sequences in that group.
            group: the run's tasks.
            device: where the batches are wanted.
            most: for train, see `training_rows`.
        """
        rows = most if split == "train" else None
        key = (task, split, framing.pair, group, str(device), rows)
        if key not in self._batches:
            chosen = self.splits[task][split]
            if split == "train":
                chosen = self.training_rows(task, most)
            batches = scoring_batches(chosen, framing, SCORING_SEQUENCES)
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
        framing = {task: self.framing(task, training, run.group) for task in run.group}
        most = training.train_rows or {}
        return RunInputs(
            tasks={task: self.study.tasks[task] for task in run.group},
            training=training,
            combiner=run.arm.combiner,
            weights=None if weights is None else tuple(float(w) for w in weights),
            seed=run.seed,
            study_seed=self.study.study_seed,
            epoch_lengths=self.epoch_lengths(run),
            train={task: self.training_rows(task, most.get(task)) for task in run.group},
            framing=framing,
            scoring={
                (task, split): self.scoring(
                    task, split, framing[task], run.group, device, most.get(task)
                )
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
            self.vocabulary(run.group),
            self.study.encoder.max_length,
            {task: float(inputs.train[task].labels.mean()) for task in run.group},
            inputs.study_seed,
            inputs.seed,
            {task: split.labels for task, split in inputs.train.items()},
        )
        return model.to(inputs.device)
