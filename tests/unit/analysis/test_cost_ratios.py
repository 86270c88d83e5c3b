"""Costs beside addition: what is paired with what, and by which numbers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from weightwise.analysis.cost_ratios import FIRST_STEPS, cost_ratios, timed_steps
from weightwise.tables import Costs, check


def cost(combiner, seconds, seed=1, memory=100.0, group="SEN+PAR", hardware="a laptop", arm=""):
    return {
        "id": f"{group}/{combiner}{arm}/default/seed-{seed}",
        "group": group,
        "combiner": combiner,
        "variant": "default",
        "seed": seed,
        "steps": 100,
        "step_seconds": 9.0,
        "median_step_seconds": seconds,
        "timed_steps": 90,
        "train_seconds": 900.0,
        "score_seconds": 1.0,
        "peak_memory_bytes": memory,
        "hardware": hardware,
        "precision": "fp32",
        "threads": 1,
    }


def ratios(*rows, confidence=0.95):
    found = cost_ratios(check(pd.DataFrame(rows), Costs, "costs"), confidence)
    return found.set_index(["group", "combiner", "hardware"])


def test_seeds_are_paired_and_their_mean_is_geometric():
    found = ratios(
        cost("addition", 0.1, 1),
        cost("addition", 0.4, 2, memory=200.0),
        cost("pcgrad", 0.2, 1, memory=150.0),
        cost("pcgrad", 0.2, 2, memory=100.0),
    )
    row = found.loc[("SEN+PAR", "pcgrad", "a laptop")]
    assert (row["seeds"], row["runs"]) == (2, 2)
    assert row["time"] == pytest.approx(1.0)  # sqrt(2 * 1/2)
    half = stats.t.isf(0.025, 1) * math.log(2)  # the standard error of ln 2 and -ln 2 is ln 2
    assert row["time_low"] == pytest.approx(math.exp(-half))
    assert row["time_high"] == pytest.approx(math.exp(half))
    assert row["memory"] == pytest.approx(math.sqrt(1.5 * 0.5))
    assert row["step_seconds"] == pytest.approx(0.2)
    added = found.loc[("SEN+PAR", "addition", "a laptop")]
    assert added["time"] == 1.0
    assert math.isnan(added["time_low"])


def test_one_seed_has_a_ratio_and_no_interval():
    row = ratios(cost("addition", 0.1), cost("mgda", 0.13)).loc[("SEN+PAR", "mgda", "a laptop")]
    assert row["time"] == pytest.approx(1.3)
    assert math.isnan(row["time_low"])


def test_other_hardware_and_other_groupings_are_not_compared():
    found = ratios(
        cost("addition", 0.1),
        cost("pcgrad", 0.2, hardware="a server"),
        cost("pcgrad", 0.3, group="SEN+SIM"),
    )
    for place in (("SEN+PAR", "pcgrad", "a server"), ("SEN+SIM", "pcgrad", "a laptop")):
        assert found.loc[place, "seeds"] == 0
        assert math.isnan(found.loc[place, "time"])
        assert math.isfinite(found.loc[place, "step_seconds"])


def test_the_weights_of_one_combiner_are_one_arm_and_one_value_per_seed():
    found = ratios(
        cost("addition", 0.1),
        cost("unitary", 0.1, arm="-0.1"),
        cost("unitary", 0.4, arm="-0.9"),
    )
    row = found.loc[("SEN+PAR", "unitary", "a laptop")]
    assert (row["runs"], row["seeds"]) == (2, 1)
    assert row["time"] == pytest.approx(2.0)
    assert math.isnan(row["time_low"])


def test_unknown_times_memory_and_machines_are_left_out_not_divided_by():
    found = ratios(
        cost("addition", 0.1, memory=np.nan, hardware=None),
        cost("pcgrad", 0.2, hardware=None),
        cost("mgda", np.nan, hardware=None),
    ).reset_index(level="hardware", drop=True)
    assert found.loc[("SEN+PAR", "pcgrad"), "time"] == pytest.approx(2.0)
    assert math.isnan(found.loc[("SEN+PAR", "pcgrad"), "memory"])
    assert found.loc[("SEN+PAR", "mgda"), "seeds"] == 0


def test_baselines_have_no_row():
    assert ratios(cost("baseline", 0.1, group="SEN")).empty


def test_warm_up_and_recorded_steps_are_not_timed():
    times = pd.DataFrame({"step": range(1, 11), "seconds": [9, 9, 9, *[1.0] * 6, 5.0]})
    assert FIRST_STEPS == 3
    assert timed_steps(times, [1, 10]).tolist() == [1.0] * 6
    assert timed_steps(times, range(1, 11)).empty
