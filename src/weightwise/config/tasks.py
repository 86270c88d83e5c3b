"""A task: what goes in, what is predicted, how it is scored."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal, get_args

from pydantic import model_validator

from weightwise.config.base import IN_THE_DATA, Aside, Strict
from weightwise.config.rows import DataConfig
from weightwise.config.values import OneOrTwoColumns, Spelled

Head = Literal["hidden", "linear", "tanh2", "chance"]
Representation = Literal["cls", "pooler", "mean"]
Pairing = Literal["joint", "siamese"]
Decoder = Literal["concatenate", "product", "cosine"]
Output = Literal["relu", "sigmoid", "identity"]
SimilarityLoss = Literal[
    "mse",
    "mse_normalised",
    "cosine_embedding_graded",
    "cosine_embedding_two_class",
    "cross_entropy",
]
COSINE_LOSSES = ("cosine_embedding_graded", "cosine_embedding_two_class")
LARGEST_LABEL_CLASSES = 100
"""Most whole labels that `cross_entropy` of a regression task may tell apart."""
LOSSES = {
    "classification": ("cross_entropy",),
    "binary": ("binary_cross_entropy",),
    "regression": get_args(SimilarityLoss),
}
"""The losses of each kind of task."""


class TaskConfig(Strict):
    """One text task. Adding a task to a study is one of these entries and nothing else."""

    kind: Literal["classification", "binary", "regression"]
    """What is predicted: one of several classes, yes or no, or a real number."""
    title: Annotated[str | None, Aside("a name in reports")] = None
    """Name in reports; null: the task's key."""
    classes: Annotated[
        tuple[Spelled, ...] | None, Aside("their number counts, and the labels are in the data")
    ] = None
    """Class names in order of their numbers (classification: default `label_values`; binary:
    default no, yes)."""
    range: tuple[float, float] | None = None
    """Smallest and largest label (regression)."""
    text: Annotated[OneOrTwoColumns, IN_THE_DATA]
    """One text column, or two for a sentence pair."""
    label: Annotated[str, IN_THE_DATA]
    """Label column."""
    id: Annotated[str | None, Aside("names rows for `weightwise submit`")] = None
    """Column of the rows' ids, for `weightwise submit`; null: the row's number in its source. It
    decides neither data nor runs."""
    cut_points: Annotated[tuple[float, ...] | None, IN_THE_DATA] = None
    """Turn a number into a class: class = how many of these ascending points are <= the number."""
    bands: Annotated[tuple[tuple[float, float], ...] | None, IN_THE_DATA] = None
    """Turn a number into a class: class i = closed interval i; rows outside all intervals are
    dropped and counted."""
    label_values: Annotated[tuple[Spelled, ...] | None, IN_THE_DATA] = None
    """Turn a label into a class: class = position in this list. Truth values are spelled true and
    false; numbers count by their value, so that 1 is 1.0."""
    metric: Literal["accuracy", "pearson"] | None = None
    """Score; null: accuracy for classes, Pearson's r for regression."""
    loss: Literal[SimilarityLoss, "binary_cross_entropy"] | None = None
    """Loss; null: cross-entropy for classes, `training.similarity_loss` for regression."""
    head: Head | None = None
    """Head of this task; null: `training.head`."""
    representation: Representation | None = None
    """Representation of this task; null: `training.representation`."""
    pair: Pairing | None = None
    """How a sentence pair is encoded; null: `training.pair`."""
    decoder: Decoder | None = None
    """How two siamese vectors become one; null: `training.decoder`."""
    output: Output | None = None
    """Output of a regression head; null: `training.output`."""
    data: Annotated[DataConfig, IN_THE_DATA]
    """Where the rows come from and which of them are used."""
    licence: Annotated[str | None, Aside("shown in the report")] = None
    """Licence and credit of the data, shown in the report."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> TaskConfig:
        if self.kind == "classification" and not self.class_names:
            raise ValueError(
                "a classification task needs `classes`, the class names in order, or "
                "`label_values`, which then name the classes"
            )
        if self.kind == "binary" and self.classes is not None and len(self.classes) != 2:
            raise ValueError("a binary task has exactly two `classes`")
        if self.kind == "regression":
            if self.range is None:
                raise ValueError("a regression task needs `range: [smallest, largest]`")
            if not -math.inf < self.range[0] < self.range[1] < math.inf:
                raise ValueError("`range` must be [smallest, largest]")
            for key in ("classes", "cut_points", "bands", "label_values"):
                if getattr(self, key) is not None:
                    raise ValueError(f"`{key}` makes no sense for a regression task")
        elif self.range is not None:
            raise ValueError("`range` belongs to regression tasks")
        ways = [k for k in ("cut_points", "bands", "label_values") if getattr(self, k) is not None]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(f'`{w}`' for w in ways)} exclude each other")
        if self.label_values is not None and len(set(self.label_values)) < len(self.label_values):
            raise ValueError("`label_values` must differ from each other")
        n = len(self.class_names)
        if len(set(self.class_names)) != n:
            raise ValueError("`classes` must differ from each other")
        if self.cut_points is not None:
            if list(self.cut_points) != sorted(set(self.cut_points)):
                raise ValueError("`cut_points` must ascend")
            if len(self.cut_points) != n - 1:
                raise ValueError(f"{n} classes need {n - 1} `cut_points`")
        if self.bands is not None:
            if len(self.bands) != n:
                raise ValueError(f"{n} classes need {n} `bands`")
            spans = sorted(self.bands)
            if any(lo > hi for lo, hi in spans) or any(
                a[1] >= b[0] for a, b in itertools.pairwise(spans)
            ):
                raise ValueError("`bands` must be intervals [low, high] that do not overlap")
        if self.label_values is not None and len(self.label_values) != n:
            raise ValueError(f"{n} classes need {n} `label_values`")
        allowed = {"regression": ("pearson",)}.get(self.kind, ("accuracy",))
        if self.metric is not None and self.metric not in allowed:
            raise ValueError(f"metric '{self.metric}' does not fit a {self.kind} task")
        losses = LOSSES[self.kind]
        if self.loss is not None and self.loss not in losses:
            raise ValueError(
                f"loss '{self.loss}' does not fit a {self.kind} task; known: {', '.join(losses)}"
            )
        if self.kind == "regression" and self.output is not None:
            for key, value in (("loss", self.loss), ("decoder", self.decoder)):
                if value in (*COSINE_LOSSES, "cross_entropy", "cosine"):
                    raise ValueError(
                        f"{key} '{value}' reads a cosine or class probabilities, so `output` "
                        "makes no sense; leave it out"
                    )
        if self.data.balance and self.kind == "regression":
            raise ValueError("`data.balance` needs classes, and a regression task has none")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names; empty for regression."""
        if self.kind == "binary":
            return self.classes or ("no", "yes")
        if self.kind == "classification":
            return self.classes or self.label_values or ()
        return self.classes or ()

    @property
    def score_name(self) -> str:
        """Name of the metric in every table."""
        return self.metric or ("pearson" if self.kind == "regression" else "accuracy")
