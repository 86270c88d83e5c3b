"""The noise floor of a table: the standard deviation between seeds."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from weightwise.analysis.intervals import pooled_sd
from weightwise.analysis.labels import BASELINE, is_equal_weights, original_rows, text_or_none
from weightwise.tables import Noise, check

ARM = ["group", "combiner", "alpha"]


def noise_floor(scores: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """`tables.Noise` from `tables.Scores`: one row per variant, split and task with scores.

    baseline_sd and pooled_sd are in the metric's own units; pooled_sd = sqrt(sum of squares
    around each arm's mean / sum of (seeds - 1)) over all arms with two seeds or more, the
    baseline included, shared runs once. paired_sd, per cent, is that of the changes, each to the
    baseline of its own seed: the noise that a change must rise above; what seeds share cancels.
    same_method_gap is the largest |unitary at equal weights - addition| over the groupings, of
    means over their common seeds, where both were really run (under AdamW they are one method); in
    the pairing paper's SEN+PAR it is 0.011.

    Args:
        scores: `tables.Scores`.
        arms: `tables.Arms` of them.
    """
    real = scores[scores["score"].notna() & (original_rows(scores) < 0)]
    own = arms[(arms["combiner"] != BASELINE) & (original_rows(arms) < 0)]
    rows = []
    for (variant, split, task), table in real.groupby(["variant", "split", "task"], sort=False):
        baseline = table.loc[table["combiner"] == BASELINE, "score"].to_numpy()
        mean = baseline.mean() if len(baseline) else math.nan
        changed = own[(own[["variant", "split", "task"]] == [variant, split, task]).all(axis=1)]
        rows.append(
            {
                "task": task,
                "variant": variant,
                "split": split,
                "seeds": table["seed"].nunique(),
                "baseline": mean,
                "baseline_sd": baseline.std(ddof=1) if len(baseline) > 1 else math.nan,
                "pooled_sd": _pooled(table),
                "paired_sd": pooled_sd(changed["paired_sd"], changed["seeds"]),
                "same_method_gap": _same_method_gap(table),
            }
        )
    return check(pd.DataFrame(rows, columns=list(Noise.to_schema().columns)), Noise, "noise")


def _pooled(table: pd.DataFrame) -> float:
    squares, freedom = 0.0, 0
    for _, arm in table.groupby(ARM, sort=False, dropna=False):
        values = arm["score"].to_numpy()
        squares += float(((values - values.mean()) ** 2).sum())
        freedom += len(values) - 1
    return math.sqrt(squares / freedom) if freedom else math.nan


def _same_method_gap(table: pd.DataFrame) -> float:
    gaps = []
    for group, rows in table[table["alias_of"].isna()].groupby("group", sort=False):
        equal = [is_equal_weights(group, text_or_none(a)) for a in rows["alpha"]]
        weighted = rows[(rows["combiner"] == "unitary") & np.array(equal, dtype=bool)].set_index(
            "seed"
        )["score"]
        added = rows[rows["combiner"] == "addition"].set_index("seed")["score"]
        gaps.append(abs((weighted - added).mean()))
    return float(np.nanmax(gaps)) if np.isfinite(gaps).any() else math.nan
