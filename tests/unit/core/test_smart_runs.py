"""SMART in whole runs: its keys, its table, checkpoints, and what it must not disturb."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml
from core_helpers import rewrite_tensors, study_keys
from test_checkpoints import After, Notes

from weightwise.config import load_study
from weightwise.config.training import SmartConfig
from weightwise.errors import UserError
from weightwise.tables import Regularisers, Steps, read_table
from weightwise.train.resumable import Stopped
from weightwise.train.run import execute

PAIR = "SEN+PAR/pcgrad/default/seed-1"
TABLES = ("epochs", "steps", "gramians", "predictions", "regularisers")
# Large enough to be seen in two epochs.
SMART = {"tasks": ["SEN", "SIM"], "epsilon": 1e-2, "sigma": 1e-2, "weight": 2.0, "decay": 0.9}


def keys(smart, **training):
    return {"training": {"epochs": 2, "dropout": 0.3, "smart": smart} | training}


def run_tables(study, run_id: str = PAIR) -> dict[str, bytes]:
    key, _ = execute(study, study.grid.run(run_id))
    folder = study.store.folder(key)
    return {name: (folder / f"{name}.parquet").read_bytes() for name in TABLES}


def frame(study, name: str, schema, run_id: str = PAIR) -> pd.DataFrame:
    key, _ = execute(study, study.grid.run(run_id))
    return read_table(study.store.folder(key) / f"{name}.parquet", schema)


def test_terms_are_recorded_for_the_tasks_that_have_them(prepared):
    study = prepared(**keys(SMART))
    steps = frame(study, "steps", Steps)
    found = frame(study, "regularisers", Regularisers)
    assert set(found["task"]) == {"SEN"}
    assert found["step"].tolist() == steps.loc[steps["task"] == "SEN", "step"].tolist()
    assert found["epoch"].tolist() == steps.loc[steps["task"] == "SEN", "epoch"].tolist()
    assert (found["smoothness"] > 0).all()
    assert found["proximal"][0] == 0.0  # no step has been taken
    assert (found["proximal"][1:] > 0).all()
    # After some steps the average lags behind by a stable distance.
    assert found["proximal"][3:].mean() > found["proximal"][1]


def test_terms_of_weight_zero_are_null(prepared):
    found = frame(prepared(**keys({"weight": 0.0})), "regularisers", Regularisers)
    assert found["smoothness"].isna().all()
    assert found["proximal"].notna().all()
    found = frame(prepared(**keys({"proximal": 0.0})), "regularisers", Regularisers)
    assert found["smoothness"].notna().all()
    assert found["proximal"].isna().all()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("pair", ["joint", "siamese"])
def test_runs_repeat_to_the_byte(prepared, precision, pair):
    made = keys(SMART | {"tasks": None}, precision=precision, pair=pair, accumulate=3)
    one, two = prepared(**made), prepared(**made)
    assert run_tables(one) == run_tables(two)


@pytest.mark.parametrize("run_id", [PAIR, "PAR/baseline/default/seed-1"])
def test_terms_that_weigh_nothing_change_nothing(prepared, run_id):
    """The order of the data, the first heads and the dropout are those of a run without SMART: with
    weights too small to be felt, every loss, score and prediction is the same to the bit."""
    none = prepared(**keys(None))
    made = prepared(**keys(SMART | {"weight": 1e-30, "proximal": 1e-30, "tasks": None}))
    one, other = run_tables(none, run_id), run_tables(made, run_id)
    for name in ("epochs", "steps", "gramians", "predictions"):
        assert one[name] == other[name], name
    assert one["regularisers"] != other["regularisers"]
    felt = run_tables(prepared(**keys(SMART | {"tasks": None})), run_id)
    assert felt["steps"] != one["steps"]


def test_first_step_meets_the_same_examples_heads_and_dropout(prepared):
    plain = frame(prepared(**keys(None)), "steps", Steps)
    study = prepared(**keys(SMART))
    steps, terms = frame(study, "steps", Steps), frame(study, "regularisers", Regularisers)
    first = steps[steps["step"] == 1].set_index("task")["loss"]
    without = plain[plain["step"] == 1].set_index("task")["loss"]
    assert first["PAR"] == without["PAR"]
    assert first["SEN"] == without["SEN"]  # its own loss: the terms stand in their own table
    added = 2.0 * terms["smoothness"][0] + terms["proximal"][0]
    assert added > 1e-5


def test_proximal_term_keeps_a_run_close_to_its_average(prepared):
    """The heavier it is, the less the outputs move away from it."""
    means = []
    for weight in (1e-30, 1.0, 20.0):
        study = prepared(**keys({"weight": 0.0, "proximal": weight}))
        means.append(frame(study, "regularisers", Regularisers)["proximal"].mean())
    assert means[0] > means[1] > means[2]


def test_smoothness_term_smooths(prepared):
    means = []
    for weight in (1e-30, 5.0, 100.0):
        smart = {"weight": weight, "proximal": 0.0, "epsilon": 0.05, "sigma": 0.05}
        study = prepared(**keys(smart | {"step_size": 1.0}, epochs=4))
        found = frame(study, "regularisers", Regularisers)
        means.append(found.loc[found["epoch"] == 4, "smoothness"].mean())
    assert means[0] > means[1] > means[2]


# 41 examples in batches of 8: six steps an epoch.
@pytest.mark.parametrize("stops", [[1], [3, 2, 4], [7]])
@pytest.mark.parametrize("smart", [SMART, SMART | {"proximal": 0.0}, {"weight": 0.0}])
def test_a_stopped_run_ends_with_the_tables_of_one_never_stopped(prepared, stops, smart):
    whole, study = prepared(**keys(smart)), prepared(**keys(smart))
    run = study.grid.run(PAIR)
    for count in stops:
        with pytest.raises(Stopped):
            execute(study, run, stop=After(count))
    assert run_tables(study) == run_tables(whole)


@pytest.mark.parametrize("part", ["average/encoder.word_embeddings.weight", "noise/SEN"])
def test_a_checkpoint_without_a_part_of_smart_is_left_aside(prepared, part):
    study = prepared(**keys(SMART))
    run = study.grid.run(PAIR)
    with pytest.raises(Stopped):
        execute(study, run, stop=After(4))
    (place,) = study.store.checkpoints(study.key(run)).iterdir()
    (place / "tensors.safetensors").rename(place / "model.safetensors")
    rewrite_tensors(place, lambda tensors: {n: t for n, t in tensors.items() if part not in n})
    (place / "model.safetensors").rename(place / "tensors.safetensors")
    told = Notes()
    execute(study, run, told)
    assert f"smart/{part}" in told.notes[0]
    assert told.steps[0] == 1
    assert run_tables(study) == run_tables(prepared(**keys(SMART)))


# ---------------------------------------------------------------- configuration


def refusal(tmp_path, *assignments: str) -> str:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study_keys(tmp_path), sort_keys=False))
    with pytest.raises(UserError) as caught:
        load_study(path, assignments)
    return str(caught.value)


def test_defaults_are_those_of_the_papers(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study_keys(tmp_path), sort_keys=False))
    assert load_study(path).training.smart is None
    found = load_study(path, ["training.smart.tasks=[SEN]"]).training.smart
    assert found.model_dump() == {
        "tasks": ("SEN",),
        "epsilon": 1e-5,
        "sigma": 1e-5,
        "step_size": 1e-3,
        "weight": 1.0,
        "proximal": 1.0,
        "decay": 0.99,
    }
    assert load_study(path, ["training.smart={}"]).training.smart == SmartConfig()


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("training.smart.tasks=[SEM]", "training.smart.tasks: unknown task 'SEM'; did you mean"),
        ("training.smart.tasks=[]", "training.smart.tasks"),
        ("training.smart.tasks=[SEN, SEN]", "a task stands twice"),
        ("training.smart.epsilon=0", "training.smart.epsilon"),
        ("training.smart.epsilon=-1", "training.smart.epsilon"),
        ("training.smart.epsilon=.inf", "training.smart.epsilon"),
        ("training.smart.sigma=0", "training.smart.sigma"),
        ("training.smart.step_size=0", "training.smart.step_size"),
        ("training.smart.weight=-1", "training.smart.weight"),
        ("training.smart.proximal=.nan", "training.smart.proximal"),
        ("training.smart.decay=1", "training.smart.decay"),
        ("training.smart.decay=-0.1", "training.smart.decay"),
        ("training.smart.epsilom=1", "did you mean 'epsilon'?"),
        ("training.smart={weight: 0, proximal: 0}", "write `smart: null`"),
        ("training.smart=yes", "training.smart"),
        ("sweep.smart=[null, {weight: 2}]", "cannot be swept"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(tmp_path, assignment, said):
    assert said in refusal(tmp_path, assignment)


def test_runs_are_told_apart_by_what_smart_means_for_them(prepared):
    """A run none of whose tasks has the terms is the run without them, and is shared."""

    def all_keys(smart) -> dict[str, str]:
        study = prepared(groupings={"up_to": 2}, **keys(smart))
        return {run.id: study.key(run) for run in study.grid.runs}

    none, one = all_keys(None), all_keys({"tasks": ["SEN"]})
    for run_id in none:
        assert (none[run_id] != one[run_id]) is ("SEN" in run_id), run_id
    both = all_keys({"tasks": ["SEN", "PAR", "SIM"]})
    assert both == all_keys({}) == all_keys({"tasks": ["SIM", "PAR", "SEN"]})
    assert both["SEN/baseline/default/seed-1"] == one["SEN/baseline/default/seed-1"]
    assert both["SEN+PAR/pcgrad/default/seed-1"] != one["SEN+PAR/pcgrad/default/seed-1"]
    other = all_keys({"epsilon": 1e-4})
    assert not set(other.values()) & set(both.values())


def test_shared_run_is_the_same_run(prepared):
    """What the key promises: the run of PAR does not depend on SEN's terms."""
    run_id = "PAR/baseline/default/seed-1"
    one, other = (prepared(**keys(smart)) for smart in (None, SMART))
    assert one.key(one.grid.run(run_id)) == other.key(other.grid.run(run_id))
    assert run_tables(one, run_id) == run_tables(other, run_id)


def test_losses_hold_the_terms(prepared):
    """Steps.loss is what the gradient is of."""
    study = prepared(**keys(SMART))
    losses = frame(study, "steps", Steps)
    terms = frame(study, "regularisers", Regularisers)
    whole = losses.loc[losses["task"] == "SEN", "loss"].to_numpy()
    own = whole - 2.0 * terms["smoothness"].to_numpy() - terms["proximal"].to_numpy()
    assert (own > 0).all()
    assert (own < whole).all()
    assert np.isfinite(whole).all()
