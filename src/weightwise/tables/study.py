"""What is gathered from all runs of a study, and what the data stage prepares."""

from __future__ import annotations

import pandera.pandas as pa
from pandera.typing import Series

from weightwise.tables.schema import SPLITS, Table

QUANTITIES = (
    "step_loss",  # training loss, mean over a bin of consecutive steps
    "train_loss",  # training loss, mean over the steps of an epoch
    "dev_loss",  # after the epoch
    "dev_score",  # after the epoch
)


class Examples(Table):
    """Prepared rows of one task (`<task>.parquet`)."""

    split: Series[str] = pa.Field(isin=SPLITS)
    row: Series[int] = pa.Field(ge=0, description="line or row number in the source, from 1")
    text_a: Series[str]
    text_b: Series[str] = pa.Field(nullable=True, description="second text of a pair")
    label: Series[float] = pa.Field(nullable=True, description="class number or real label")


class DroppedRows(Table):
    """Rows of the sources that no split has (`dropped.parquet`), and of a stage's source."""

    task: Series[str] = pa.Field(description="task, or stage")
    table: Series[str] = pa.Field(
        isin=(*SPLITS, "stage"),
        description="of the source, or split of a source that a column divides",
    )
    row: Series[int] = pa.Field(ge=0, description="line or row number in the source, from 1")
    reason: Series[str]


class Scores(Table):
    """One tidy row per task x arm x seed x split: feeds every figure (`scores.parquet`)."""

    task: Series[str]
    metric: Series[str] = pa.Field(isin=("accuracy", "pearson"))
    group: Series[str] = pa.Field(description="tasks joined by +")
    combiner: Series[str] = pa.Field(description="baseline for the task alone")
    alpha: Series[str] = pa.Field(
        nullable=True,
        description="exact weight of THIS task; groups of three or more: all weights, by commas",
    )
    variant: Series[str]
    seed: Series[int]
    split: Series[str] = pa.Field(isin=("dev", "test"))
    score: Series[float] = pa.Field(ge=-1, le=1, nullable=True)
    epoch: Series[float] = pa.Field(ge=1, nullable=True, description="best dev epoch, from 1")
    run: Series[str] = pa.Field(nullable=True, description="key of the run in the store")
    alias_of: Series[str] = pa.Field(nullable=True, description="label of the arm that was run")
    undefined: Series[str] = pa.Field(
        nullable=True, default=None, description="why there is no score, where it is known"
    )

    class Config(Table.Config):
        # Tables of others, and of finished studies, do not say.
        add_missing_columns = True


class Runs(Table):
    """What became of every run of a study (`runs.parquet`)."""

    id: Series[str]
    group: Series[str]
    arm: Series[str]
    variant: Series[str]
    seed: Series[int]
    status: Series[str] = pa.Field(isin=("done", "failed", "not run"))
    run: Series[str] = pa.Field(nullable=True)
    error: Series[str] = pa.Field(nullable=True)
    log: Series[str] = pa.Field(nullable=True)
    precision: Series[str] = pa.Field(nullable=True)
    hardware: Series[str] = pa.Field(nullable=True, description="that trained it, by name")
    parameters: Series[float] = pa.Field(nullable=True, ge=0)
    threads: Series[float] = pa.Field(
        nullable=True, ge=1, description="CPU threads of its training"
    )
    torch: Series[str] = pa.Field(nullable=True, description="version that trained it")


class Costs(Table):
    """Seconds per step and memory of each run; timings, so not reproducible (`costs.parquet`)."""

    id: Series[str]
    group: Series[str]
    combiner: Series[str]
    variant: Series[str]
    seed: Series[int]
    steps: Series[int] = pa.Field(ge=1)
    step_seconds: Series[float] = pa.Field(ge=0, description="mean over all steps")
    median_step_seconds: Series[float] = pa.Field(
        nullable=True, ge=0, description="over the timed steps"
    )
    timed_steps: Series[int] = pa.Field(
        ge=0, description="steps but the first few and those recorded by layer block"
    )
    train_seconds: Series[float] = pa.Field(ge=0)
    score_seconds: Series[float] = pa.Field(ge=0)
    peak_memory_bytes: Series[float] = pa.Field(nullable=True, ge=0)
    hardware: Series[str] = pa.Field(nullable=True)
    precision: Series[str] = pa.Field(nullable=True)
    threads: Series[float] = pa.Field(nullable=True, ge=1)


class ArmPredictions(Table):
    """Predictions of the arms that the report looks into (`predictions.parquet` of a study)."""

    task: Series[str]
    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True)
    variant: Series[str]
    seed: Series[int]
    run: Series[str]
    split: Series[str] = pa.Field(isin=("dev", "test"))
    row: Series[int] = pa.Field(ge=0)
    label: Series[float] = pa.Field(nullable=True)
    prediction: Series[float]
    confidence: Series[float] = pa.Field(nullable=True, ge=0, le=1)


class Learning(Table):
    """How every run of a study learned, step by step and epoch by epoch (`learning.parquet`)."""

    task: Series[str]
    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True, description="as in scores")
    variant: Series[str]
    seed: Series[int]
    run: Series[str]
    quantity: Series[str] = pa.Field(isin=QUANTITIES)
    position: Series[float] = pa.Field(
        ge=1, description="epoch; for step_loss the mean step of the bin"
    )
    value: Series[float] = pa.Field(nullable=True, description="a loss, or the task's metric")
