"""Chance level as an arm, training on part of the rows, studies without single tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from core_helpers import make_study
from pydantic import ValidationError

from weightwise.analysis.relative_change import relative_changes
from weightwise.collect import collect
from weightwise.grid import Grid
from weightwise.plan import planned
from weightwise.train.inputs import Prepared
from weightwise.train.loop import train
from weightwise.train.run import execute

ALL = [["SEN", "PAR", "SIM"]]
CHANCE = {"head": "chance", "freeze_trunk": True, "epochs": 1}


def trained(study: Prepared, variant: str = "default") -> tuple[Prepared, pd.DataFrame, dict]:
    """Train the variant's one run; its predictions and its record."""
    (run,) = (r for r in study.grid.runs if r.variant == variant)
    execute(study, run)
    record = study.record(run)
    return study, pd.read_parquet(study.folder(run) / "predictions.parquet"), record


def together(**keys) -> dict:
    return {"groupings": ALL, "combiners": ["addition"], "single_tasks": False} | keys


def test_chance_predicts_the_most_frequent_class_and_random_numbers(prepared):
    study, found, _ = trained(prepared(**together(training=CHANCE)))
    for task, classes in (("SEN", 3), ("PAR", 2)):
        counts = np.bincount(study.splits[task]["train"].labels.astype(int), minlength=classes)
        own = found[found["task"] == task]
        assert set(own["prediction"]) == {int(counts.argmax())}
        assert own["confidence"].to_numpy() == pytest.approx(counts.max() / counts.sum(), abs=1e-5)
    drawn = found[(found["task"] == "SIM") & (found["split"] == "dev")]["prediction"]
    assert drawn.nunique() == len(drawn)
    assert drawn.between(0, 5).all()
    assert drawn.max() - drawn.min() > 3


def test_chance_draws_anew_for_every_seed_and_the_same_for_one(prepared):
    values = []
    for seed in (1, 1, 2):
        _, found, _ = trained(prepared(**together(training=CHANCE, seeds=[seed])))
        values.append(found[found["task"] == "SIM"]["prediction"].to_numpy())
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_chance_leaves_the_encoder_alone(prepared):
    study = prepared(**together(training=CHANCE))
    (run,) = study.grid.runs
    before, after = study.model(run), study.model(run)
    train(after, study.inputs(run))
    for (name, one), (_, other) in zip(
        before.state_dict().items(), after.state_dict().items(), strict=True
    ):
        assert one.equal(other), name


@pytest.mark.parametrize("keys", [{"head": "chance"}, {"head": "chance", "probe_epochs": 1}])
def test_chance_must_not_train_the_encoder(tmp_path, keys):
    with pytest.raises(ValidationError, match=r"head 'chance' reads no text.*freeze_trunk: true"):
        make_study(tmp_path, training=keys)


def test_a_swept_chance_is_refused_by_its_variant(tmp_path):
    with pytest.raises(ValidationError, match=r"sweep: head=chance,freeze_trunk=False"):
        make_study(tmp_path, sweep={"head": ["linear", "chance"], "freeze_trunk": [False, True]})


def test_train_rows_takes_that_many_and_smaller_is_part_of_larger(prepared):
    rows = {}
    for most in (8, 20, 999):
        study = prepared(**together(training={"train_rows": {"PAR": most}}))
        inputs = study.inputs(study.grid.runs[0])
        split = inputs.train["PAR"]
        rows[most] = set(split.rows)
        assert len(rows[most]) == min(most, 41)
        whole = study.splits["PAR"]["train"]
        for i, row in enumerate(split.rows):
            (j,) = np.flatnonzero(whole.rows == row)
            assert split.labels[i] == whole.labels[j]
            for side in ("a", "b"):
                ids, at = getattr(split, side), getattr(split, f"{side}_offsets")
                own, there = getattr(whole, side), getattr(whole, f"{side}_offsets")
                assert np.array_equal(ids[at[i] : at[i + 1]], own[there[j] : there[j + 1]])
        assert len(inputs.train["SEN"]) == 60
    assert rows[8] < rows[20] < rows[999]


def test_train_rows_of_a_balanced_task_are_balanced(fresh):
    def balanced(keys):
        keys["tasks"]["SEN"]["data"]["balance"] = True
        return keys

    study = fresh(balanced, **together(training={"train_rows": {"SEN": 12}}))
    labels = study.inputs(study.grid.runs[0]).train["SEN"].labels
    assert np.bincount(labels.astype(int)).tolist() == [4, 4, 4]


