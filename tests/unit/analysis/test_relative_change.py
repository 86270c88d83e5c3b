"""Relative change against the baseline of the same seed."""

import pandas as pd
import pytest

from weightwise.analysis.relative_change import relative_changes
from weightwise.errors import UserError


def test_each_seed_has_its_own_baseline(row, scores):
    table = scores(
        [
            row("SEN", "SEN", "baseline", 0.5, seed=1, run="b1"),
            row("SEN", "SEN", "baseline", 0.4, seed=2, run="b2"),
            row("SEN", "SEN+PAR", "addition", 0.6, seed=1),
            row("SEN", "SEN+PAR", "addition", 0.3, seed=2),
            row("SEN", "SEN+PAR", "addition", 0.3, seed=3),
        ]
    )
    found = relative_changes(table)
    assert list(found["change"][:4]) == pytest.approx([0, 0, 20, -25])
    assert list(found["baseline_run"][:4]) == ["b1", "b2", "b1", "b2"]
    assert pd.isna(found["change"][4])
    assert found["undefined"][4] == "no baseline for this seed"


@pytest.mark.parametrize(
    ("baseline", "score", "reason"),
    [
        (0.0, 0.3, "baseline is zero"),
        (None, 0.3, "baseline is not a number"),
        (5e-324, 0.3, "baseline is 5e-324, too near zero for a relative change"),
        (-0.2, -0.1, "baseline is below zero: a relative change would mislead"),
        (0.4, None, "no score"),
    ],
)
def test_undefined_changes_are_said(row, scores, baseline, score, reason):
    table = scores(
        [row("SIM", "SIM", "baseline", baseline), row("SIM", "SEN+SIM", "pcgrad", score)]
    )
    found = relative_changes(table).iloc[1]
    assert found["undefined"] == reason
    assert pd.isna(found["change"])


def test_why_a_score_is_undefined_is_handed_on(row, scores):
    table = scores(
        [
            row("SIM", "SIM", "baseline", None),
            row("SIM", "SEN+SIM", "pcgrad", 0.3),
            row("SIM", "PAR+SIM", "pcgrad", None),
        ]
    ).assign(undefined=["the predictions are constant", None, "all is lost"])
    assert list(relative_changes(table)["undefined"]) == [
        "the predictions are constant",
        "the baseline has no score: the predictions are constant",
        "all is lost",
    ]


def test_a_leaderboard_name_is_no_grouping(row, scores):
    table = scores([row("SEN", "SEN", "baseline", 0.5), row("SEN", "best", "best", 0.6)])
    assert relative_changes(table)["undefined"][1] == "grouping 'best' is not a list of tasks"


def test_variants_and_splits_do_not_share_baselines(row, scores):
    table = scores(
        [
            row("SEN", "SEN", "baseline", 0.5),
            row("SEN", "SEN+PAR", "addition", 0.6, variant="other"),
            row("SEN", "SEN+PAR", "addition", 0.6, split="test"),
        ]
    )
    assert list(relative_changes(table)["undefined"][1:]) == ["no baseline", "no baseline"]


def test_a_cell_that_stands_twice_is_refused(row, scores):
    cell = row("SEN", "SEN+PAR", "addition", 0.6)
    with pytest.raises(UserError, match="two rows for one cell"):
        relative_changes(scores([cell, cell]))
