"""The declared tables at every stage's edge: columns, types and ranges, checked both ways.

A table is a pandera model; `write_table` checks and writes it whole or not at all, `read_table`
checks what it reads. A column added here is documented, typed and checked everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pandas as pd
import pandera.pandas as pa
import pyarrow
import pyarrow.parquet
from pandera.typing import Series

from weightwise.errors import UserError
from weightwise.files import replacing

SPLITS = ("train", "dev", "test")
VERDICTS = (
    "gain",  # the adjusted interval lies above zero
    "loss",  # the adjusted interval lies below zero
    "no evidence yet",  # it holds zero
    "one seed",  # no interval exists
    "not comparable",  # no baseline, or no score
    "reference",  # the baseline itself
)

QUANTITIES = (
    "step_loss",  # training loss, mean over a bin of consecutive steps
    "train_loss",  # training loss, mean over the steps of an epoch
    "dev_loss",  # after the epoch
    "dev_score",  # after the epoch
)


class Table(pa.DataFrameModel):
    """Base: exactly the declared columns, coerced to the declared types."""

    class Config:
        strict = True
        coerce = True
        ordered = False


class Examples(Table):
    """Prepared rows of one task (`<task>.parquet`)."""

    split: Series[str] = pa.Field(isin=SPLITS)
    row: Series[int] = pa.Field(ge=0, description="line or row number in the source, from 1")
    text_a: Series[str]
    text_b: Series[str] = pa.Field(nullable=True, description="second text of a pair")
    label: Series[float] = pa.Field(nullable=True, description="class number or real label")


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


class Changes(Table):
    """Relative change of every score to its baseline with the same seed (SPEC section 8)."""

    task: Series[str]
    metric: Series[str]
    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True)
    variant: Series[str]
    seed: Series[int]
    split: Series[str]
    score: Series[float] = pa.Field(nullable=True)
    baseline: Series[float] = pa.Field(nullable=True)
    change: Series[float] = pa.Field(nullable=True, description="per cent")
    undefined: Series[str] = pa.Field(nullable=True, description="why there is no change")
    run: Series[str] = pa.Field(nullable=True)
    baseline_run: Series[str] = pa.Field(nullable=True)
    alias_of: Series[str] = pa.Field(nullable=True)


class Arms(Table):
    """Summary over seeds of every arm (`arms.parquet`)."""

    task: Series[str]
    metric: Series[str]
    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True)
    variant: Series[str]
    split: Series[str]
    seeds: Series[int] = pa.Field(ge=0, description="paired seeds")
    score: Series[float] = pa.Field(nullable=True, description="mean over seeds")
    score_sd: Series[float] = pa.Field(nullable=True, ge=0)
    change: Series[float] = pa.Field(nullable=True, description="mean per cent over paired seeds")
    low: Series[float] = pa.Field(nullable=True, description="t interval of change")
    high: Series[float] = pa.Field(nullable=True)
    p_value: Series[float] = pa.Field(nullable=True, ge=0, le=1)
    p_holm: Series[float] = pa.Field(nullable=True, ge=0, le=1)
    adjusted_low: Series[float] = pa.Field(nullable=True, description="interval at Holm's level")
    adjusted_high: Series[float] = pa.Field(nullable=True)
    family: Series[int] = pa.Field(ge=0, description="arms that were compared in this table")
    seeds_needed: Series[float] = pa.Field(nullable=True, ge=2, description="for the mean seen")
    verdict: Series[str] = pa.Field(isin=VERDICTS)
    undefined: Series[str] = pa.Field(nullable=True)
    alias_of: Series[str] = pa.Field(nullable=True)


class Comparisons(Table):
    """Every variant against the first one (`comparisons.parquet`); see Arms for what is the same.

    `difference` is that of the scores, paired by seed.
    """

    task: Series[str]
    metric: Series[str]
    group: Series[str]
    variant: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True)
    split: Series[str]
    seeds: Series[int] = pa.Field(ge=0, description="paired seeds")
    score: Series[float] = pa.Field(nullable=True, description="mean over seeds")
    difference: Series[float] = pa.Field(nullable=True, description="to the reference, mean")
    low: Series[float] = pa.Field(nullable=True, description="t interval of the difference")
    high: Series[float] = pa.Field(nullable=True)
    p_value: Series[float] = pa.Field(nullable=True, ge=0, le=1)
    p_holm: Series[float] = pa.Field(nullable=True, ge=0, le=1)
    adjusted_low: Series[float] = pa.Field(nullable=True, description="interval at Holm's level")
    adjusted_high: Series[float] = pa.Field(nullable=True)
    family: Series[int] = pa.Field(ge=0, description="arms that were compared for this task")
    seeds_needed: Series[float] = pa.Field(nullable=True, ge=2)
    verdict: Series[str] = pa.Field(isin=VERDICTS)
    undefined: Series[str] = pa.Field(nullable=True)


class Regressions(Table):
    """change ~ alpha + alpha^2 per task and pair (`regressions.parquet`)."""

    task: Series[str]
    group: Series[str]
    variant: Series[str]
    split: Series[str]
    seeds: Series[int] = pa.Field(ge=1)
    points: Series[int] = pa.Field(ge=3, description="alphas, with the baseline at alpha = 1")
    r_squared: Series[float] = pa.Field(nullable=True, le=1)
    intercept: Series[float]
    linear: Series[float]
    quadratic: Series[float]
    quadratic_low: Series[float] = pa.Field(nullable=True)
    quadratic_high: Series[float] = pa.Field(nullable=True)
    optimum: Series[float] = pa.Field(nullable=True, gt=0, lt=1)
    optimum_low: Series[float] = pa.Field(nullable=True)
    optimum_high: Series[float] = pa.Field(nullable=True)
    change_at_optimum: Series[float] = pa.Field(nullable=True)
    note: Series[str] = pa.Field(description="what may be said of the optimum")


class Curves(Table):
    """The fitted curves with their t band over seeds (`curves.parquet`)."""

    task: Series[str]
    group: Series[str]
    variant: Series[str]
    split: Series[str]
    alpha: Series[float] = pa.Field(ge=0, le=1)
    change: Series[float]
    low: Series[float] = pa.Field(nullable=True)
    high: Series[float] = pa.Field(nullable=True)


class Best(Table):
    """The best arm of every task and grouping, chosen on dev (`best.parquet`)."""

    task: Series[str]
    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True)
    variant: Series[str]
    best_of_task: Series[bool] = pa.Field(description="best over all groupings of the task")
    dev_change: Series[float] = pa.Field(nullable=True)
    test_change: Series[float] = pa.Field(nullable=True)
    test_low: Series[float] = pa.Field(nullable=True)
    test_high: Series[float] = pa.Field(nullable=True)
    verdict: Series[str] = pa.Field(isin=VERDICTS)
    recommended: Series[bool]
    reason: Series[str]


class Overall(Table):
    """Overall score of the tasks of a grouping, both ways (SPEC section 8)."""

    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True, description="weight of the group's first task")
    variant: Series[str]
    split: Series[str]
    seeds: Series[int] = pa.Field(ge=1)
    mean_raw: Series[float] = pa.Field(description="mean of the metrics as they are")
    mean_mapped: Series[float] = pa.Field(description="mean with Pearson mapped to (r + 1) / 2")
    mean_mapped_low: Series[float] = pa.Field(nullable=True)
    mean_mapped_high: Series[float] = pa.Field(nullable=True)


class Noise(Table):
    """Between-seed standard deviation of each task: the floor under every claimed gain."""

    task: Series[str]
    variant: Series[str]
    split: Series[str]
    seeds: Series[int] = pa.Field(ge=1)
    baseline: Series[float] = pa.Field(nullable=True, description="mean baseline score")
    baseline_sd: Series[float] = pa.Field(nullable=True, ge=0)
    pooled_sd: Series[float] = pa.Field(nullable=True, ge=0, description="over all arms")
    pooled_percent: Series[float] = pa.Field(nullable=True, ge=0, description="of the baseline")
    same_method_gap: Series[float] = pa.Field(
        nullable=True, ge=0, description="largest score gap between rows that are one method"
    )


class Predictions(Table):
    """Predictions of a run at a task's best dev epoch (`predictions.parquet` of a run)."""

    task: Series[str]
    split: Series[str] = pa.Field(isin=("dev", "test"))
    row: Series[int] = pa.Field(ge=0, description="row in the source")
    label: Series[float] = pa.Field(nullable=True)
    prediction: Series[float] = pa.Field(description="class number or real value")
    confidence: Series[float] = pa.Field(nullable=True, ge=0, le=1, description="of that class")


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