@pytest.mark.parametrize(("schedule", "length"), [("min_size", 16), ("sequential", 60)])
def test_train_rows_decide_the_epoch_where_its_length_is_shared(prepared, schedule, length):
    keys = {"train_rows": {"PAR": 16}, "schedule": schedule}
    study = prepared(**together(training=keys))
    (run,) = study.grid.runs
    lengths = study.epoch_lengths(run)
    assert (lengths["SEN"], lengths["PAR"]) == (length, 16)
    execute(study, run)
    assert study.record(run)["epoch_lengths"] == lengths


def test_the_weakest_task_is_found_on_the_rows_that_are_trained_on(prepared):
    keys = {"train_rows": {"PAR": 16}, "schedule": "weakest_last"}
    study = prepared(**together(training=keys))
    scored = study.inputs(study.grid.runs[0]).scoring["PAR", "train"]
    assert sum(len(batch.labels) for batch in scored) == 16


def test_train_rows_change_exactly_the_runs_that_they_concern(tmp_path):
    def marks(**training):
        grid = Grid(make_study(tmp_path, groupings=ALL, combiners=["addition"], training=training))
        return {run.group_name: grid.fingerprint(run) for run in grid.runs}

    one, other = (marks(schedule="sequential", train_rows={"PAR": n}) for n in (8, 9))
    assert {group for group in one if one[group] != other[group]} == {"PAR", "SEN+PAR+SIM"}
    # Here an epoch of every task ends when PAR is exhausted.
    one, other = (marks(schedule="min_size", train_rows={"PAR": n}) for n in (8, 9))
    assert all(one[group] != other[group] for group in one)


def test_train_rows_name_tasks_of_the_study(tmp_path):
    with pytest.raises(ValidationError, match=r"train_rows: unknown task 'PRA'.*PAR"):
        make_study(tmp_path, training={"train_rows": {"PRA": 8}})
    with pytest.raises(ValidationError, match=r"`train_rows` is a group of keys and cannot be swe"):
        make_study(tmp_path, sweep={"train_rows": [{"PAR": 8}, {"PAR": 9}]})


def test_without_single_tasks_only_the_groupings_are_run(tmp_path):
    grid = Grid(make_study(tmp_path, single_tasks=False))
    assert {run.group_name for run in grid.runs} == {"SEN+PAR", "SEN+SIM", "PAR+SIM"}
    listed = Grid(make_study(tmp_path, single_tasks=False, groupings=[["SEN", "PAR"], ["SIM"]]))
    assert listed.groups == (("SIM",), ("SEN", "PAR"))


def test_an_arm_can_do_without_single_tasks(tmp_path):
    arms = {"with": {}, "without": {"single_tasks": False, "epochs": 2}}
    grid = Grid(make_study(tmp_path, groupings=ALL, arms=arms))
    sizes = {v: {len(r.group) for r in grid.runs if r.variant == v} for v in grid.variants}
    assert sizes == {"with": {1, 3}, "without": {3}}


def test_a_study_with_nothing_to_run_is_refused(tmp_path):
    with pytest.raises(ValidationError, match="leaves nothing to run"):
        make_study(tmp_path, single_tasks=False, groupings={"up_to": 1})
    with pytest.raises(ValidationError, match=r"arms.one: .*leaves nothing to run"):
        make_study(tmp_path, arms={"one": {"single_tasks": False, "groupings": {"up_to": 1}}})


def test_changes_without_a_baseline_say_so(prepared):
    study = prepared(**together())
    execute(study, study.grid.runs[0])
    scores = collect(study)
    changes = relative_changes(scores)
    assert changes["change"].isna().all()
    assert changes["undefined"].str.contains("baseline").all()


def test_the_plan_counts_what_regularisers_and_frozen_encoders_cost(prepared):
    def estimate(**training) -> float:
        study = prepared(**together(training=training))
        return planned(study.study, study.layout)[1].seconds

    plain = estimate()
    assert estimate(freeze_trunk=True) < plain / 2
    assert plain < estimate(smart={"tasks": ["SEN"]}) < estimate(smart={}) < 3 * plain
    assert estimate(freeze_trunk=True) < estimate(trunk_tasks=["SEN", "PAR"]) < plain
