"""Where training ended, in numbers."""

from __future__ import annotations

import pytest
from figure_inputs import make_study_tables

from weightwise import tables
from weightwise.figures import names
from weightwise.figures.inputs import load_inputs
from weightwise.report.learning_section import ends, learning_section


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_study_tables(tmp_path_factory.mktemp("ends"), splits=("dev",))


def test_the_ends_of_training(folder):
    found = ends(load_inputs(folder), "default")
    lines = {tuple(c.text for c in row[:3]): [c.text for c in row[3:]] for row in found.rows}
    learning = tables.read_table(folder / "learning.parquet", tables.Learning)
    own = learning[(learning["task"] == "SIM") & (learning["group"] == "SEN+SIM")]
    own = own[own["combiner"] == "addition"]
    last = own[own["position"] == 5].groupby("quantity")["value"].mean()
    lowest = own[own["quantity"] == "dev_loss"].groupby("run")["value"].min().mean()
    assert lines[("SIM", "SEN + SIM", "Addition")] == [
        "3",
        names.score(float(last["train_loss"])),
        names.score(float(last["dev_loss"])),
        names.number(float(last["dev_loss"] - last["train_loss"]), 3, signed=True),
        names.score(float(lowest)),
        "2.0",  # 0.05 (epoch - 2.5)^2: epochs 2 and 3 are equal, and the earlier one counts
        "5.0",
    ]
    assert ("SIM", "alone", "Baseline") in lines
    # Weighted arms are many, and drawn where they are best.
    assert not [label for _, _, label in lines if "α" in label]


def test_undefined_scores_have_no_best_epoch(folder, tmp_path):
    inputs = load_inputs(folder)
    hidden = inputs.learning["quantity"] == "dev_score"
    inputs.learning.loc[hidden, "value"] = None
    assert {row[-1].text for row in ends(inputs, "default").rows} == {names.DASH}


def test_without_figures_there_is_no_section(folder):
    assert learning_section(load_inputs(folder), "default", []) is None
