"""Quadratic regressions of change on weight, with their optima (SPEC section 8; pairing, 5.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.regression.linear_model import OLS, RegressionResults

from weightwise.analysis.intervals import t_band, t_interval
from weightwise.analysis.labels import tasks_of
from weightwise.tables import Curves, Regressions, check

TABLE = ["variant", "split", "task", "group"]
FEWEST_POINTS = 3
GRID = 100  # steps of the drawn curve over [0, 1]
NONE = "no interior optimum: "


@dataclass(frozen=True)
class Fits:
    """The fits of one task and pair: per seed, coefficients (1, alpha, alpha^2) in per cent."""

    seeds_seen: int
    coefficients: np.ndarray  # seeds x 3
    points: int
    lowest: float  # the lowest alpha seen
    r_squared: float


def quadratic(alphas: np.ndarray, changes: np.ndarray) -> RegressionResults:
    """OLS of change = a + b alpha + c alpha^2 (per cent; alpha the task's own weight)."""
    return OLS(np.asarray(changes, dtype=float), _powers(alphas)).fit()


def regressions(
    changes: pd.DataFrame, confidence: float = 0.95
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`tables.Regressions` and `tables.Curves` of every task and pair, from `tables.Changes`.

    The points of a seed are its `unitary` alphas and the baseline as (alpha = 1, change = 0);
    with that point the paper's six R^2 come out, without it none. There is one fit per seed;
    coefficients are their means and all intervals are t intervals over seeds, because seeds share
    a baseline and one pooled fit covers too little. Seeds with fewer than three points are left
    out (the note says so), and so are pairs of fewer than three points. R^2 is that of the fit to
    the seed means; null with three points, where every fit is exact, and where nothing varies.

    The optimum -b/2c exists only where c is below zero (with several seeds: its whole interval)
    and only inside (0, 1); otherwise the note begins with `no interior optimum`. Its interval is
    the t interval over the seeds' own optima, where every seed's c is below zero. With one seed
    there is no interval; the point estimate stands with a note. Curves run from the lowest alpha
    seen to 1, in per cent, with a pointwise t band.
    """
    used = changes[(changes["combiner"] == "unitary") & changes["change"].notna()]
    cells = zip(used["group"], used["task"], strict=True)
    pairs = [len(tasks_of(group)) == 2 and task in tasks_of(group) for group, task in cells]
    used = used[np.array(pairs, dtype=bool)]
    rows, curves = [], []
    for key, table in used.groupby(TABLE, sort=False):
        fits = _fit_seeds(table)
        if fits is None:
            continue
        name = dict(zip(TABLE, key, strict=True))
        rows.append(name | _describe(fits, confidence))
        curves.append(_curve(fits, confidence).assign(**name))
    columns = list(Regressions.to_schema().columns)
    found = check(pd.DataFrame(rows, columns=columns), Regressions, "regressions")
    drawn = pd.concat(curves) if curves else pd.DataFrame(columns=list(Curves.to_schema().columns))
    return found, check(drawn.reset_index(drop=True), Curves, "curves")


def _powers(alphas: np.ndarray) -> np.ndarray:
    return np.vander(np.asarray(alphas, dtype=float), 3, increasing=True)


def _with_baseline(alphas: pd.Series, changes: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    return np.append(alphas.to_numpy(float), 1.0), np.append(changes.to_numpy(float), 0.0)


def _fit_seeds(table: pd.DataFrame) -> Fits | None:
    table = table.assign(alpha=table["alpha"].astype(float))
    fitted = []
    for _, seed in table.groupby("seed"):
        alphas, values = _with_baseline(seed["alpha"], seed["change"])
        if len(np.unique(alphas)) >= FEWEST_POINTS:
            fitted.append((seed, quadratic(alphas, values).params))
    if not fitted:
        return None
    kept = pd.concat([seed for seed, _ in fitted])
    means = kept.groupby("alpha")["change"].mean().reset_index()
    alphas, values = _with_baseline(means["alpha"], means["change"])
    r_squared = math.nan
    if len(np.unique(alphas)) > FEWEST_POINTS and np.ptp(values) > 0:
        r_squared = min(1.0, quadratic(alphas, values).rsquared)
    return Fits(
        seeds_seen=table["seed"].nunique(),
        coefficients=np.array([params for _, params in fitted]),
        points=len(alphas),
        lowest=float(alphas.min()),
        r_squared=r_squared,
    )


def _describe(fits: Fits, confidence: float) -> dict[str, object]:
    intercept, linear, curvature = fits.coefficients.mean(axis=0)
    low, high = t_interval(fits.coefficients[:, 2], confidence)
    row = {
        "seeds": len(fits.coefficients),
        "points": fits.points,
        "r_squared": fits.r_squared,
        "intercept": intercept,
        "linear": linear,
        "quadratic": curvature,
        "quadratic_low": low,
        "quadratic_high": high,
    } | _optimum(fits, high, confidence)
    notes = [row["note"]]
    if len(fits.coefficients) == 1:
        notes.insert(0, "one seed: no interval")
    if len(fits.coefficients) < fits.seeds_seen:
        notes.append(
            f"{len(fits.coefficients)} of {fits.seeds_seen} seeds have enough alphas for a fit"
        )
    if fits.points == FEWEST_POINTS:
        notes.append("three points: every fit is exact")
    return row | {"note": "; ".join(notes)}


def _optimum(fits: Fits, curvature_high: float, confidence: float) -> dict[str, object]:
    """Optimum, its interval, the change there (per cent) and what may be said of them."""
    several = len(fits.coefficients) > 1
    intercept, linear, curvature = fits.coefficients.mean(axis=0)
    if not curvature < 0:
        return {"note": NONE + "the curve does not bend down"}
    if several and curvature_high >= 0:
        return {"note": NONE + "the interval of the quadratic term holds zero"}
    top = -linear / (2 * curvature)
    if not 0 < top < 1:
        return {"note": NONE + f"the curve's top would lie at {top:.2f}, outside (0, 1)"}
    row = {
        "optimum": top,
        "change_at_optimum": intercept + linear * top + curvature * top**2,
        "note": f"optimum {top:.2f}",
    }
    if not several:
        return row
    upwards = int((fits.coefficients[:, 2] >= 0).sum())
    if upwards:
        return row | {"note": row["note"] + f", no interval: {upwards} seeds do not bend down"}
    tops = -fits.coefficients[:, 1] / (2 * fits.coefficients[:, 2])
    low, high = t_interval(tops, confidence)
    note = f"{row['note']} [{low:.2f}, {high:.2f}]"
    if low <= 0 or high >= 1:
        note += ", an interval that leaves (0, 1)"
    return row | {"optimum_low": low, "optimum_high": high, "note": note}


def _curve(fits: Fits, confidence: float) -> pd.DataFrame:
    steps = [k / GRID for k in range(GRID + 1) if k / GRID > fits.lowest]
    alphas = np.array([fits.lowest, *steps])
    per_seed = fits.coefficients @ _powers(alphas).T
    low, high = t_band(per_seed, confidence)
    return pd.DataFrame(
        {"alpha": alphas, "change": per_seed.mean(axis=0), "low": low, "high": high}
    )
