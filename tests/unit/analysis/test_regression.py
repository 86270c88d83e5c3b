"""Quadratic regressions, their optima and bands."""

import numpy as np
import pandas as pd
import pytest

from weightwise.analysis.regression import regressions
from weightwise.analysis.relative_change import relative_changes
from weightwise.analysis.scores import read_scores
from weightwise.published import published_path, published_table

ALPHAS = [k / 10 for k in range(1, 10)]


def changes_table(curves, alphas=ALPHAS):
    """Changes of one task of a pair: per seed a function of alpha."""
    rows = [
        {
            "task": "SEN",
            "group": "SEN+PAR",
            "combiner": "unitary",
            "alpha": f"{alpha:.1f}",
            "variant": "default",
            "split": "dev",
            "seed": seed,
            "change": curve(alpha),
        }
        for seed, curve in enumerate(curves)
        for alpha in alphas
    ]
    return pd.DataFrame(rows)


def parabola(linear, quadratic):
    """A curve through (1, 0)."""
    return lambda a: linear * (a - 1) + quadratic * (a * a - 1)


@pytest.fixture(scope="module")
def published():
    found, _ = regressions(relative_changes(read_scores(published_path("pairing_absolute"))))
    return found.set_index(["task", "group"])


def test_the_six_r_squared_of_the_paper(published):
    paper = published_table("pairing_regression")
    assert len(published) == 6
    for row in paper.itertuples():
        assert round(published.loc[(row.task, row.group), "r_squared"], 3) == row.r_squared
    assert set(published["points"]) == {10}


def test_the_optima_of_the_paper(published):
    # The paper reads them off its figure: about 0.75 and around 0.6.
    assert published.loc[("PAR", "SEN+PAR"), "optimum"] == pytest.approx(0.75, abs=0.01)
    assert published.loc[("PAR", "PAR+SIM"), "optimum"] == pytest.approx(0.60, abs=0.03)
    assert published.loc[("PAR", "SEN+PAR"), "note"] == (
        "one seed: no interval, and no optimum is shown; optimum 0.75"
    )
    virtually_linear = published.loc[("SEN", "SEN+SIM")]
    assert np.isnan(virtually_linear["optimum"])
    assert "no interior optimum: the curve's top" in virtually_linear["note"]


def test_an_exact_parabola_with_seeds():
    table = changes_table([parabola(12 + d, -10 - d) for d in (-1, 0, 1)])
    found, curves = regressions(table)
    row = found.iloc[0]
    assert (row["linear"], row["quadratic"]) == pytest.approx((12, -10))
    assert row["intercept"] == pytest.approx(-2)
    assert row["r_squared"] == pytest.approx(1)
    assert row["optimum"] == pytest.approx(0.6)
    assert row["change_at_optimum"] == pytest.approx(parabola(12, -10)(0.6))
    # The slope b + 2 c a of seed d is 12 - 20 a + d (1 - 2 a), d = -1, 0, 1, and zero is not
    # excluded between 12 - 20 a = -+ t / sqrt(3) (1 - 2 a).
    half = 4.302653 / 3**0.5
    ends = sorted((12 + s * half) / (20 + 2 * s * half) for s in (-1, 1))
    assert (row["optimum_low"], row["optimum_high"]) == pytest.approx(ends, rel=1e-5)
    assert row["note"].startswith("optimum 0.60 [0.")
    assert curves["alpha"].min() == 0.1
    assert curves["alpha"].max() == 1
    last = curves.iloc[-1]
    assert (last["change"], last["low"], last["high"]) == pytest.approx((0, 0, 0), abs=1e-9)


def test_a_curvature_that_may_be_zero_has_no_optimum():
    table = changes_table([parabola(5, c) for c in (-9, -1, 4)])
    row = regressions(table)[0].iloc[0]
    assert row["quadratic"] < 0 < row["quadratic_high"]
    assert np.isnan(row["optimum"])
    assert row["note"] == "no interior optimum: the interval of the quadratic term holds zero"


def test_a_curve_that_bends_up_or_tops_outside_has_no_optimum():
    up = regressions(changes_table([parabola(1, 3)] * 2))[0].iloc[0]
    assert up["note"] == "no interior optimum: the curve does not bend down"
    outside = changes_table([parabola(20 + d, -5) for d in (0, 1, 2)])
    assert "outside (0, 1)" in regressions(outside)[0].iloc[0]["note"]


