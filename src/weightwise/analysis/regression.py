"""Quadratic regressions of change on weight, with their optima (pairing, 5.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.linear_model import OLS, RegressionResults

from weightwise.analysis.intervals import t_band, t_interval, table_error
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
    changes: pd.DataFrame  # seeds x alphas, per cent; no column for the baseline


def quadratic(alphas: np.ndarray, changes: np.ndarray) -> RegressionResults:
    """OLS of change = a + b alpha + c alpha^2 (per cent; alpha the task's own weight)."""
    return OLS(np.asarray(changes, dtype=float), _powers(alphas)).fit()


def regressions(
    changes: pd.DataFrame, confidence: float = 0.95, smallest: float = 1.0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`tables.Regressions` and `tables.Curves` of every task and pair, from `tables.Changes`.

    The points of a seed are its `unitary` alphas and the baseline as (alpha = 1, change = 0);
    with that point the paper's six R^2 come out, without it none. There is one fit per seed;
    coefficients are their means and all intervals are t intervals over seeds, because seeds share
    a baseline and one pooled fit covers too little. Seeds with fewer than three points are left
    out (the note says so), and so are pairs of fewer than three points. R^2 is that of the fit to
    the seed means; null with three points, where every fit is exact, and where nothing varies.

    A parabola through points that rise and then level off has a top that the truth does not have.
    So an interior optimum is claimed only where the whole interval of c lies below zero, the top
    -b/2c inside (0, 1), and the changes observed at the two weights nearest to it beat training
    alone: the t interval of their mean over seeds lies above zero, at the level that all curves of
    the report share (`intervals.table_error`). Its interval is Fieller's: all weights at which the
    mean slope b + 2 c alpha is not told from zero. Otherwise the note begins with `no interior
    optimum`. With one seed the point estimate stands with a note that nothing is shown.

    `flat_from` is the lowest weight from which on, up to training alone, every observed change (of
    two weights at least) is shown to be smaller than `smallest`: all their t intervals lie within.

    Curves run from the lowest alpha seen to 1, in per cent, with a pointwise t band.

    Args:
        changes: `tables.Changes`.
        confidence: of the intervals, (0, 1).
        smallest: the smallest change worth having, per cent, above 0.
    """
    used = changes[(changes["combiner"] == "unitary") & changes["change"].notna()]
    cells = zip(used["group"], used["task"], strict=True)
    pairs = [len(tasks_of(group)) == 2 and task in tasks_of(group) for group, task in cells]
    used = used[np.array(pairs, dtype=bool)]
    rows, curves = [], []
    found = {key: _fit_seeds(table) for key, table in used.groupby(TABLE, sort=False)}
    found = {key: fits for key, fits in found.items() if fits is not None}
    error = table_error(len(found), 1 - confidence)
    for key, fits in found.items():
        name = dict(zip(TABLE, key, strict=True))
        rows.append(name | _describe(fits, confidence, error, smallest))
        curves.append(_curve(fits, confidence).assign(**name))
    columns = list(Regressions.to_schema().columns)
    told = check(pd.DataFrame(rows, columns=columns), Regressions, "regressions")
    drawn = pd.concat(curves) if curves else pd.DataFrame(columns=list(Curves.to_schema().columns))
    return told, check(drawn.reset_index(drop=True), Curves, "curves")


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
        changes=kept.pivot_table(index="seed", columns="alpha", values="change"),
    )


def _describe(fits: Fits, confidence: float, error: float, smallest: float) -> dict[str, object]:
    intercept, linear, curvature = fits.coefficients.mean(axis=0)
    low, high = t_interval(fits.coefficients[:, 2], confidence)
    flat = _flat_from(fits, confidence, smallest)
    row = {
        "seeds": len(fits.coefficients),
        "points": fits.points,
        "r_squared": fits.r_squared,
        "intercept": intercept,
        "linear": linear,
        "quadratic": curvature,
        "quadratic_low": low,
        "quadratic_high": high,
        "flat_from": flat,
    } | _optimum(fits, high, confidence, error)
    notes = [row["note"]]
    if not math.isnan(flat):
        notes.append(f"flat from {flat:g} on: no change of {smallest:g} % or more")
    if len(fits.coefficients) == 1:
        notes.insert(0, "one seed: no interval, and no optimum is shown")
    if len(fits.coefficients) < fits.seeds_seen:
        notes.append(
            f"{len(fits.coefficients)} of {fits.seeds_seen} seeds have enough alphas for a fit"
        )
    if fits.points == FEWEST_POINTS:
        notes.append("three points: every fit is exact")
    return row | {"note": "; ".join(notes)}


def _optimum(
    fits: Fits, curvature_high: float, confidence: float, error: float
) -> dict[str, object]:
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
    nearest = _nearest(fits, top)
    if several and not t_interval(fits.changes[nearest].mean(axis=1), 1 - error)[0] > 0:
        weights = " and ".join(f"{alpha:g}" for alpha in nearest)
        return {"note": NONE + f"at {weights}, nearest to the curve's top, no gain is shown"}
    row = {
        "optimum": top,
        "change_at_optimum": intercept + linear * top + curvature * top**2,
        "note": f"optimum {top:.2f}",
    }
    if not several:
        return row
    low, high = fieller(fits.coefficients[:, 1], fits.coefficients[:, 2], confidence)
    note = f"{row['note']} [{low:.2f}, {high:.2f}]"
    if low <= 0 or high >= 1:
        note += ", an interval that leaves (0, 1)"
    return row | {"optimum_low": low, "optimum_high": high, "note": note}


def _nearest(fits: Fits, top: float) -> list[float]:
    """The two observed weights nearest to the top that every fitted seed has, in rising order."""
    known = fits.changes.dropna(axis=1).columns
    return sorted(sorted(known, key=lambda alpha: abs(alpha - top))[:2])


def fieller(linear: np.ndarray, curvature: np.ndarray, confidence: float) -> tuple[float, float]:
    """Interval of the top -b/2c by Fieller's theorem: the weights alpha at which the t interval of
    the mean slope, b + 2 c alpha over seeds, holds zero.

    Args:
        linear: b of every seed.
        curvature: c of every seed; the t interval of its mean lies below zero.
        confidence: (0, 1).

    Returns:
        Lower and upper end, finite since c is told from zero (Fieller 1954).
    """
    n = len(linear)
    t2 = stats.t.isf((1 - confidence) / 2, n - 1) ** 2 / n
    b, c = linear.mean(), curvature.mean()
    (s_bb, s_bc), (_, s_cc) = np.cov(linear, curvature)
    roots = np.roots([4 * (c * c - t2 * s_cc), 4 * (b * c - t2 * s_bc), b * b - t2 * s_bb])
    low, high = sorted(np.real(roots))
    return float(low), float(high)


def _flat_from(fits: Fits, confidence: float, smallest: float) -> float:
    """The lowest weight from which on no observed change is as large as `smallest`; nan: none, or
    one weight only."""
    flat = []
    for alpha in sorted(fits.changes.columns, reverse=True):
        low, high = t_interval(fits.changes[alpha].dropna(), confidence)
        if not -smallest < low <= high < smallest:
            break
        flat.append(float(alpha))
    return flat[-1] if len(flat) > 1 else math.nan


def _curve(fits: Fits, confidence: float) -> pd.DataFrame:
    steps = [k / GRID for k in range(GRID + 1) if k / GRID > fits.lowest]
    alphas = np.array([fits.lowest, *steps])
    per_seed = fits.coefficients @ _powers(alphas).T
    low, high = t_band(per_seed, confidence)
    return pd.DataFrame(
        {"alpha": alphas, "change": per_seed.mean(axis=0), "low": low, "high": high}
    )