class Confusions(Table):
    """Confusion matrices, counts summed over seeds (`confusions.parquet`)."""

    task: Series[str]
    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True)
    variant: Series[str]
    split: Series[str] = pa.Field(isin=("dev", "test"))
    true: Series[int] = pa.Field(ge=0)
    predicted: Series[int] = pa.Field(ge=0)
    count: Series[int] = pa.Field(ge=0)
    seeds: Series[int] = pa.Field(ge=1)


class Epochs(Table):
    """Scores after every epoch of a run (`epochs.parquet` of a run)."""

    epoch: Series[int] = pa.Field(ge=1)
    task: Series[str]
    split: Series[str] = pa.Field(isin=("dev", "test"))
    metric: Series[str]
    score: Series[float] = pa.Field(nullable=True, ge=-1, le=1)
    loss: Series[float] = pa.Field(nullable=True, description="mean dev loss")
    train_loss: Series[float] = pa.Field(description="mean over the epoch's steps")
    best: Series[bool] = pa.Field(description="best dev epoch so far")


class Steps(Table):
    """Every step of a run, one row per task (`steps.parquet` of a run)."""

    step: Series[int] = pa.Field(ge=1)
    epoch: Series[int] = pa.Field(ge=1)
    task: Series[str]
    loss: Series[float]
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

    Before their weights: `Steps.loss` of such a task holds `training.smart.weight` * smoothness +
    `training.smart.proximal` * proximal. Null where that weight is zero.
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
    hardware: Series[str] = pa.Field(nullable=True)
    parameters: Series[float] = pa.Field(nullable=True, ge=0)


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


