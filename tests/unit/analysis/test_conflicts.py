"""Cosines and lengths of gradients against values that follow by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from gradient_tables import gramian_rows
from hypothesis import given
from hypothesis import strategies as st

from weightwise.analysis.conflicts import ALL, conflicts_of_run, recorded_steps
from weightwise.analysis.over_seeds import over_seeds, whole_runs
from weightwise.analysis.training_time import BINS, add_bins

HALVES = {step: -0.5 if step <= 20 else 0.5 for step in range(1, 41)}


def test_a_conflict_in_the_first_half_stays_there():
    found = conflicts_of_run(gramian_rows(HALVES), 40)
    assert len(found) == 3 * BINS
    assert set(found["block"]) == {"all", "embeddings", "layer_0"}
    for _, block in found.groupby("block"):
        assert list(block["bin"]) == list(range(1, 11))
        assert block["begin"].to_numpy() == pytest.approx(np.arange(10) / 10)
        assert block["end"].to_numpy() == pytest.approx(np.arange(1, 11) / 10)
        assert list(block["steps"]) == [4] * 10
        assert block["cosine"].to_numpy() == pytest.approx([-0.5] * 5 + [0.5] * 5)
        assert block["negative"].to_numpy() == pytest.approx([1.0] * 5 + [0.0] * 5)
        assert block["log_ratio"].to_numpy() == pytest.approx([math.log(2)] * 10)


def test_blocks_are_kept_apart():
    whole = gramian_rows(HALVES, blocks=("all", "embeddings"))
    other = gramian_rows({s: 0.25 for s in HALVES}, lengths=(1, 4), blocks=("layer_0",))
    found = conflicts_of_run(pd.concat([whole, other]), 40).set_index("block")
    assert found.loc["layer_0", "cosine"].to_numpy() == pytest.approx(0.25)
    assert found.loc["layer_0", "log_ratio"].to_numpy() == pytest.approx(-math.log(4))
    assert found.loc["embeddings", "cosine"].to_numpy()[0] == pytest.approx(-0.5)


def test_few_recorded_steps_make_few_bins():
    """The default study records steps 1 and 51 of 80."""
    found = conflicts_of_run(gramian_rows({1: -0.5, 51: 0.5}), 80)
    whole = found[found["block"] == "all"]
    assert list(whole["bin"]) == [1, 2]
    assert list(whole["end"]) == [0.5, 1.0]
    assert whole["cosine"].to_numpy() == pytest.approx([-0.5, 0.5])


def test_the_whole_encoder_known_in_every_step_makes_no_more_bins_than_the_blocks_fill():
    every = gramian_rows(HALVES, blocks=("all",))
    recorded = gramian_rows({1: -0.5, 21: 0.5}, blocks=("layer_0",))
    found = conflicts_of_run(pd.concat([every, recorded]), 40)
    assert dict(found.groupby("block")["bin"].max()) == {"all": 2, "layer_0": 2}
    assert list(found[found["block"] == "all"]["steps"]) == [20, 20]
    assert list(recorded_steps(pd.concat([every, recorded]))) == [1, 21]


@given(total=st.integers(1, 400), every=st.integers(1, 120))
def test_steps_at_a_fixed_distance_leave_no_bin_empty(total, every):
    steps = np.arange(1, total + 1, every)
    found = add_bins(pd.DataFrame({"step": steps}), total, len(steps))
    assert set(found["bin"]) == set(range(1, min(BINS, len(steps)) + 1))
    assert ((steps - 1) / total >= found["begin"] - 1e-12).all()
    assert ((steps - 1) / total < found["end"]).all()


def test_gradients_of_zero_and_of_zero_weight_do_not_count():
    gramians = gramian_rows({1: -1.0, 2: -1.0, 3: 1.0}, blocks=("all", "layer_0"))
    gramians.loc[(gramians["step"] == 1) & (gramians["second"] == "PAR"), "product"] = 0.0
    gramians.loc[(gramians["step"] == 2) & (gramians["second"] == "PAR"), "product"] = np.nan
    found = conflicts_of_run(gramians, 3)
    whole = found[found["block"] == ALL]
    assert list(whole["steps"]) == [0, 0, 1]
    assert whole["cosine"].isna().tolist() == [True, True, False]
    assert whole["negative"].isna().tolist() == [True, True, False]
    assert np.isfinite(whole["log_ratio"].iloc[2])


def test_rounding_keeps_cosines_in_range():
    gramians = gramian_rows({1: 1.0})
    gramians.loc[gramians["first"] != gramians["second"], "product"] *= 1 + 1e-6
    assert conflicts_of_run(gramians, 1)["cosine"].max() == 1.0


def test_one_task_has_no_conflicts():
    gramians = gramian_rows(HALVES, lengths=(1.0,), tasks=("SEN",))
    assert conflicts_of_run(gramians, 40).empty


def test_three_tasks_have_three_pairs_in_the_order_of_the_group():
    gramians = gramian_rows({1: 0.1}, lengths=(4, 2, 1), tasks=("B", "A", "C"), blocks=("all",))
    found = conflicts_of_run(gramians, 1)
    pairs = found[["first", "second"]].itertuples(index=False, name=None)
    assert list(pairs) == [("B", "A"), ("B", "C"), ("A", "C")]
    assert found["log_ratio"].to_numpy() == pytest.approx(np.log([2, 4, 2]))


def test_the_whole_block_is_called_as_in_training():
    from weightwise.train import gramian

    assert gramian.ALL == ALL


def test_runs_are_averaged_by_their_steps_and_seeds_by_a_t_interval():
    place = {"group": "SEN+PAR", "combiner": "addition", "alpha": None, "variant": "default"}
    runs = []
    for seed, late in ((1, 0.3), (2, 0.5)):
        cosines = {1: -0.1, 2: late, 3: late, 4: late}
        gramians = gramian_rows(cosines, blocks=("all",))
        # Nothing is recorded by block: one bin. A second run part makes bins of unequal size.
        runs.append(conflicts_of_run(gramians, 4).assign(**place, seed=seed))
    whole = whole_runs(pd.concat(runs, ignore_index=True))
    assert whole["steps"].tolist() == [4, 4]
    assert whole["cosine"].to_numpy() == pytest.approx([0.2, 0.35])
    (row,) = over_seeds(whole, ["first", "second"], ["cosine"], 0.95).itertuples()
    assert row.seeds == 2
    assert row.cosine == pytest.approx(0.275)
    half = 12.706204736 * 0.15 / 2  # t(1) at 95 %, times sd / sqrt(2) = |a - b| / 2
    assert (row.cosine_low, row.cosine_high) == pytest.approx((0.275 - half, 0.275 + half))
    (one,) = over_seeds(whole[:1], ["first", "second"], ["cosine"], 0.95).itertuples()
    assert one.cosine == pytest.approx(0.2)
    assert math.isnan(one.cosine_low)


def test_bins_of_unequal_size_weigh_by_their_steps():
    frame = pd.DataFrame({"steps": [3, 1, 0], "cosine": [0.1, 0.5, np.nan]})
    frame = frame.assign(log_ratio=0.0, negative=[0.0, 1.0, np.nan], seed=1, alpha=None)
    for column in ("group", "combiner", "variant", "block", "first", "second"):
        frame[column] = column
    (row,) = whole_runs(frame).itertuples()
    assert (row.steps, row.cosine, row.negative) == (4, pytest.approx(0.2), pytest.approx(0.25))
