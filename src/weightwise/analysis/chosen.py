"""One arm per task out of a whole study, all its variants: the best on dev, and the reference."""

from __future__ import annotations

import pandas as pd

from weightwise.analysis.labels import BASELINE, combiner_rank, tasks_of

CELL = ["task", "group", "combiner", "alpha", "variant"]


def chosen_arms(
    scores: pd.DataFrame, alone: bool = True, claimed: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The reference and the best arm of every task.

    The reference is the first variant's task alone, or, where that was not trained, its simplest
    arm in the largest grouping. The best arm has the highest mean dev score of the arms that are
    claimed as gains, so that it is the one that the report's first page names; where none is, of
    all arms of all variants that have as many seeds as any, the reference among them. Ties go to
    the simpler combiner, the smaller grouping, the earlier variant. Rows that are another arm's run
    count under that arm. A task without dev scores has no best arm.

    Args:
        scores: `tables.Scores`.
        alone: False, as for named arms: the reference is an arm of several tasks, too, if there is
            one; it is then the one that `comparisons.compare_variants` begins with.

    Returns:
        A row per task and role in the order of the tasks: role (`reference`, `best`), task, group,
        combiner, alpha (the task's own weight), variant, seeds, score (mean on dev, NaN where
        there is none), in that order of columns.
    """
    rows = scores[scores["alias_of"].isna()]
    dev = rows[(rows["split"] == "dev") & rows["score"].notna()]
    found = []
    for task in scores["task"].unique():
        own = rows[rows["task"] == task]
        if len(own):
            found.append(("reference", _reference(own, alone)))
        measured = _arms(dev[dev["task"] == task])
        if len(measured):
            whole = _claimed(measured, claimed)
            found.append(("best", min(whole.itertuples(), key=_preference)))
    means = _arms(dev).set_index(CELL)
    lines = []
    for role, arm in found:
        cell = tuple(getattr(arm, column) for column in CELL)
        mean = means.loc[[cell]].iloc[0] if cell in means.index else None
        numbers = (0, float("nan")) if mean is None else (int(mean["seeds"]), mean["score"])
        lines.append((role, *cell, *numbers))
    table = pd.DataFrame(lines, columns=["role", *CELL, "seeds", "score"])
    return table.assign(alpha=table["alpha"].astype(object).where(table["alpha"] != "", None))


def chosen_predictions(predictions: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """The labelled predictions of the chosen arms on the split that measures them: test where a
    task has labelled test predictions, else dev, which the best arm was selected on.

    Args:
        predictions: `tables.ArmPredictions`.
        chosen: what `chosen_arms` gives.

    Returns:
        The columns of `predictions` after `role`, sorted by task and role (in the order of
        `chosen`), row and seed. An arm in both roles stands there twice; one without predictions
        not at all.
    """
    known = predictions[predictions["label"].notna()]
    parts = [known.iloc[:0].assign(role="")]
    for arm in chosen.itertuples():
        own = known[known["task"] == arm.task]
        split = "test" if (own["split"] == "test").any() else "dev"
        alpha = own["alpha"].isna() if pd.isna(arm.alpha) else own["alpha"] == arm.alpha
        same = own[["group", "combiner", "variant"]] == [arm.group, arm.combiner, arm.variant]
        rows = own[same.all(axis=1) & alpha & (own["split"] == split)]
        parts.append(rows.assign(role=arm.role).sort_values(["row", "seed"], kind="stable"))
    columns = ["role", *predictions.columns]
    return pd.concat(parts, ignore_index=True)[columns]


def _arms(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean score and seeds of every arm, in the order of the table; no alpha is an empty text."""
    filled = rows.assign(alpha=rows["alpha"].fillna(""))
    return filled.groupby(CELL, sort=False).agg(
        score=("score", "mean"), seeds=("seed", "nunique")
    ).reset_index()  # fmt: skip


def _claimed(measured: pd.DataFrame, claimed: pd.DataFrame | None) -> pd.DataFrame:
    """The arms among which the best one is: those claimed, else those with the most seeds."""
    if claimed is not None:
        keys = claimed.assign(alpha=claimed["alpha"].fillna(""))[CELL]
        wanted = set(keys.itertuples(index=False, name=None))
        known = [arm in wanted for arm in measured[CELL].itertuples(index=False, name=None)]
        if any(known):
            return measured[known]
    return measured[measured["seeds"] == measured["seeds"].max()]


def _reference(rows: pd.DataFrame, alone: bool):
    """The first variant's task alone (or that last), else its simplest arm in the largest
    grouping."""
    first = _arms(rows[rows["variant"] == rows["variant"].iloc[0]])

    def rank(arm) -> tuple:
        return (
            (arm.combiner != BASELINE) == alone,
            -len(tasks_of(arm.group)),
            combiner_rank(arm.combiner),
        )

    return min(first.itertuples(), key=rank)


def _preference(arm) -> tuple:
    return (-round(arm.score, 9), combiner_rank(arm.combiner), len(tasks_of(arm.group)))