def test_seeds_with_too_few_alphas_are_left_out_and_said():
    table = changes_table([parabola(12, -10), parabola(11, -10), parabola(13, -10)])
    table = table[(table["seed"] != 2) | (table["alpha"] == "0.4")]
    table = table[(table["seed"] != 1) | (table["alpha"].isin(["0.2", "0.4"]))]
    row = regressions(table)[0].iloc[0]
    assert row["seeds"] == 2
    assert row["note"].endswith("2 of 3 seeds have enough alphas for a fit")


def test_too_few_points_make_no_regression():
    found, curves = regressions(changes_table([parabola(12, -10)], alphas=[0.4]))
    assert found.empty
    assert curves.empty
    exact = regressions(changes_table([parabola(12, -10)], alphas=[0.4, 0.6]))[0].iloc[0]
    assert np.isnan(exact["r_squared"])
    assert "three points: every fit is exact" in exact["note"]


def test_only_unitary_rows_of_pairs_count_and_aliases_do(study):
    changes = relative_changes(study())
    found, _ = regressions(changes)
    assert len(found) == 6
    assert set(found["points"]) == {10}
    triple = changes.assign(group="SEN+PAR+SIM")
    assert regressions(triple)[0].empty


def test_the_band_over_seeds_covers_where_seeds_share_a_baseline():
    rng = np.random.default_rng(3)
    truth, simulations, held = parabola(12, -10), 250, {0.1: 0, 0.5: 0, 0.9: 0}
    for _ in range(simulations):
        rows = changes_table([truth] * 4)
        shared = rng.normal(0, 1, size=4)
        rows["change"] += shared[rows["seed"]] + rng.normal(0, 0.5, size=len(rows))
        curve = regressions(rows)[1].set_index("alpha")
        for alpha in held:
            held[alpha] += curve.at[alpha, "low"] <= truth(alpha) <= curve.at[alpha, "high"]
    for count in held.values():
        assert 0.91 <= count / simulations <= 0.99


def noisy(truth, generator, seeds, noise=1.0):
    """Changes of `seeds` seeds at nine weights: truth (per cent) and noise, half of it shared."""
    rng = np.random.default_rng(generator)
    rows = changes_table([truth] * seeds)
    shared = rng.normal(0, noise / 2**0.5, size=seeds)
    rows["change"] += shared[rows["seed"]] + rng.normal(0, noise / 2**0.5, size=len(rows))
    return rows


@pytest.mark.parametrize("seeds", [3, 10])
@pytest.mark.parametrize(
    "truth",
    [
        lambda a: -16 * np.exp(-4 * a),
        lambda a: -16 * np.exp(-8 * a),
        lambda a: 4 * (a - 1),
        lambda a: 0.0,
    ],
    ids=["saturating", "saturating soon", "linear", "flat"],
)
def test_no_optimum_is_claimed_where_there_is_none(truth, seeds):
    claimed = [
        np.isfinite(regressions(noisy(truth, g, seeds))[0].iloc[0]["optimum"]) for g in range(100)
    ]
    # At most 2.5 % are expected; 8 of 100 would be a chance of 1 in 300.
    assert sum(claimed) <= 7


def test_a_true_optimum_is_found_and_its_interval_stays_as_seeds_come():
    def peak(a):
        return 2 - 12 * (a - 0.6) ** 2

    for seeds, fewest in ((5, 0.8), (20, 0.99)):
        rows = [regressions(noisy(peak, g, seeds))[0].iloc[0] for g in range(60)]
        found = [row for row in rows if np.isfinite(row["optimum"])]
        assert len(found) >= fewest * 60
        assert all(np.isfinite(row["optimum_low"]) for row in found)


def test_fieller_covers_the_top():
    truth, held = parabola(12, -10), 0
    for generator in range(200):
        row = regressions(noisy(truth, generator, 5, noise=0.7))[0].iloc[0]
        if np.isfinite(row["optimum"]):
            held += row["optimum_low"] <= 0.6 <= row["optimum_high"]
        else:
            held += 1  # nothing is claimed
    assert held >= 0.91 * 200


def test_flat_is_an_answer():
    def rises(a):
        return -10 * max(0.0, 0.4 - a)

    row = regressions(noisy(rises, 0, 8, noise=0.2))[0].iloc[0]
    assert row["flat_from"] == pytest.approx(0.4)
    assert "flat from 0.4 on: no change of 1 % or more" in row["note"]
    wide = regressions(noisy(rises, 0, 3, noise=3.0))[0].iloc[0]
    assert np.isnan(wide["flat_from"])
