"""One arm per task out of a whole study."""

from __future__ import annotations

import math

import pytest

from weightwise.analysis.chosen import chosen_arms


def arm(variant, group, combiner, values, split="dev", **more):
    return [
        (group, combiner, value, more | {"variant": variant, "seed": seed, "split": split})
        for seed, value in enumerate(values)
    ]


@pytest.fixture
def chosen(row, scores):
    """`chosen(*arms)` -> the rows of the table by role."""

    def choose(*arms):
        rows = [row("SEN", *cell, **more) for one in arms for *cell, more in one]
        return {found.role: found for found in chosen_arms(scores(rows)).itertuples()}

    return choose


def test_the_best_is_the_highest_mean_on_dev_of_all_variants(chosen):
    found = chosen(
        arm("first", "SEN", "baseline", [0.4, 0.6]),
        arm("first", "SEN+PAR", "addition", [0.4, 0.5]),
        arm("second", "SEN+PAR", "pcgrad", [0.6, 0.5]),
        # Test scores choose nothing.
        arm("first", "SEN+PAR", "addition", [0.9, 0.9], split="test"),
    )
    assert (found["reference"].variant, found["reference"].combiner) == ("first", "baseline")
    assert (found["best"].variant, found["best"].combiner) == ("second", "pcgrad")
    assert found["best"].score == 0.55
    assert found["best"].seeds == 2
    assert found["best"].alpha is None


def test_an_arm_that_lacks_seeds_is_not_chosen(chosen):
    found = chosen(
        arm("first", "SEN", "baseline", [0.4, 0.6]),
        arm("second", "SEN+PAR", "pcgrad", [0.9]),
    )
    assert found["best"].combiner == "baseline"


def test_of_equals_the_simpler_one_is_chosen(chosen):
    found = chosen(
        arm("first", "SEN+PAR", "pcgrad", [0.5, 0.5]),
        arm("first", "SEN+PAR", "addition", [0.5, 0.5]),
        arm("second", "SEN+PAR", "addition", [0.5, 0.5]),
    )
    assert (found["best"].variant, found["best"].combiner) == ("first", "addition")


def test_without_single_tasks_the_reference_is_the_simplest_arm_of_the_largest_grouping(chosen):
    found = chosen(
        arm("first", "SEN+PAR", "addition", [0.5]),
        arm("first", "SEN+PAR+SIM", "pcgrad", [0.5]),
        arm("first", "SEN+PAR+SIM", "addition", [0.4]),
        arm("second", "SEN", "baseline", [0.6]),
    )
    assert (found["reference"].group, found["reference"].combiner) == ("SEN+PAR+SIM", "addition")


def test_among_named_arms_the_reference_is_trained_together(row, scores):
    rows = [
        row("SEN", group, combiner, 0.5)
        for group, combiner in (("SEN", "baseline"), ("SEN+PAR", "pcgrad"), ("SEN+PAR", "addition"))
    ]
    for alone, want in ((True, "baseline"), (False, "addition")):
        found = chosen_arms(scores(rows), alone).set_index("role")
        assert found.loc["reference", "combiner"] == want
    only = chosen_arms(scores(rows[:1]), alone=False).set_index("role")
    assert only.loc["reference", "combiner"] == "baseline"


def test_weights_stand_as_the_tasks_own_and_aliases_do_not_count(chosen):
    found = chosen(
        arm("first", "SEN+PAR", "addition", [0.5]),
        arm("first", "SEN+PAR", "unitary", [0.6], alpha="0.3"),
        arm("first", "SEN+PAR", "unitary", [0.7], alpha="0.5", alias_of="addition"),
    )
    assert (found["best"].combiner, found["best"].alpha) == ("unitary", "0.3")


def test_a_task_without_dev_scores_has_a_reference_only(chosen):
    found = chosen(arm("first", "SEN", "baseline", [None, None], split="test"))
    assert set(found) == {"reference"}
    assert math.isnan(found["reference"].score)
