"""What combiners did, and which runs are one run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gradient_tables import gramian_rows, prediction_rows, step_rows

from weightwise.analysis.actions import action_of_run, trace_of_run
from weightwise.analysis.gradients import RunSteps, analyse_gradients
from weightwise.analysis.weights import weights_of_run, weights_vary


def run(combiner, steps, seed=1, alpha=None, gramians=None, predictions=None, group="SEN+PAR"):
    return RunSteps(
        group=group,
        combiner=combiner,
        alpha=alpha,
        variant="default",
        seed=seed,
        run=f"{combiner}-{alpha}-{seed}",
        steps=steps,
        gramians=gramian_rows({1: 0.5}) if gramians is None else gramians,
        predictions=prediction_rows() if predictions is None else predictions,
    )


PLAIN = [(1.0, 1.0)] * 4


def test_a_combiner_that_acts_in_one_step_of_four():
    steps = step_rows(
        [(1.5, 2.0), *PLAIN[1:]],
        cosines=[-0.5, 0.1, 0.2, 0.3],
        update=[0.9, 1, 1, 1],
        acted=[True, False, False, False],
    )
    found = action_of_run(steps)
    assert (found["steps"], found["known"]) == (4, 4)
    assert (found["conflict"], found["acted"], found["turned"]) == (0.25, 0.25, 0.25)
    assert found["update_cosine"] == pytest.approx(0.975)
    assert not found["inactive"]


def test_fixed_weights_never_act_but_turn_what_is_known():
    nan = float("nan")
    steps = step_rows([(0.3, 0.7)] * 4, [-0.2, nan, 0.2, nan], [0.94, nan, 0.96, nan])
    found = action_of_run(steps)
    assert (found["known"], found["conflict"]) == (2, 0.5)
    assert (found["acted"], found["turned"]) == (0.0, 1.0)
    assert found["update_cosine"] == pytest.approx(0.95)
    assert not found["inactive"]


def test_rounding_of_the_cosine_is_no_turn():
    found = action_of_run(step_rows(PLAIN, [0.1] * 4, [1 - 1e-9, 1, 1, 1 - 1e-12]))
    assert found["turned"] == 0
    assert found["inactive"]


def test_nothing_recorded_is_not_known_rather_than_zero():
    found = action_of_run(step_rows(PLAIN))
    assert found["known"] == 0
    assert np.isnan(found["conflict"])
    assert np.isnan(found["turned"])
    assert np.isnan(found["update_cosine"])
    assert found["inactive"]


def test_every_bit_of_losses_weights_and_predictions_counts():
    steps, predictions = step_rows(PLAIN), prediction_rows()
    first = trace_of_run(steps, predictions)
    assert first == trace_of_run(step_rows(PLAIN, [0.3] * 4, [1.0] * 4), predictions)
    for column in ("loss", "weight"):
        other = steps.copy()
        other.loc[7, column] = np.nextafter(other.loc[7, column], 2)
        assert trace_of_run(other, predictions) != first
    assert trace_of_run(steps, prediction_rows((0.0, np.nextafter(1.0, 0)))) != first


def test_arms_that_are_one_run_are_named_by_the_simplest_and_within_their_seed():
    quiet = step_rows(PLAIN, [0.1] * 4, [1.0] * 4)
    busy = step_rows([(1.5, 2.0)] * 4, [-0.1] * 4, [0.9] * 4, [True] * 4)
    runs = [
        run("upgrad", quiet),
        run("pcgrad", quiet),
        run("addition", quiet),
        run("addition", quiet, seed=2),
        run("pcgrad", busy, seed=2),
        run("upgrad", quiet, seed=3),
    ]
    found = analyse_gradients(runs)["actions"]
    same = found["same_combiner"].astype(object).where(found["same_combiner"].notna(), None)
    assert list(same) == ["addition", "addition", None, None, None, None]
    assert list(found["inactive"]) == [True, True, True, True, False, True]
    assert list(found["recorded"]) == [1] * 6


def test_groupings_are_not_compared_with_each_other():
    quiet = step_rows(PLAIN)
    runs = [run("addition", quiet), run("pcgrad", quiet, group="SEN+SIM")]
    assert analyse_gradients(runs)["actions"]["same_combiner"].isna().all()


def test_other_predictions_make_another_run():
    quiet = step_rows(PLAIN)
    runs = [run("addition", quiet), run("mgda", quiet, predictions=prediction_rows((1.0, 1.0)))]
    assert analyse_gradients(runs)["actions"]["same_combiner"].isna().all()


def test_shares_of_the_weights_by_hand():
    weights = [(3.0, 1.0)] * 10 + [(1.0, 1.0), (1.0, 3.0)] * 5
    found = weights_of_run(step_rows(weights))
    sen, par = (found[found["task"] == task] for task in ("SEN", "PAR"))
    assert list(sen["steps"]) == [2] * 10
    assert sen["share"].to_numpy() == pytest.approx([0.75] * 5 + [0.375] * 5)
    assert par["share"].to_numpy() == pytest.approx([0.25] * 5 + [0.625] * 5)
    assert sen["weight"].to_numpy() == pytest.approx([3.0] * 5 + [1.0] * 5)
    assert par["weight"].to_numpy() == pytest.approx([1.0] * 5 + [2.0] * 5)
    spread = np.std([0.5, 0.25], ddof=1)
    assert sen["share_sd"].to_numpy() == pytest.approx([0.0] * 5 + [spread] * 5)


def test_weights_that_cancel_have_no_share():
    found = weights_of_run(step_rows([(1.0, -1.0), (3.0, -1.0)]))
    assert list(found["bin"]) == [1, 1, 2, 2]
    assert found["share"].isna().tolist() == [True, True, False, False]
    assert found["share"].dropna().tolist() == pytest.approx([1.5, -0.5])


def test_only_arms_whose_weights_change_in_some_seed_are_kept_with_all_their_seeds():
    moving = step_rows([(1.5, 2.0), (1.0, 1.0)])
    still = step_rows([(1.0, 1.0)] * 2)
    assert weights_vary(moving)
    assert not weights_vary(still)
    runs = [
        run("pcgrad", moving),
        run("pcgrad", still, seed=2),
        run("addition", still),
        run("unitary", step_rows([(0.3, 0.7)] * 2), alpha="0.3"),
    ]
    found = analyse_gradients(runs)["weights"]
    assert set(zip(found["combiner"], found["seed"], strict=True)) == {("pcgrad", 1), ("pcgrad", 2)}


def test_no_runs_give_empty_tables_and_runs_without_recording_no_conflicts():
    assert all(table.empty for table in analyse_gradients([]).values())
    bare = dataclasses.replace(run("pcgrad", step_rows(PLAIN)), gramians=gramian_rows({}))
    found = analyse_gradients([bare])
    assert found["conflicts"].empty
    assert found["actions"]["recorded"].tolist() == [0]
