"""What a run, or a stage, leaves in its folder of the store."""

from __future__ import annotations

import pandera.pandas as pa
from pandera.typing import Series

from weightwise.tables.schema import Table


class Predictions(Table):
    """Predictions of a run at a task's best dev epoch (`predictions.parquet` of a run)."""

    task: Series[str]
    split: Series[str] = pa.Field(isin=("dev", "test"))
    row: Series[int] = pa.Field(ge=0, description="row in the source")
    label: Series[float] = pa.Field(nullable=True)
    prediction: Series[float] = pa.Field(description="class number or real value")
    confidence: Series[float] = pa.Field(nullable=True, ge=0, le=1, description="of that class")


class Epochs(Table):
    """Scores after every epoch of a run (`epochs.parquet` of a run)."""

    epoch: Series[int] = pa.Field(ge=1)
    task: Series[str]
    split: Series[str] = pa.Field(isin=("dev", "test"))
    metric: Series[str]
    score: Series[float] = pa.Field(nullable=True, ge=-1, le=1)
    loss: Series[float] = pa.Field(nullable=True, description="mean dev loss")
    train_loss: Series[float] = pa.Field(
        description="mean over the epoch's steps, with dropout and without SMART's terms"
    )
    best: Series[bool] = pa.Field(description="best dev epoch so far")


class Steps(Table):
    """Every step of a run, one row per task (`steps.parquet` of a run)."""

    step: Series[int] = pa.Field(ge=1)
    epoch: Series[int] = pa.Field(ge=1)
    task: Series[str]
    loss: Series[float] = pa.Field(
        description="of the batch, with dropout and without SMART's terms (`regularisers`)"
    )
    weight: Series[float] = pa.Field(description="of this task's gradient in the update")
    cosine: Series[float] = pa.Field(
        nullable=True, description="lowest cosine of its gradient with another task's"
    )
    update_cosine: Series[float] = pa.Field(
        nullable=True,
        ge=-1,
        le=1,
        description="of the encoder's update with the plain sum of the gradients, same in all rows",
    )
    acted: Series[bool] = pa.Field(description="the gradients gave the tasks unequal weights")


class Gramians(Table):
    """Inner products of the tasks' encoder gradients (`gramians.parquet` of a run).

    Block `all` is the whole encoder: in every step under a combiner that separates the gradients.
    The blocks `embeddings`, `layer_0`, ..., and `all` under fixed weights: in every
    `training.record_every`th step, the first among them.
    """

    step: Series[int] = pa.Field(ge=1)
    epoch: Series[int] = pa.Field(ge=1)
    block: Series[str]
    first: Series[str] = pa.Field(description="task; first and second in the order of the group")
    second: Series[str] = pa.Field(description="task; the same one for a squared norm")
    product: Series[float] = pa.Field(
        nullable=True, description="g_first . g_second; none for a task of weight zero"
    )


class Regularisers(Table):
    """SMART's terms in every step, for the tasks that have them (`regularisers.parquet` of a run).

    Before their weights: what such a task minimises is `Steps.loss` + `training.smart.weight` *
    smoothness + `training.smart.proximal` * proximal. Null where that weight is zero.
    """

    step: Series[int] = pa.Field(ge=1)
    epoch: Series[int] = pa.Field(ge=1)
    task: Series[str]
    smoothness: Series[float] = pa.Field(
        nullable=True, ge=0, description="divergence under the perturbation, mean over the batch"
    )
    proximal: Series[float] = pa.Field(
        nullable=True, ge=0, description="divergence from the average of the weights, mean"
    )


class StepTimes(Table):
    """Seconds of every step (`step_times.parquet` of a run), apart as `timings` are."""

    step: Series[int] = pa.Field(ge=1)
    seconds: Series[float] = pa.Field(ge=0)


class Timings(Table):
    """Seconds and memory of a run, apart so that other tables repeat to the byte."""

    epoch: Series[int] = pa.Field(ge=1)
    steps: Series[int] = pa.Field(ge=1)
    train_seconds: Series[float] = pa.Field(ge=0)
    score_seconds: Series[float] = pa.Field(ge=0)
    peak_memory_bytes: Series[float] = pa.Field(nullable=True, ge=0)


class StageEpochs(Table):
    """What a stage measured before the first and after every epoch (`stage_epochs.parquet`)."""

    epoch: Series[int] = pa.Field(ge=0, description="0: before the first")
    measure: Series[str] = pa.Field(
        isin=("train_loss", "held_out_loss", "held_out_accuracy", "alignment", "uniformity")
    )
    value: Series[float]


class StageSteps(Table):
    """The loss of every step of a stage (`stage_steps.parquet`)."""

    step: Series[int] = pa.Field(ge=1)
    epoch: Series[int] = pa.Field(ge=1)
    loss: Series[float]
