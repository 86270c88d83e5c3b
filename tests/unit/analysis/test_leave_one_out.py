"""Leaving one task out: which arms do, and what their cells are compared with."""

from __future__ import annotations

import pytest

from weightwise.analysis.leave_one_out import LeavingOut, leave_one_out, leaving_out
from weightwise.config.training import TrainingConfig
from weightwise.config.variants import Variant

GROUPS = (("SEN", "PAR"),)


def variant(groupings=GROUPS, **keys) -> Variant:
    return Variant(TrainingConfig(**keys), ("addition",), groupings)


def test_arms_that_leave_one_task_out_are_found_with_their_references():
    variants = {
        "full": variant(epochs=4),
        "probe": variant(epochs=4, freeze_trunk=True),
        "left": variant(epochs=4, trunk_tasks=("PAR",)),
        # Nothing else is the same but for the task.
        "lonely": variant(epochs=5, trunk_tasks=("PAR",)),
        "nothing": variant(epochs=4, trunk_tasks=("SEN", "PAR")),
    }
    assert leaving_out(variants) == [LeavingOut("left", "SEN", "full", "probe")]
    del variants["probe"]
    assert leaving_out(variants) == [LeavingOut("left", "SEN", "full", None)]


def test_two_left_out_tasks_are_no_leave_one_out():
    three = (("SEN", "PAR", "SIM"),)
    variants = {"full": variant(three), "one": variant(three, trunk_tasks=("PAR",))}
    assert leaving_out(variants) == []


@pytest.fixture
def table(row, scores):
    """Two seeds: full, probe and an arm that leaves SEN out."""
    values = {
        ("full", "SEN"): (0.50, 0.54),
        ("full", "PAR"): (0.70, 0.72),
        ("probe", "SEN"): (0.30, 0.33),
        ("probe", "PAR"): (0.60, 0.60),
        ("left", "SEN"): (0.35, 0.37),
        ("left", "PAR"): (0.73, 0.74),
    }
    return scores(
        [
            row(task, "SEN+PAR", combiner, value + shift, variant=arm, seed=seed)
            for (arm, task), pair in values.items()
            for seed, value in enumerate(pair)
            for combiner, shift in (("addition", 0.0), ("pcgrad", 0.1))
        ]
    )


def test_the_left_out_task_is_compared_with_probing_and_others_with_all(table):
    found = leave_one_out(table, [LeavingOut("left", "SEN", "full", "probe")]).set_index("task")
    assert list(found["left_out"]) == ["SEN", "SEN"]
    assert found.loc["SEN", "reference"] == "probe"
    assert found.loc["SEN", "difference"] == pytest.approx((0.05 + 0.04) / 2)
    assert found.loc["PAR", "reference"] == "full"
    assert found.loc["PAR", "difference"] == pytest.approx((0.03 + 0.02) / 2)
    # The simplest combiner counts.
    assert found.loc["PAR", "score"] == pytest.approx(0.735)
    assert found.loc["PAR", "seeds"] == 2


def test_a_missing_reference_leaves_the_score_and_says_so(table):
    found = leave_one_out(table, [LeavingOut("left", "SEN", "full", None)]).set_index("task")
    assert found.loc["SEN", "verdict"] == "not comparable"
    assert found.loc["SEN", "score"] == pytest.approx(0.36)
    assert found["reference"].isna().to_dict() == {"SEN": True, "PAR": False}


def test_no_arm_no_table(table):
    assert leave_one_out(table, []).empty
    assert leave_one_out(table, [LeavingOut("unknown", "SEN", "full")]).empty
