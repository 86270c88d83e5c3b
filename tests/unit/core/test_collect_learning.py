"""From the run store to the table of curves, on the tiny study."""

from __future__ import annotations

import pandas as pd
import pytest

from weightwise.collect import analyse_study, collect
from weightwise.tables import Epochs, Learning, Steps, read_table
from weightwise.train.run import execute

RUNS = (
    "SEN/baseline/default/seed-1",
    "PAR/baseline/default/seed-1",
    "SEN+PAR/unitary-0.3/default/seed-1",
)


def test_curves_of_every_finished_run_and_of_no_other(prepared):
    study = prepared(training={"epochs": 2}, alphas=["0.3"])
    keys = [execute(study, study.grid.run(run))[0] for run in RUNS]
    collect(study)
    analyse_study(study)
    found = read_table(study.layout.tables / "learning.parquet", Learning)
    assert set(found["run"]) == set(keys)
    assert len(set(keys)) == 3

    pair = found[found["run"] == keys[2]]
    assert set(pair["group"]) == {"SEN+PAR"}
    assert set(pair["combiner"]) == {"unitary"}
    # Every task stands with its own weight, as in all tables.
    assert dict(zip(pair["task"], pair["alpha"], strict=True)) == {"SEN": "0.3", "PAR": "0.7"}
    alone = found[found["run"] == keys[0]]
    assert (set(alone["combiner"]), set(alone["task"])) == ({"baseline"}, {"SEN"})
    assert alone["alpha"].isna().all()

    folder = study.store.folder(keys[2])
    epochs = read_table(folder / "epochs.parquet", Epochs)
    steps = read_table(folder / "steps.parquet", Steps)
    for task in ("SEN", "PAR"):
        own = pair[pair["task"] == task]
        dev = epochs[(epochs["task"] == task) & (epochs["split"] == "dev")]
        for quantity, column in (("train_loss", "train_loss"), ("dev_loss", "loss")):
            assert list(own.loc[own["quantity"] == quantity, "value"]) == list(dev[column])
        curve = own.loc[own["quantity"] == "step_loss"]
        assert len(curve) == len(steps[steps["task"] == task])  # few enough to be shown one by one
        assert list(curve["value"]) == pytest.approx(list(steps.loc[steps["task"] == task, "loss"]))


def test_a_study_without_finished_runs_has_an_empty_table(prepared):
    study = prepared()
    collect(study)
    analyse_study(study)
    found = read_table(study.layout.tables / "learning.parquet", Learning)
    assert isinstance(found, pd.DataFrame)
    assert found.empty
