"""t intervals over seeds, Holm's correction and verdicts."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from weightwise.analysis.labels import BASELINE, original_rows, text_or_none
from weightwise.analysis.power import visible_effect
from weightwise.tables import Arms, check

# Per cent. Smaller spreads are rounding: 100 * (0.6 / 0.5 - 1) is not 20 to the last bit.
SAME = 1e-9
ARM = ["variant", "split", "task", "group", "combiner", "alpha"]
FAMILY = ["variant", "split", "task"]
COPIED = (
    *("low", "high", "p_value", "p_holm", "adjusted_low", "adjusted_high"),
    *("visible", "verdict"),
)


def t_band(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of `t_interval` for every column of values (seeds x columns)."""
    n = len(values)
    mean = np.mean(values, axis=0)
    if n < 2:
        return np.full_like(mean, math.nan), np.full_like(mean, math.nan)
    sd = np.std(values, axis=0, ddof=1)
    half = stats.t.isf((1 - confidence) / 2, n - 1) * sd / math.sqrt(n)
    return mean - half, mean + half


def t_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Two-sided t interval of the mean: mean -+ t(n - 1) * sd / sqrt(n), in the values' units.

    (nan, nan) below two values. Over 3 to 5 seeds it keeps its coverage, which a percentile
    bootstrap does not.
    """
    low, high = t_band(np.asarray(values, dtype=float)[:, None], confidence)
    return float(low[0]), float(high[0])


def holm_levels(p_values: np.ndarray, error: float) -> np.ndarray:
    """The confidence at which each arm's interval excludes zero exactly where Holm rejects.

    With p sorted upwards and k the first rank that Holm does not reject (p_(k) > error /
    (m - k + 1); m where all are rejected), the arm of rank i gets 1 - error / (m - min(i, k) + 1).
    Equal p keep their order.
    """
    m = len(p_values)
    order = np.argsort(p_values, kind="stable")
    steps = error / (m - np.arange(m))
    kept = np.flatnonzero(p_values[order] > steps)
    k = kept[0] if len(kept) else m - 1
    levels = np.empty(m)
    levels[order] = 1 - steps[np.minimum(np.arange(m), k)]
    return levels


def table_error(tables: int, error: float) -> float:
    """The level of one table of arms, so that a whole report recommends falsely in at most `error`
    of studies: a recommendation is the upper half of a two-sided test, and the halves of all
    tables that may recommend add up to at most `error`.

    Args:
        tables: tasks x variants that are judged, at least 1.
        error: 1 - confidence, (0, 1).
    """
    return min(error, 2 * error / max(tables, 1))


def summarise_arms(
    changes: pd.DataFrame,
    confidence: float = 0.95,
    power: float = 0.8,
    smallest: float | None = None,
) -> pd.DataFrame:
    """`tables.Arms` from `tables.Changes`: means, t intervals, Holm's correction, verdicts.

    The differences are paired: each seed's change is to the baseline of that seed, and p comes
    from the one-sample t test of the changes against 0. A family is one task x variant x split:
    all arms of all its groupings with a change, those of one seed included (as p = 1). Its level
    is `table_error`, which the tasks and variants of the report share. Rows that are another arm's
    run (`alias_of`) are counted once and copy its p, intervals and verdict. `visible` is the
    smallest true change that this design finds: at Holm's first step, with the arm's seeds and the
    spread of the paired changes pooled over the family. `undefined` says which seeds have no change
    and why.

    Identical changes over all seeds: if they are all 0, p = 1 and the interval is [0, 0]. If not,
    t is infinite and would call two lucky or copied seeds a gain; then there is no p and no
    interval, the verdict is `not decided`, and `undefined` says so.

    Args:
        changes: `tables.Changes`.
        confidence: of the intervals, (0, 1); 1 - confidence is the error of the whole report.
        power: with which `visible` is found, (0, 1).
        smallest: the smallest change worth having, in the unit of `change`; None: no arm is said
            to have no such change.
    """
    rows = [
        _summary(dict(zip(ARM, key, strict=True)), arm, confidence) for key, arm in _arms(changes)
    ]
    arms = pd.DataFrame(rows, columns=list(Arms.to_schema().columns))
    original = original_rows(arms)
    counted = (arms["combiner"] != BASELINE) & (original < 0) & arms["change"].notna()
    judged = arms.loc[counted, ["variant", "task"]].drop_duplicates()
    error = table_error(len(judged), 1 - confidence)
    families = arms.groupby(FAMILY, sort=False)
    arms["error"] = error
    arms["family"] = counted.groupby([arms[c] for c in FAMILY], sort=False).transform("sum")
    for _, index in families.groups.items():
        _correct(arms, index[counted[index]], error, power)
    arms["verdict"] = [_verdict(row, smallest) for row in arms.itertuples()]
    for index, source in original[original >= 0].items():
        for column in COPIED:
            arms.loc[index, column] = arms.loc[source, column]
    return check(arms, Arms, "arms")


def _arms(changes: pd.DataFrame):
    return changes.groupby(ARM, sort=False, dropna=False)


def _summary(key: dict, arm: pd.DataFrame, confidence: float) -> dict:
    """One arm before the correction."""
    baseline = key["combiner"] == BASELINE
    score = arm["score"].dropna().to_numpy(dtype=float)
    change = arm["change"].dropna().to_numpy(dtype=float)
    row = key | {
        "alpha": text_or_none(key["alpha"]),
        "metric": arm["metric"].iloc[0],
        "seeds": len(change),
        "score": score.mean() if len(score) else math.nan,
        "score_sd": score.std(ddof=1) if len(score) > 1 else math.nan,
        "change": change.mean() if len(change) else math.nan,
        "undefined": _reasons(arm),
        "alias_of": next(iter(arm["alias_of"].dropna()), None),
        "paired_sd": change.std(ddof=1) if len(change) > 1 else math.nan,
    }
    if baseline or len(change) < 2:
        return row
    if np.ptp(change) > SAME:
        t = row["change"] / (row["paired_sd"] / math.sqrt(len(change)))
        row["p_value"] = min(1.0, 2 * stats.t.sf(abs(t), len(change) - 1))
        row["low"], row["high"] = t_interval(change, confidence)
    elif np.abs(change).max() <= SAME:
        row |= {"change": 0.0, "paired_sd": 0.0, "p_value": 1.0, "low": 0.0, "high": 0.0}
    else:
        caution = f"the change is identical in all {len(change)} seeds: no interval can be had"
        row["undefined"] = "; ".join(filter(None, [row["undefined"], caution]))
        row["paired_sd"] = 0.0
    return row


def _reasons(arm: pd.DataFrame) -> str | None:
    missing = arm[arm["undefined"].notna()]
    if missing.empty:
        return None
    if len(missing) == len(arm) and missing["undefined"].nunique() == 1:
        return missing["undefined"].iloc[0].replace("for this seed", "for any of its seeds")
    return "; ".join(
        f"seed {', '.join(map(str, seeds))}: {reason}"
        for reason, seeds in missing.groupby("undefined", sort=False)["seed"]
    )


def _correct(arms: pd.DataFrame, index: pd.Index, error: float, power: float) -> None:
    """Fill Holm's columns of one family in place."""
    if index.empty:
        return
    p = arms.loc[index, "p_value"].astype(float)
    filled = p.fillna(1.0).to_numpy()
    pooled = pooled_sd(arms.loc[index, "paired_sd"], arms.loc[index, "seeds"])
    holm = multipletests(filled, alpha=error, method="holm")[1]
    for i, corrected, level in zip(index, holm, holm_levels(filled, error), strict=True):
        n, mean, sd = int(arms.at[i, "seeds"]), arms.at[i, "change"], arms.at[i, "paired_sd"]
        if pd.isna(p[i]):
            continue
        half = stats.t.isf((1 - level) / 2, n - 1) * sd / math.sqrt(n)
        arms.at[i, "p_holm"] = corrected
        arms.at[i, "adjusted_low"] = mean - half
        arms.at[i, "adjusted_high"] = mean + half
        seen = visible_effect(n, error / len(index), power)
        arms.at[i, "visible"] = seen * pooled if pooled > SAME else math.nan


def pooled_sd(spread: pd.Series, seeds: pd.Series) -> float:
    """Standard deviation of the paired changes, pooled over the arms that have one: the root of
    their mean variance, weighted by seeds - 1; nan where none has one."""
    freedom = (seeds.astype(float) - 1).where(spread.notna(), 0.0)
    if not freedom.sum():
        return math.nan
    return math.sqrt(float((freedom * spread.fillna(0.0) ** 2).sum() / freedom.sum()))


def _verdict(row, smallest: float | None) -> str:
    if row.combiner == BASELINE:
        return "reference"
    if row.seeds == 0:
        return "not comparable"
    if row.seeds == 1:
        return "one seed"
    if row.adjusted_low > 0:
        return "gain"
    if row.adjusted_high < 0:
        return "loss"
    if smallest is not None and -smallest < row.adjusted_low <= row.adjusted_high < smallest:
        return "no change worth having"
    return "not decided"
