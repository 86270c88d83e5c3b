"""What the analysis makes of the scores."""

from __future__ import annotations

import pandera.pandas as pa
from pandera.typing import Series

from weightwise.tables.schema import VERDICTS, Table

ROLES = ("reference", "best")  # see analysis.chosen


class Changes(Table):
    """Relative change of every score to its baseline with the same seed."""

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
    paired_sd: Series[float] = pa.Field(nullable=True, ge=0, description="of the changes")
    low: Series[float] = pa.Field(nullable=True, description="t interval of change")
    high: Series[float] = pa.Field(nullable=True)
    p_value: Series[float] = pa.Field(nullable=True, ge=0, le=1)
    p_holm: Series[float] = pa.Field(nullable=True, ge=0, le=1)
    adjusted_low: Series[float] = pa.Field(nullable=True, description="interval at Holm's level")
    adjusted_high: Series[float] = pa.Field(nullable=True)
    family: Series[int] = pa.Field(ge=0, description="arms that were compared in this table")
    error: Series[float] = pa.Field(gt=0, lt=1, description="level of the table's correction")
    visible: Series[float] = pa.Field(
        nullable=True, ge=0, description="smallest true change that the design finds, per cent"
    )
    verdict: Series[str] = pa.Field(isin=VERDICTS)
    undefined: Series[str] = pa.Field(nullable=True)
    alias_of: Series[str] = pa.Field(nullable=True)


class Comparisons(Table):
    """Every variant against the first one (`comparisons.parquet`); see Arms for what is the same.
    The task `overall` is the overall score of an arm's tasks.

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
    paired_sd: Series[float] = pa.Field(nullable=True, ge=0, description="of the differences")
    low: Series[float] = pa.Field(nullable=True, description="t interval of the difference")
    high: Series[float] = pa.Field(nullable=True)
    p_value: Series[float] = pa.Field(nullable=True, ge=0, le=1)
    p_holm: Series[float] = pa.Field(nullable=True, ge=0, le=1)
    adjusted_low: Series[float] = pa.Field(nullable=True, description="interval at Holm's level")
    adjusted_high: Series[float] = pa.Field(nullable=True)
    family: Series[int] = pa.Field(ge=0, description="arms that were compared for this task")
    error: Series[float] = pa.Field(gt=0, lt=1, description="level of the table's correction")
    visible: Series[float] = pa.Field(
        nullable=True, ge=0, description="smallest true difference that the design finds"
    )
    verdict: Series[str] = pa.Field(isin=VERDICTS)
    undefined: Series[str] = pa.Field(nullable=True)


class LeftOut(Comparisons):
    """Leave-one-task-out (`leave_one_out.parquet`): a row per measured and left-out task."""

    left_out: Series[str] = pa.Field(description="the task that does not train the encoder")
    reference: Series[str] = pa.Field(
        nullable=True,
        description="variant it is compared with: probing for the left-out task, else all",
    )


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
    flat_from: Series[float] = pa.Field(
        nullable=True, ge=0, le=1, description="from this weight on no change worth having"
    )
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
    """What is claimed of every task and grouping (`best.parquet`); see analysis.claims.

    The verdict is that of the PAIRING; `combiner` and `alpha` name the arm that speaks for it.
    """

    task: Series[str]
    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True)
    variant: Series[str]
    speaks: Series[bool] = pa.Field(description="this row is the answer for its task and variant")
    judged: Series[str] = pa.Field(isin=("dev", "test"), description="the split of the verdict")
    seeds: Series[int] = pa.Field(ge=0, description="of the named arm on the judged split")
    dev_change: Series[float] = pa.Field(nullable=True)
    test_change: Series[float] = pa.Field(nullable=True)
    low: Series[float] = pa.Field(nullable=True, description="adjusted, on the judged split")
    high: Series[float] = pa.Field(nullable=True)
    arms: Series[int] = pa.Field(ge=0, description="of the pairing, compared on the judged split")
    gains: Series[int] = pa.Field(ge=0, description="of them those that survive as gains")
    losses: Series[int] = pa.Field(ge=0, description="of them those that survive as losses")
    visible: Series[float] = pa.Field(nullable=True, ge=0, description="see Arms")
    verdict: Series[str] = pa.Field(isin=VERDICTS)
    reason: Series[str]


class Overall(Table):
    """Overall score of the tasks of a grouping, both ways."""

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
    paired_sd: Series[float] = pa.Field(
        nullable=True, ge=0, description="of the changes, paired by seed, over all arms, per cent"
    )
    same_method_gap: Series[float] = pa.Field(
        nullable=True, ge=0, description="largest score gap between rows that are one method"
    )


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


class OfChosenArm(Table):
    """The columns that name a chosen arm and the split that measures it."""

    task: Series[str]
    role: Series[str] = pa.Field(isin=ROLES)
    group: Series[str]
    combiner: Series[str]
    alpha: Series[str] = pa.Field(nullable=True)
    variant: Series[str]
    split: Series[str] = pa.Field(isin=("dev", "test"))


class Errors(OfChosenArm):
    """The worst errors of the chosen arms with their texts (`errors.parquet`)."""

    rank: Series[int] = pa.Field(ge=1, description="1: the worst")
    row: Series[int] = pa.Field(ge=0, description="row in the source")
    text_a: Series[str]
    text_b: Series[str] = pa.Field(nullable=True)
    label: Series[float]
    prediction: Series[float] = pa.Field(
        description="the most frequent wrong class, or the mean value over seeds"
    )
    confidence: Series[float] = pa.Field(
        nullable=True, ge=0, le=1, description="mean over the wrong seeds; null for regression"
    )
    error: Series[float] = pa.Field(
        nullable=True, ge=0, description="absolute, in the label's units; null for classes"
    )
    wrong_seeds: Series[float] = pa.Field(nullable=True, ge=1, description="null for regression")
    agreeing: Series[float] = pa.Field(
        nullable=True, ge=1, description="seeds that gave `prediction`; null for regression"
    )
    seeds: Series[int] = pa.Field(ge=1)


class Overlap(OfChosenArm):
    """Labels, predictions and score of a pair task by shared words (`overlap.parquet`)."""

    low: Series[float] = pa.Field(ge=0, lt=1, description="Jaccard index; the bin holds this end")
    high: Series[float] = pa.Field(gt=0, le=1, description="and not this one, unless it is 1")
    pairs: Series[int] = pa.Field(ge=0)
    seeds: Series[int] = pa.Field(ge=0)
    label: Series[float] = pa.Field(nullable=True, description="mean; of two classes, share of 1")
    prediction: Series[float] = pa.Field(nullable=True, description="the same of the predictions")
    prediction_low: Series[float] = pa.Field(nullable=True, description="t interval over seeds")
    prediction_high: Series[float] = pa.Field(nullable=True)
    measure: Series[str] = pa.Field(isin=("accuracy", "mean absolute error"))
    score: Series[float] = pa.Field(nullable=True, ge=0, description="mean over seeds")
    score_low: Series[float] = pa.Field(nullable=True, ge=0, description="t interval over seeds")
    score_high: Series[float] = pa.Field(nullable=True, ge=0)
