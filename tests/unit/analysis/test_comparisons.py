"""Every variant against the first one."""

from __future__ import annotations

import pandas as pd
import pytest
from scipy import stats

from weightwise.analysis.comparisons import compare_variants
from weightwise.tables import Scores, check

SEEDS = (1, 2, 3)


def rows(variant: str, group: str, combiner: str, values, task: str = "SEN", split: str = "dev"):
    """One arm's rows, one per seed."""
    return [
        {
            "task": task,
            "metric": "accuracy",
            "group": group,
            "combiner": combiner,
            "alpha": None,
            "variant": variant,
            "seed": seed,
            "split": split,
            "score": value,
            "epoch": 1,
            "run": f"{variant}-{group}-{combiner}-{seed}",
            "alias_of": None,
        }
        for seed, value in zip(SEEDS, values, strict=False)
    ]


def compare(*arms) -> pd.DataFrame:
    table = check(pd.DataFrame([row for arm in arms for row in arm]), Scores, "scores")
    return compare_variants(table).set_index(["variant", "group", "combiner"])


def test_differences_are_paired_and_corrected():
    found = compare(
        rows("first", "SEN+PAR", "addition", [0.50, 0.60, 0.70]),
        rows("better", "SEN+PAR", "pcgrad", [0.51, 0.612, 0.711]),
        rows("same", "SEN+PAR", "addition", [0.50, 0.61, 0.69]),
    )
    assert found.loc[("first", "SEN+PAR", "addition"), "verdict"] == "reference"
    better = found.loc[("better", "SEN+PAR", "pcgrad")]
    assert better["difference"] == pytest.approx(0.011)
    p = stats.ttest_1samp([0.01, 0.012, 0.011], 0).pvalue
    assert better["p_value"] == pytest.approx(p)
    assert better["p_holm"] == pytest.approx(2 * p)
    assert better["family"] == 2
    assert better["verdict"] == "gain"
    assert found.loc[("same", "SEN+PAR", "addition"), "verdict"] == "not decided"
    assert found.loc[("same", "SEN+PAR", "addition"), "difference"] == pytest.approx(0, abs=1e-12)


def test_every_grouping_has_its_own_reference_else_the_largest():
    found = compare(
        rows("first", "SEN", "baseline", [0.4, 0.4, 0.5]),
        rows("first", "SEN+PAR+SIM", "addition", [0.5, 0.5, 0.6]),
        rows("other", "SEN", "baseline", [0.5, 0.5, 0.5]),
        rows("other", "SEN+PAR", "addition", [0.6, 0.5, 0.6]),
    )["difference"]
    assert found[("other", "SEN", "baseline")] == pytest.approx(0.2 / 3)
    assert found[("other", "SEN+PAR", "addition")] == pytest.approx(0.1 / 3)


def test_the_reference_is_the_simplest_arm_of_the_first_variant():
    found = compare(
        rows("first", "SEN+PAR", "pcgrad", [0.9, 0.8, 0.9]),
        rows("first", "SEN+PAR", "addition", [0.5, 0.5, 0.6]),
        rows("other", "SEN+PAR", "pcgrad", [0.6, 0.5, 0.6]),
    )
    assert found.loc[("first", "SEN+PAR", "addition"), "verdict"] == "reference"
    assert found.loc[("first", "SEN+PAR", "pcgrad"), "difference"] == pytest.approx(1 / 3)


def test_missing_seeds_and_undefined_scores_are_said():
    found = compare(
        rows("first", "SEN+PAR", "addition", [0.5]),
        rows("other", "SEN+PAR", "addition", [None, 0.5]),
    )
    row = found.loc[("other", "SEN+PAR", "addition")]
    assert row["seeds"] == 0
    assert row["verdict"] == "not comparable"
    assert "seed 1: the score is undefined" in row["undefined"]
    assert "seed 2: the reference has no score" in row["undefined"]


def test_one_variant_is_compared_with_nothing():
    assert compare(rows("only", "SEN+PAR", "addition", [0.5, 0.6, 0.7])).empty
