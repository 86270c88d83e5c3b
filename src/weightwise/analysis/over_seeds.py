"""Means over seeds with their t intervals, for any table with one row per seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from weightwise.analysis.intervals import t_interval


def over_seeds(
    frame: pd.DataFrame, by: Sequence[str], columns: Sequence[str], confidence: float
) -> pd.DataFrame:
    """One row per `by`: `seeds`, and of every column its mean, `<column>_low` and `<column>_high`.

    Rows without a value do not count; one seed has a mean and no interval. The frame has one row
    per `by` and seed, and the order of first appearance is kept.
    """
    rows = []
    for key, found in frame.groupby(list(by), sort=False, dropna=False):
        row = dict(zip(by, key, strict=True)) | {"seeds": found["seed"].nunique()}
        for column in columns:
            values = found[column].dropna().to_numpy(dtype=float)
            row[column] = values.mean() if len(values) else np.nan
            ends = t_interval(values, confidence) if len(values) else (np.nan, np.nan)
            row[f"{column}_low"], row[f"{column}_high"] = ends
        rows.append(row)
    names = [name for c in columns for name in (c, f"{c}_low", f"{c}_high")]
    return pd.DataFrame(rows, columns=[*by, "seeds", *names])


def whole_runs(conflicts: pd.DataFrame) -> pd.DataFrame:
    """The bins of `tables.Conflicts` as one row per run, pair and block: means over all its
    recorded steps, which are counted in `steps`."""
    by = ["group", "combiner", "alpha", "variant", "seed", "block", "first", "second"]
    columns = ["cosine", "log_ratio", "negative"]
    rows = conflicts[conflicts["steps"] > 0].copy()
    rows[columns] = rows[columns].mul(rows["steps"], axis=0)
    found = rows.groupby(by, sort=False, dropna=False)[["steps", *columns]].sum().reset_index()
    found[columns] = found[columns].div(found["steps"], axis=0)
    return found
