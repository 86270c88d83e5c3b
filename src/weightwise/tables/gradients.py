"""What the analysis makes of the recorded gradients and times."""

from __future__ import annotations

import pandera.pandas as pa
from pandera.typing import Series

from weightwise.tables.schema import Table


class Conflicts(Table):
    """Cosine and length ratio of two tasks' gradients over training (`conflicts.parquet`).

    One row per run, pair of tasks, layer block and bin of training time; means over the recorded
    steps of the bin. Block `all` is the whole encoder.
    """

    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True, description="weights of the run: `grid.Arm.alpha`")
    variant: Series[str]
    seed: Series[int]
    block: Series[str]
    first: Series[str] = pa.Field(description="task; first and second in the order of the group")
    second: Series[str]
    bin: Series[int] = pa.Field(ge=1)
    begin: Series[float] = pa.Field(ge=0, lt=1, description="share of the run's steps before it")
    end: Series[float] = pa.Field(gt=0, le=1)
    steps: Series[int] = pa.Field(ge=0, description="recorded steps with two gradients, not zero")
    cosine: Series[float] = pa.Field(nullable=True, ge=-1, le=1)
    log_ratio: Series[float] = pa.Field(nullable=True, description="of |g_first| / |g_second|, ln")
    negative: Series[float] = pa.Field(
        nullable=True, ge=0, le=1, description="share of those steps with a cosine below zero"
    )


class Actions(Table):
    """What the combiner of every run of two or more tasks did (`actions.parquet`)."""

    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True, description="weights of the run: `grid.Arm.alpha`")
    variant: Series[str]
    seed: Series[int]
    run: Series[str]
    steps: Series[int] = pa.Field(ge=1)
    recorded: Series[int] = pa.Field(ge=0, description="steps recorded by layer block")
    known: Series[int] = pa.Field(ge=0, description="steps whose cosines are known")
    conflict: Series[float] = pa.Field(
        nullable=True, ge=0, le=1, description="share of the known steps with a cosine below zero"
    )
    acted: Series[float] = pa.Field(
        ge=0, le=1, description="share of all steps in which the gradients gave unequal weights"
    )
    turned: Series[float] = pa.Field(
        nullable=True,
        ge=0,
        le=1,
        description="share of the known steps whose update left the direction of the plain sum",
    )
    update_cosine: Series[float] = pa.Field(
        nullable=True, ge=-1, le=1, description="mean cosine of the update with the plain sum"
    )
    inactive: Series[bool] = pa.Field(description="never acted, and turned no known update")
    same_combiner: Series[str] = pa.Field(
        nullable=True, description="the simplest arm whose run is the same to the byte"
    )
    same_alpha: Series[str] = pa.Field(nullable=True)


class Weights(Table):
    """Weights over training of arms whose weights change (`weights.parquet`)."""

    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True, description="weights of the run: `grid.Arm.alpha`")
    variant: Series[str]
    seed: Series[int]
    task: Series[str]
    bin: Series[int] = pa.Field(ge=1)
    begin: Series[float] = pa.Field(ge=0, lt=1, description="share of the run's steps before it")
    end: Series[float] = pa.Field(gt=0, le=1)
    steps: Series[int] = pa.Field(ge=1)
    weight: Series[float] = pa.Field(description="mean weight of the task's gradient")
    share: Series[float] = pa.Field(
        nullable=True, description="mean of weight / sum of the weights; none where that is no sum"
    )
    share_sd: Series[float] = pa.Field(nullable=True, ge=0, description="over the bin's steps")


class CostRatios(Table):
    """Time and memory of every combiner as ratios to addition (`cost_ratios.parquet`).

    Ratios are paired: the same grouping, variant, seed, hardware, precision and threads. Means are
    geometric, intervals are t intervals of the logarithm over seeds. From timings, so not
    reproducible.
    """

    group: Series[str]
    combiner: Series[str]
    variant: Series[str]
    hardware: Series[str] = pa.Field(nullable=True)
    precision: Series[str] = pa.Field(nullable=True)
    threads: Series[float] = pa.Field(nullable=True, ge=1)
    runs: Series[int] = pa.Field(ge=1)
    seeds: Series[int] = pa.Field(ge=0, description="seeds with a time to compare")
    step_seconds: Series[float] = pa.Field(nullable=True, ge=0, description="mean of the medians")
    time: Series[float] = pa.Field(nullable=True, ge=0, description="ratio of a step's time")
    time_low: Series[float] = pa.Field(nullable=True, ge=0)
    time_high: Series[float] = pa.Field(nullable=True, ge=0)
    peak_memory_bytes: Series[float] = pa.Field(nullable=True, ge=0, description="mean")
    memory: Series[float] = pa.Field(nullable=True, ge=0, description="ratio of the peak memory")
    memory_low: Series[float] = pa.Field(nullable=True, ge=0)
    memory_high: Series[float] = pa.Field(nullable=True, ge=0)
