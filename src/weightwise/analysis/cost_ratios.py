"""What a combiner costs: the time of its steps and its memory as ratios to addition."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import pandas as pd

from weightwise.analysis.intervals import t_interval
from weightwise.tables import CostRatios, check

FIRST_STEPS = 3
"""Steps at the start of a run that are not timed: memory is still being claimed."""
REFERENCE = "addition"
PLACE = ["variant", "group", "hardware", "precision", "threads"]


def timed_steps(step_times: pd.DataFrame, recorded: Collection[int]) -> pd.Series:
    """Seconds of the steps by which a run's time is judged: without the first few, and without
    those recorded by layer block, which cost more than they would otherwise."""
    times = step_times[step_times["step"] > FIRST_STEPS]
    return times.loc[~times["step"].isin(list(recorded)), "seconds"]


def cost_ratios(costs: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """`tables.CostRatios` from `tables.Costs`: groupings of two or more tasks.

    Per seed the ratio of the median step time, and of the peak memory, to addition's in the same
    grouping and variant on the same hardware, precision and threads; the arms of one combiner that
    differ by their weights alone are one. Then the geometric mean over seeds with the t interval
    of the logarithm. Without an addition to compare with, the ratio is null and `seeds` is 0.
    """
    rows = costs[costs["combiner"] != "baseline"].copy()
    for column in ("hardware", "precision"):
        rows[column] = rows[column].fillna("")
    rows["threads"] = rows["threads"].fillna(0.0)
    rows["time"] = np.log(rows["median_step_seconds"].where(rows["median_step_seconds"] > 0))
    rows["memory"] = np.log(rows["peak_memory_bytes"].where(rows["peak_memory_bytes"] > 0))
    place = [*PLACE, "seed"]
    added = rows[rows["combiner"] == REFERENCE].groupby(place)[["time", "memory"]].mean()
    rows = rows.merge(added.reset_index(), on=place, how="left", suffixes=("", "_added"))
    for column in ("time", "memory"):
        rows[column] -= rows[f"{column}_added"]
    found = [
        _ratio(dict(zip([*PLACE, "combiner"], key, strict=True)), arm, confidence)
        for key, arm in rows.groupby([*PLACE, "combiner"], sort=False)
    ]
    frame = pd.DataFrame(found, columns=list(CostRatios.to_schema().columns))
    return check(frame, CostRatios, "cost ratios")


def _ratio(key: dict, arm: pd.DataFrame, confidence: float) -> dict:
    row = key | {
        "hardware": key["hardware"] or None,
        "precision": key["precision"] or None,
        "threads": key["threads"] or math.nan,
        "runs": len(arm),
        "step_seconds": arm["median_step_seconds"].mean(),
        "peak_memory_bytes": arm["peak_memory_bytes"].mean(),
    }
    by_seed = arm.groupby("seed")[["time", "memory"]].mean()
    row["seeds"] = int(by_seed["time"].notna().sum())
    for column in ("time", "memory"):
        values = by_seed[column].dropna().to_numpy()
        # Addition beside itself is 1 by definition, without uncertainty.
        low, high = (
            (math.nan, math.nan)
            if key["combiner"] == REFERENCE
            else t_interval(values, confidence)
            if len(values)
            else (math.nan, math.nan)
        )
        row[column] = math.exp(values.mean()) if len(values) else math.nan
        row[f"{column}_low"], row[f"{column}_high"] = math.exp(low), math.exp(high)
    return row
