"""Every variant of a study against its first one: the tables of papers that compare systems."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from weightwise.analysis.intervals import summarise_arms
from weightwise.analysis.labels import (
    BASELINE,
    combiner_rank,
    largest_group,
    tasks_of,
    text_or_none,
)
from weightwise.analysis.overall import HowOverall, as_counted
from weightwise.tables import Comparisons, check, empty

SEPARATOR = "\x1f"  # stands in no name
OVERALL = "overall"
"""In place of a task: the overall score of all tasks of a grouping."""


def compare_variants(
    scores: pd.DataFrame,
    confidence: float = 0.95,
    power: float = 0.8,
    overall: HowOverall = "mean_mapped",
) -> pd.DataFrame:
    """`tables.Comparisons` from `tables.Scores`: differences to the reference, paired by seed.

    The reference of a task and grouping is the first variant's simplest arm in that grouping; where
    the first variant does not have the grouping, in its largest grouping that holds the task.
    Differences are those of the scores themselves, not per cent. A family for Holm's correction is
    one task and split: all arms of all groupings and variants but the references. Empty for a study
    of one variant. Rows that are another arm's run are left out.

    Arms of several tasks without weights have rows of the task `overall`, too, unless a task has
    that name: the mean over the grouping's tasks, of a seed that has them all, with Pearson's r as
    it is (`mean_raw`) or as (r + 1) / 2 (`mean_mapped`).
    """
    if scores["variant"].nunique() < 2:
        return empty(Comparisons)
    rows = scores[scores["alias_of"].isna()].reset_index(drop=True)
    first = rows["variant"].iloc[0]
    if OVERALL not in set(rows["task"]):
        rows = pd.concat([rows, overall_rows(rows, overall)], ignore_index=True)
    frames = []
    for (task, split), of_task in rows.groupby(["task", "split"], sort=False):
        references = _references(of_task[of_task["variant"] == first])
        for group, of_group in of_task.groupby("group", sort=False):
            reference = references.get(group, references.get(None))
            if reference is not None:
                frames.append(differences(of_group, reference, task, split))
    if not frames:
        return empty(Comparisons)
    return check(summarise(frames, confidence, power), Comparisons, "comparisons")


def summarise(frames: Sequence[pd.DataFrame], confidence: float, power: float) -> pd.DataFrame:
    """The arms of `differences` with intervals, Holm's correction and verdicts, columns of
    `tables.Comparisons`. One family per task and split."""
    found = summarise_arms(pd.concat(frames, ignore_index=True), confidence, power)
    names = found["group"].str.split(SEPARATOR, expand=True)
    found = found.assign(group=names[0], variant=names[1], combiner=names[2])
    found = found.rename(columns={"change": "difference"})
    return found[list(Comparisons.to_schema().columns)]


def overall_rows(scores: pd.DataFrame, how: HowOverall) -> pd.DataFrame:
    """Rows of the task `overall` for every arm of several tasks without weights."""
    rows = scores[scores["alpha"].isna() & (scores["combiner"] != BASELINE)]
    keys = ["variant", "split", "group", "combiner", "seed"]
    joined = rows.assign(score=as_counted(rows, how)).groupby(keys, sort=False)
    means = joined.agg(
        score=("score", lambda values: values.mean(skipna=False)),
        tasks=("task", "nunique"),
        run=("run", "first"),
    ).reset_index()
    whole = means["tasks"] == [len(tasks_of(group)) for group in means["group"]]
    return means[whole].assign(
        task=OVERALL, metric=how, alpha=None, epoch=float("nan"), alias_of=None, undefined=None
    )[list(scores.columns)]


def _references(rows: pd.DataFrame) -> dict[str | None, pd.DataFrame]:
    """The first variant's simplest arm by grouping; None: that of its largest grouping."""
    found = {group: simplest_arm(of_group) for group, of_group in rows.groupby("group", sort=False)}
    if found:
        found[None] = found[largest_group(found)]
    return found


def simplest_arm(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the rows of one task, grouping and variant those of the simplest combiner."""
    arms = rows.groupby(["combiner", "alpha"], sort=False, dropna=False)
    chosen = min(arms.groups, key=lambda arm: (combiner_rank(arm[0]), str(arm[1])))
    return arms.get_group(chosen)


def main_arm(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the rows of one task and variant those of its simplest combiner in its largest grouping of
    several tasks; of the task alone where it has no other."""
    together = rows[rows["combiner"] != BASELINE]
    rows = together if len(together) else rows
    if rows.empty:
        return rows
    return simplest_arm(rows[rows["group"] == largest_group(rows["group"].unique())])


def differences(rows: pd.DataFrame, reference: pd.DataFrame, task: str, split: str) -> pd.DataFrame:
    """The rows of one grouping as `summarise_arms` takes them, differences as `change`. What tells
    the arms apart goes into the name of the grouping, since a family spans all variants."""
    base = reference.set_index("seed")["score"]
    own = set(reference.index)
    baseline = rows["seed"].map(base)
    names = rows["group"] + SEPARATOR + rows["variant"] + SEPARATOR + rows["combiner"]
    undefined = pd.Series(None, index=rows.index, dtype=object)
    undefined[baseline.isna()] = "the reference has no score for this seed"
    undefined[rows["score"].isna()] = "the score is undefined for this seed"
    if "undefined" in rows:
        undefined[rows["undefined"].notna()] = rows["undefined"]
    return pd.DataFrame(
        {
            "variant": "",
            "split": split,
            "task": task,
            "group": names,
            "combiner": [BASELINE if i in own else "compared" for i in rows.index],
            "alpha": [text_or_none(alpha) for alpha in rows["alpha"]],
            "metric": rows["metric"],
            "seed": rows["seed"],
            "score": rows["score"],
            "change": rows["score"] - baseline,
            "undefined": undefined,
            "alias_of": None,
        }
    )
