"""t intervals, Holm's correction, seeds needed and verdicts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from weightwise.analysis.intervals import holm_levels, summarise_arms, t_interval, table_error
from weightwise.analysis.power import visible_effect
from weightwise.analysis.relative_change import relative_changes

ERROR = 0.05


def summarise(table):
    return summarise_arms(relative_changes(table))


def pair_table(row, scores, arms, baselines):
    """One task with a baseline per seed and arms given by their scores per seed."""
    rows = [row("SEN", "SEN", "baseline", b, seed=s) for s, b in enumerate(baselines)]
    for name, values in arms.items():
        rows += [row("SEN", "SEN+PAR", name, v, seed=s) for s, v in enumerate(values)]
    return scores(rows)


def test_a_paired_interval_by_hand(row, scores):
    table = pair_table(row, scores, {"addition": [0.51, 0.52, 0.56]}, [0.5, 0.5, 0.5])
    arm = summarise(table).iloc[1]
    # Changes 2, 4, 12: mean 6, sd 5.2915, t(2) at 97.5 % is 4.3027.
    half = 4.302653 * 5.291503 / 3**0.5
    assert arm["change"] == pytest.approx(6)
    assert (arm["low"], arm["high"]) == pytest.approx((6 - half, 6 + half), rel=1e-6)
    assert arm["p_value"] == pytest.approx(stats.ttest_1samp([2, 4, 12], 0).pvalue)
    assert (arm["adjusted_low"], arm["adjusted_high"]) == pytest.approx((arm["low"], arm["high"]))
    assert arm["family"] == 1
    assert arm["verdict"] == "not decided"
    assert arm["score_sd"] == pytest.approx(np.std([0.51, 0.52, 0.56], ddof=1))


def test_differences_are_paired_by_seed(row, scores):
    baselines = [0.4, 0.5, 0.6]
    table = pair_table(row, scores, {"addition": [0.42, 0.526, 0.629]}, baselines)
    arm = summarise(table).iloc[1]
    assert arm["verdict"] == "gain"
    assert arm["high"] - arm["low"] < 2


def test_one_seed_has_no_interval(row, scores):
    arms = summarise(pair_table(row, scores, {"addition": [0.6]}, [0.5]))
    assert list(arms["verdict"]) == ["reference", "one seed"]
    assert arms[["low", "p_value", "p_holm", "adjusted_low", "visible"]].isna().all(axis=None)


def test_identical_changes_claim_nothing(row, scores):
    arms = {"addition": [0.5, 0.5, 0.5], "pcgrad": [0.6, 0.6, 0.6]}
    table = summarise(pair_table(row, scores, arms, [0.5, 0.5, 0.5]))
    zero, same = table.iloc[1], table.iloc[2]
    assert (zero["p_value"], zero["adjusted_low"], zero["adjusted_high"]) == (1, 0, 0)
    assert zero["verdict"] == same["verdict"] == "not decided"
    assert pd.isna(same["p_value"])
    assert pd.isna(same["low"])
    assert "identical in all 3 seeds" in same["undefined"]


def test_missing_seeds_are_named(row, scores):
    table = pair_table(row, scores, {"addition": [0.6, None, 0.62]}, [0.5, 0.5, 0.5])
    arm = summarise(table).iloc[1]
    assert arm["seeds"] == 2
    assert arm["undefined"] == "seed 1: no score"


def test_nothing_to_compare(row, scores):
    arms = summarise(scores([row("SEN", "best", "best", 0.6)]))
    assert arms.iloc[0]["verdict"] == "not comparable"
    assert arms.iloc[0]["family"] == 0


def test_aliases_are_counted_once_and_copy_their_original(study):
    arms = summarise(study())
    table = arms[(arms["task"] == "SEN") & (arms["combiner"] != "baseline")]
    # Two groupings of nine alphas, addition and pcgrad; 0.5 is addition's run.
    assert len(table) == 22
    assert set(table["family"]) == {20}
    for _, alias in table[table["alias_of"].notna()].iterrows():
        same = (table["group"] == alias["group"]) & (table["combiner"] == "addition")
        original = table[same].iloc[0]
        for column in ("change", "low", "p_value", "p_holm", "adjusted_high", "visible"):
            assert alias[column] == original[column]
        assert alias["verdict"] == original["verdict"]
    real = table[table["alias_of"].isna()]
    expected = multipletests(real["p_value"], method="holm")[1]
    assert list(real["p_holm"]) == pytest.approx(list(expected))


def test_an_alias_whose_run_is_missing_stands_for_itself(row, scores):
    rows = [row("SEN", "SEN", "baseline", 0.5 + s / 100, seed=s) for s in range(3)]
    rows += [
        row("SEN", "SEN+PAR", "unitary", 0.5, "0.5", seed=s, alias_of="addition") for s in range(3)
    ]
    arm = summarise(scores(rows)).iloc[1]
    assert arm["family"] == 1
    assert arm["p_holm"] == arm["p_value"]


def test_families_are_one_task_split_and_variant(study):
    arms = summarise(study(splits=("dev", "test")))
    assert set(arms["family"]) == {20}


p_values = st.lists(st.floats(1e-8, 1), min_size=1, max_size=12)


@settings(deadline=None)
@given(p_values, st.integers(2, 8))
def test_the_interval_excludes_zero_exactly_where_holm_rejects(p, n):
    p = np.array(p)
    corrected = multipletests(p, method="holm", alpha=ERROR)[1]
    levels = holm_levels(p, ERROR)
    t = stats.t.isf(p / 2, n - 1)
    excludes = t > stats.t.isf((1 - levels) / 2, n - 1)
    clear = np.abs(corrected - ERROR) > 1e-9
    assert ((corrected <= ERROR) == excludes)[clear].all()


@settings(deadline=None)
@given(p_values)
def test_holm_levels_lie_between_bonferroni_and_no_correction(p):
    levels = holm_levels(np.array(p), ERROR)
    assert (levels >= 1 - ERROR - 1e-12).all()
    assert (levels <= 1 - ERROR / len(p) + 1e-12).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.03))
def test_verdicts_of_a_table_follow_holm(seed, noise):
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(4):
        cells = {"baseline": 0.6, "a": 0.63, "b": 0.6, "c": 0.55, "d": 0.61}
        for name, centre in cells.items():
            rows.append(
                {
                    "task": "SEN",
                    "metric": "accuracy",
                    "group": "SEN" if name == "baseline" else "SEN+PAR",
                    "combiner": name,
                    "alpha": None,
                    "variant": "default",
                    "seed": s,
                    "split": "dev",
                    "score": centre + (noise + 0.001) * rng.normal(),
                    "epoch": None,
                    "run": None,
                    "alias_of": None,
                }
            )
    arms = summarise(pd.DataFrame(rows)).iloc[1:]
    for arm in arms.itertuples():
        assert (arm.verdict in ("gain", "loss")) == (arm.p_holm <= ERROR)
        assert arm.adjusted_low <= arm.low
        assert arm.adjusted_high >= arm.high


@pytest.mark.parametrize(("seeds", "error"), [(2, 0.05), (3, 0.05 / 12), (5, 0.05), (20, 0.05)])
def test_what_a_design_sees_is_found_with_that_power(seeds, error):
    effect = visible_effect(seeds, error, 0.8)
    if effect < 10:  # beyond, the library's noncentral t gives nan
        # It counts the wrong direction, too, which is next to nothing here.
        assert TTestPower().power(effect, seeds, error) == pytest.approx(0.8, abs=1e-3)
    rng = np.random.default_rng(0)
    values = rng.normal(effect, 1, size=(4000, seeds))
    assert np.mean(stats.ttest_1samp(values, 0, axis=1).pvalue < error) == pytest.approx(
        0.8, abs=0.02
    )


def test_one_seed_sees_nothing():
    assert np.isnan(visible_effect(1, 0.05, 0.8))


def test_what_a_design_sees_pools_the_spread_of_the_family(row, scores):
    arms = {"addition": [0.51, 0.50, 0.52], "pcgrad": [0.49, 0.53, 0.51]}
    table = summarise(pair_table(row, scores, arms, [0.5, 0.5, 0.5])).iloc[1:]
    pooled = np.sqrt((np.var([2, 0, 4], ddof=1) + np.var([-2, 6, 2], ddof=1)) / 2)
    assert list(table["visible"]) == pytest.approx([pooled * visible_effect(3, 0.025, 0.8)] * 2)


def test_the_tables_of_a_report_share_its_error(study):
    found = summarise(study(tasks=("SEN", "PAR", "SIM")))
    assert found["error"].to_numpy() == pytest.approx(2 * 0.05 / 3)
    assert table_error(1, 0.05) == table_error(2, 0.05) == 0.05
    # With as many tables as there are, the halves that claim gains add up to the whole error.
    for tables in range(2, 40):
        assert tables * table_error(tables, 0.05) / 2 == pytest.approx(0.05)


def test_changes_that_are_shown_to_be_small_are_called_so(row, scores):
    table = pair_table(row, scores, {"addition": [0.501, 0.499, 0.5, 0.5]}, [0.5] * 4)
    arms = summarise_arms(relative_changes(table), smallest=1.0)
    assert arms.iloc[1]["verdict"] == "no change worth having"
    assert summarise(table).iloc[1]["verdict"] == "not decided"


def test_the_t_interval_over_four_seeds_covers():
    rng = np.random.default_rng(1)
    held = 0
    for values in rng.normal(3, 2, size=(2000, 4)):
        low, high = t_interval(values, 0.95)
        held += low <= 3 <= high
    assert 0.92 <= held / 2000 <= 0.98
