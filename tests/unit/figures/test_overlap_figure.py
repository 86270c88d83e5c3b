"""Shared words: what is drawn, of which runs, and what is said of it."""

from __future__ import annotations

import pandas as pd
import pytest
from figure_inputs import FORMULA, IMAGE, make_study, make_study_tables
from overlap_inputs import ARM, OTHER, bins

from weightwise import tables
from weightwise.figures import build_figures, overlap
from weightwise.figures.inputs import load_inputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_study_tables(tmp_path_factory.mktemp("overlap"))


@pytest.fixture
def drawn(folder):
    """The drawings of these bins."""

    def made(*rows, study=None):
        frame = pd.DataFrame(rows) if rows else tables.empty(tables.Overlap)
        tables.write_table(frame, tables.Overlap, folder / "overlap.parquet")
        return list(overlap.draw(load_inputs(folder, study)))

    return made


def lines(drawing, panel):
    return {line.get_label(): line for line in drawing.figure.axes[panel].get_lines()}


def test_labels_and_both_arms_are_drawn(drawn):
    (one,) = drawn(*bins("reference", ARM, prediction=0.5), *bins())
    found = lines(one, 0)
    assert list(found) == ["labels", "SEN + PAR, α = 0.6 (best)", "PAR alone (reference)"]
    assert found["labels"].get_ydata()[0] == pytest.approx(0.1)
    assert found["SEN + PAR, α = 0.6 (best)"].get_ydata()[1] == pytest.approx(0.275)
    assert set(found["PAR alone (reference)"].get_ydata()) == {0.5}
    assert (one.id, one.task, one.split) == ("overlap-PAR", "PAR", "test")
    assert "0 to 0.2: labels 10 %, predictions 5 %" in one.alt
    assert "0.4 to 0.6" not in one.alt  # no pairs
    assert "Optimistic" not in one.caption


def test_an_empty_bin_is_a_gap(drawn):
    (one,) = drawn(*bins())
    for line in (lines(one, 0)["labels"], one.figure.axes[1].get_lines()[0]):
        assert list(pd.isna(line.get_ydata())) == [False, False, True, False, False]


def test_one_arm_in_both_roles_is_drawn_once(drawn):
    (one,) = drawn(*bins("reference", ARM), *bins("best", ARM))
    assert list(lines(one, 0)) == ["labels", "PAR alone (reference and best)"]


def test_the_runs_behind_it_are_named(drawn, folder):
    predictions = tables.read_table(folder / "predictions.parquet", tables.ArmPredictions)
    run = (predictions["task"] == "PAR") & (predictions["combiner"] == "baseline")
    run &= predictions["split"] == "test"
    assert run.any()
    predictions.loc[run, "run"] = "the-run"
    predictions.loc[~run, "run"] = "another"
    tables.write_table(predictions, tables.ArmPredictions, folder / "predictions.parquet")
    (one,) = drawn(*bins("best", ARM))
    assert one.runs == ["the-run"]


def test_dev_and_one_seed_are_said(drawn):
    rows = [line | {"seeds": min(line["seeds"], 1)} for line in bins(split="dev")]
    (one,) = drawn(*rows)
    assert "Optimistic: selected on dev." in one.caption
    assert "One seed: no interval exists." in one.caption


def test_values_have_means(drawn):
    (one,) = drawn(*bins(task="SIM"))
    assert one.figure.axes[0].get_ylabel() == "mean value"
    assert one.figure.axes[1].get_ylabel() == "mean absolute error"


def test_more_classes_and_no_pairs_have_no_figure(drawn):
    assert drawn(*bins(label=None, prediction=None)) == []
    assert drawn() == []


def test_hostile_names_are_text(drawn, folder, tmp_path):
    study = make_study(hostile=True)
    task = study.tasks["PAR"].model_copy(update={"classes": (IMAGE, FORMULA)})
    study = study.model_copy(update={"tasks": study.tasks | {"PAR": task}})
    drawn(*bins(), *bins("reference", OTHER), study=study)
    build_figures(folder, tmp_path, study)
    text = (tmp_path / "overlap" / "overlap-PAR.svg").read_text("utf-8")
    assert "<img" not in text
    assert text.count("</svg>") == 1