T = TypeVar("T", bound=type[Table])


def empty(schema: type[Table]) -> pd.DataFrame:
    """A table of that schema without rows."""
    return check(pd.DataFrame(columns=list(schema.to_schema().columns)), schema, "empty table")


def check(frame: pd.DataFrame, schema: type[Table], name: str) -> pd.DataFrame:
    """The frame with declared types and column order.

    Raises:
        UserError: a column is missing, unknown, of another type or out of range.
    """
    try:
        checked = schema.validate(frame, lazy=True)
    except (pa.errors.SchemaErrors, pa.errors.SchemaError) as error:
        cases = getattr(error, "failure_cases", None)
        detail = str(error)
        if isinstance(cases, pd.DataFrame) and len(cases):
            case = cases.iloc[0]
            where = "" if pd.isna(case.get("index")) else f", row {case['index']}"
            detail = (
                f"column {case.get('column')!r}{where}: {case.get('failure_case')!r} "
                f"fails '{case.get('check')}'"
            )
        raise UserError(f"{name}: is not a {schema.__name__} table: {detail}") from None
    return checked[list(schema.to_schema().columns)].reset_index(drop=True)


def write_table(frame: pd.DataFrame, schema: type[Table], path: str | Path) -> None:
    """Check, then write Parquet whole or not at all; equal tables give equal bytes."""
    path = Path(path)
    checked = check(frame, schema, str(path))
    table = pyarrow.Table.from_pandas(checked, preserve_index=False)
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")


def read_table(path: str | Path, schema: type[Table]) -> pd.DataFrame:
    """Read and check a Parquet table.

    Raises:
        UserError: the file is missing, is not Parquet or breaks its schema.
    """
    try:
        frame = pyarrow.parquet.ParquetFile(path).read().to_pandas()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{path}: is not a Parquet table ({error})") from None
    return check(frame, schema, str(path))
