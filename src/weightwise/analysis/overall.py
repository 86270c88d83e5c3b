"""Overall score of the tasks of a grouping, both ways."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from weightwise.analysis.intervals import t_interval
from weightwise.analysis.labels import BASELINE, arm_alpha, tasks_of, text_or_none
from weightwise.tables import Overall, check

HowOverall = Literal["mean_mapped", "mean_raw"]
ARM = ["variant", "split", "group", "combiner", "alpha"]


def overall_scores(scores: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """`tables.Overall` from `tables.Scores`: means over the tasks of a grouping, then over seeds.

    mean_raw = mean of the metrics as they are (mlm, simcse); mean_mapped = the same with Pearson
    mapped to (r + 1) / 2 (pairing, gradattention, bertram). Rows of one run are joined by its
    name: for a pair the first task's row at alpha a meets the second's at exactly 1 - a. In
    larger groupings rows carry all weights, or, where they carry only their own, the column
    `run` joins them; rows with neither are left out, and so are seeds without a score for every
    task. Each grouping also has a row `baseline`: the mean of its tasks trained alone. The
    t interval over seeds is of mean_mapped.
    """
    frame = scores[scores["score"].notna()].copy()
    frame["mapped"] = as_counted(frame, "mean_mapped")
    parts = [
        _arm_rows(table, group)
        for _, table in frame.groupby(["variant", "split"], sort=False)
        for group in table["group"].unique()
        if len(tasks_of(group)) > 1
    ]
    rows = []
    if parts:
        for key, arm in pd.concat(parts).groupby(ARM, sort=False, dropna=False):
            low, high = t_interval(arm["mapped"].to_numpy(), confidence)
            rows.append(
                dict(zip(ARM, key, strict=True))
                | {"alpha": text_or_none(key[-1]), "seeds": len(arm)}
                | {"mean_raw": arm["score"].mean(), "mean_mapped": arm["mapped"].mean()}
                | {"mean_mapped_low": low, "mean_mapped_high": high}
            )
    return check(pd.DataFrame(rows, columns=list(Overall.to_schema().columns)), Overall, "overall")


def as_counted(scores: pd.DataFrame, how: HowOverall) -> pd.Series:
    """The scores as they count in an overall score: `mean_raw` as they are; `mean_mapped` with
    Pearson's r, [-1, 1], as (r + 1) / 2."""
    raw = scores["score"]
    return raw if how == "mean_raw" else raw.where(scores["metric"] != "pearson", (raw + 1) / 2)


def _arm_rows(frame: pd.DataFrame, group: str) -> pd.DataFrame:
    """One row per arm and seed of a grouping, in one variant and split: means over its tasks."""
    tasks = tasks_of(group)
    alone = frame[(frame["combiner"] == BASELINE) & frame["task"].isin(tasks)]
    together = frame[(frame["group"] == group) & frame["task"].isin(tasks)]
    joined = pd.concat([alone.assign(group=group), _name_arms(together, tasks)])
    keys = [*ARM, "seed"]
    means = joined.groupby(keys, sort=False, dropna=False).agg(
        score=("score", "mean"), mapped=("mapped", "mean"), tasks=("task", "nunique")
    )
    return means[means["tasks"] == len(tasks)].reset_index()


def _name_arms(rows: pd.DataFrame, tasks: tuple[str, ...]) -> pd.DataFrame:
    """The rows with `alpha` as the name of the run's weights, without those that have none."""
    alphas = [text_or_none(a) for a in rows["alpha"]]
    cells = zip(rows["task"], rows["group"], alphas, strict=True)
    named = [arm_alpha(task, group, alpha) for task, group, alpha in cells]
    lacks = [a is not None and n is None for a, n in zip(alphas, named, strict=True)]
    unnamed = np.array(lacks, dtype=bool)
    rows = rows.assign(alpha=pd.Series(named, index=rows.index, dtype=object), own=alphas)
    lost, found = rows[unnamed], [rows[~unnamed]]
    by = ["variant", "split", "combiner", "seed", "run"]
    for _, run in lost[lost["run"].notna()].groupby(by, sort=False):
        own = dict(zip(run["task"], run["own"], strict=True))
        if len(run) == len(own) == len(tasks):
            found.append(run.assign(alpha=",".join(own[task] for task in tasks)))
    return pd.concat(found).drop(columns="own")
