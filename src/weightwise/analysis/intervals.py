"""t intervals over seeds, Holm's correction and verdicts (SPEC section 8, Seeds)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from weightwise.analysis.labels import BASELINE, original_rows, text_or_none
from weightwise.tables import Arms, check

MOST_SEEDS = 10_000
# Per cent. Smaller spreads are rounding: 100 * (0.6 / 0.5 - 1) is not 20 to the last bit.
SAME = 1e-9
ARM = ["variant", "split", "task", "group", "combiner", "alpha"]
FAMILY = ["variant", "split", "task"]
COPIED = (
    *("low", "high", "p_value", "p_holm", "adjusted_low", "adjusted_high"),
    *("seeds_needed", "verdict"),
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
    bootstrap does not (SPEC section 8).
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


def seeds_needed(mean: float, sd: float, error: float, power: float) -> float:
    """Fewest seeds (at least 2) at which a two-sided one-sample t test at level `error` finds a
    true change of `mean` with standard deviation `sd` (both per cent) with the given power.

    nan where the mean is zero or undefined, where sd is zero, and where more than ten thousand
    seeds would be needed.
    """
    if not (math.isfinite(mean) and math.isfinite(sd)) or abs(mean) <= SAME or sd <= SAME:
        return math.nan
    effect = abs(mean) / sd
    high = 2
    while _power(effect, high, error) < power:
        if high == MOST_SEEDS:
            return math.nan
        high = min(2 * high, MOST_SEEDS)
    low = 2 if high == 2 else high // 2
    while low < high:
        middle = (low + high) // 2
        if _power(effect, middle, error) < power:
            low = middle + 1
        else:
            high = middle
    return float(high)


def _power(effect: float, n: int, error: float) -> float:
    found = float(TTestPower().power(effect, n, error))
    if math.isnan(found):
        # Far from zero the noncentral t gives nan; there only the sd estimate still varies.
        ratio = effect * math.sqrt(n) / stats.t.isf(error / 2, n - 1)
        found = float(stats.chi2.cdf((n - 1) * ratio**2, n - 1))
    return found


def summarise_arms(
    changes: pd.DataFrame, confidence: float = 0.95, power: float = 0.8
) -> pd.DataFrame:
    """`tables.Arms` from `tables.Changes`: means, t intervals, Holm's correction, verdicts.

    The differences are paired: each seed's change is to the baseline of that seed, and p comes
    from the one-sample t test of the changes against 0. A family is one task x variant x split:
    all arms of all its groupings with a change, those of one seed included (as p = 1). Rows that
    are another arm's run (`alias_of`) are counted once and copy its p, intervals and verdict.
    `seeds_needed` is for Holm's first step, error / family, and null where more than ten thousand
    seeds would be needed. `undefined` says which seeds have no change and why.

    Identical changes over all seeds: if they are all 0, p = 1 and the interval is [0, 0]. If not,
    t is infinite and would call two lucky or copied seeds a gain; then there is no p and no
    interval, the verdict is `no evidence yet`, and `undefined` says so.
    """
    rows = [
        _summary(dict(zip(ARM, key, strict=True)), arm, confidence) for key, arm in _arms(changes)
    ]
    arms = pd.DataFrame(rows, columns=list(Arms.to_schema().columns))
    original = original_rows(arms)
    counted = (arms["combiner"] != BASELINE) & (original < 0) & arms["change"].notna()
    families = arms.groupby(FAMILY, sort=False)
    arms["family"] = counted.groupby([arms[c] for c in FAMILY], sort=False).transform("sum")
    spread = pd.Series([row["sd"] for row in rows], index=arms.index, dtype=float)
    for _, index in families.groups.items():
        _correct(arms, spread, index[counted[index]], 1 - confidence, power)
    arms["verdict"] = [_verdict(row) for row in arms.itertuples()]
    for index, source in original[original >= 0].items():
        for column in COPIED:
            arms.loc[index, column] = arms.loc[source, column]
    return check(arms, Arms, "arms")


def _arms(changes: pd.DataFrame):
    return changes.groupby(ARM, sort=False, dropna=False)


def _summary(key: dict, arm: pd.DataFrame, confidence: float) -> dict:
    """One arm before the correction; `sd` is that of its changes."""
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
        "sd": change.std(ddof=1) if len(change) > 1 else math.nan,
    }
    if baseline or len(change) < 2:
        return row
    if np.ptp(change) > SAME:
        t = row["change"] / (row["sd"] / math.sqrt(len(change)))
        row["p_value"] = min(1.0, 2 * stats.t.sf(abs(t), len(change) - 1))
        row["low"], row["high"] = t_interval(change, confidence)
    elif np.abs(change).max() <= SAME:
        row |= {"change": 0.0, "sd": 0.0, "p_value": 1.0, "low": 0.0, "high": 0.0}
    else:
        caution = f"the change is identical in all {len(change)} seeds: no interval can be had"
        row["undefined"] = "; ".join(filter(None, [row["undefined"], caution]))
        row["sd"] = 0.0
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


def _correct(
    arms: pd.DataFrame, spread: pd.Series, index: pd.Index, error: float, power: float
) -> None:
    """Fill Holm's columns of one family in place."""
    if index.empty:
        return
    p = arms.loc[index, "p_value"].astype(float)
    filled = p.fillna(1.0).to_numpy()
    holm = multipletests(filled, alpha=error, method="holm")[1]
    for i, corrected, level in zip(index, holm, holm_levels(filled, error), strict=True):
        n, mean, sd = int(arms.at[i, "seeds"]), arms.at[i, "change"], spread[i]
        if pd.isna(p[i]):
            continue
        half = stats.t.isf((1 - level) / 2, n - 1) * sd / math.sqrt(n)
        arms.at[i, "p_holm"] = corrected
        arms.at[i, "adjusted_low"] = mean - half
        arms.at[i, "adjusted_high"] = mean + half
        arms.at[i, "seeds_needed"] = seeds_needed(mean, sd, error / len(index), power)


def _verdict(row) -> str:
    if row.combiner == BASELINE:
        return "reference"
    if row.seeds == 0:
        return "not comparable"
    if row.seeds == 1:
        return "one seed"
    if row.adjusted_low > 0:
        return "gain"
    return "loss" if row.adjusted_high < 0 else "no evidence yet"
