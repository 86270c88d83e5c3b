"""Figures from tables: which come out, that they repeat, that odd inputs do no harm."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import pandas as pd
import pytest
from figure_inputs import FORMULA, IMAGE, SCRIPT, make_study, make_study_tables
from matplotlib import pyplot

from weightwise import tables
from weightwise.errors import UserError
from weightwise.figures import FIGURES, build_figures, style
from weightwise.figures.inputs import load_inputs
from weightwise.figures.svg import to_svg

RECORD = {
    *("id", "kind", "file", "title", "caption", "alt"),
    *("task", "group", "variant", "split", "runs", "letters"),
}


def test_every_kind_comes_out_with_its_index(small_tables, tmp_path):
    before = dict(mpl.rcParams)
    index = build_figures(small_tables, tmp_path, make_study())
    assert dict(mpl.rcParams) == before
    assert pyplot.get_fignums() == []
    assert json.loads((tmp_path / "index.json").read_text()) == index
    assert {r["kind"] for r in index} == set(FIGURES) - {"simplex", "overfitting"}
    assert len({r["id"] for r in index}) == len(index)
    for record in index:
        assert set(record) == RECORD
        ElementTree.parse(tmp_path / record["file"])
        assert record["runs"]
        assert record["caption"]
        assert record["alt"]
    heatmaps = [(r["task"], r["split"]) for r in index if r["kind"] == "heatmap"]
    assert len(heatmaps) == len(set(heatmaps)) == 6
    assert [r["task"] for r in index if r["kind"] == "scatter"] == ["SIM", "SIM"]


def test_same_tables_give_the_same_bytes(tmp_path):
    small_tables = make_study_tables(tmp_path / "t", tasks=("SEN", "SIM"), splits=("dev",))
    build_figures(small_tables, tmp_path / "a")
    code = "import sys; from weightwise.figures import build_figures as b; b(*sys.argv[1:])"
    subprocess.run(
        [sys.executable, "-c", code, str(small_tables), str(tmp_path / "b")],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "5"},
    )
    first, again = (
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in (tmp_path / "a", tmp_path / "b")
    )
    assert len(first) > 5
    assert first == again


def test_torch_is_not_imported():
    code = "import sys, weightwise.figures, weightwise.report; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_seed_has_no_intervals(tmp_path):
    folder = make_study_tables(tmp_path / "t", predictions=False, seeds=(1,), splits=("dev",))
    index = build_figures(folder, tmp_path / "f")
    assert {r["kind"] for r in index} == {"pairings", "heatmap", "forest", "regression"}
    assert all("One seed" in r["caption"] for r in index if r["kind"] != "pairings")
    assert all("selected on dev" in r["caption"] for r in index)


def test_a_single_task_has_nothing_to_compare(tmp_path):
    folder = make_study_tables(tmp_path / "t", tasks=("SEN",))
    index = build_figures(folder, tmp_path / "f")
    assert index == []


def test_a_missing_baseline_hatches_and_goes_on(tmp_path):
    folder = make_study_tables(
        tmp_path / "t", predictions=False, splits=("dev",), no_baseline=("PAR",)
    )
    index = build_figures(folder, tmp_path / "f")
    assert ("heatmap", "PAR") in {(r["kind"], r["task"]) for r in index}
    assert ("forest", "PAR") not in {(r["kind"], r["task"]) for r in index}


def test_missing_scores_and_arms_are_no_error(tmp_path):
    folder = make_study_tables(tmp_path / "t", predictions=False, splits=("dev",))
    arms = tables.read_table(folder / "arms.parquet", tables.Arms)
    holes = arms[~((arms["group"] == "SEN+PAR") & (arms["combiner"] == "pcgrad"))]
    tables.write_table(holes, tables.Arms, folder / "arms.parquet")
    assert build_figures(folder, tmp_path / "f")


def test_twelve_tasks_are_drawn_in_parts(tmp_path):
    names = [f"a-rather-long-name-of-a-task-{i:02}" for i in range(12)]
    folder = make_study_tables(
        tmp_path / "t",
        predictions=False,
        tasks=names,
        seeds=(1,),
        splits=("dev",),
        alphas=("0.3", "0.7"),
    )
    inputs = load_inputs(folder)
    one = dataclasses.replace(inputs, scores=inputs.scores[inputs.scores["task"] == names[0]])
    with style.theme():
        assert [len(drawn_svg(d)) > 0 for d in FIGURES["pairings"](inputs)] == [True]
        assert [len(drawn_svg(d)) > 0 for d in FIGURES["forest"](one)] == [True] * 3
        assert [len(drawn_svg(d)) > 0 for d in FIGURES["heatmap"](one)] == [True]
        assert [len(drawn_svg(d)) > 0 for d in FIGURES["regression"](one)] == [True]


def drawn_svg(drawing) -> bytes:
    return to_svg(drawing.figure)[0]


def test_hostile_names_stay_text(tmp_path):
    names = {SCRIPT: "classification", IMAGE: "binary", FORMULA: "regression"}
    folder = make_study_tables(
        tmp_path / "t",
        tasks=list(names),
        kinds=names,
        seeds=(1, 2),
        splits=("dev",),
        runs=True,
        gradients=True,
    )
    index = build_figures(folder, tmp_path / "f", make_study(hostile=True))
    assert {r["kind"] for r in index} == set(FIGURES) - {"simplex", "overfitting"}
    for record in index:
        kind, _, name = record["file"].partition("/")
        assert kind == record["kind"]
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
        text = (tmp_path / "f" / record["file"]).read_text()
        ElementTree.fromstring(text)
        assert "<script" not in text
        assert "onerror" not in text


def test_three_tasks_show_the_triangle(tmp_path):
    folder = make_study_tables(tmp_path / "t", predictions=False, seeds=(1, 2), splits=("dev",))
    scores = tables.read_table(folder / "scores.parquet", tables.Scores)
    base = scores[scores["combiner"] == "baseline"]
    extra = [
        base.assign(group="SEN+PAR+SIM", combiner="unitary", alpha=weights, run=weights)
        for weights in ("0.5,0.25,0.25", "0.25,0.5,0.25", "0.25,0.25,0.5")
    ]
    from weightwise.analysis.run import analyse

    analyse(pd.concat([scores, *extra]), folder)
    index = build_figures(folder, tmp_path / "f")
    assert [r["task"] for r in index if r["kind"] == "simplex"] == ["SEN", "PAR", "SIM"]


def test_figures_that_are_gone_are_removed(tmp_path):
    index = build_figures(
        make_study_tables(tmp_path / "s", predictions=False, tasks=("SEN", "PAR"), splits=("dev",)),
        tmp_path,
    )
    (tmp_path / "mine.svg").write_text("kept")
    folder = make_study_tables(tmp_path / "t", tasks=("SEN",))
    fewer = build_figures(folder, tmp_path)
    left = {p.name for p in tmp_path.glob("*.svg")}
    assert left == {r["file"] for r in fewer} | {"mine.svg"}
    assert len(fewer) < len(index)


def test_a_needed_table_is_asked_for(tmp_path):
    with pytest.raises(UserError, match="run the analysis first"):
        build_figures(tmp_path, tmp_path / "f")


def test_arms_of_every_kind_of_combiner(tmp_path):
    """Options and the colon of torchjd's names reach labels and no file name; the arm that is best
    is named where the pairings are; an alias names the method that it is."""
    more = ("cagrad(c=0.8)", "mgda", "pcgrad_alpha", "torchjd:UPGrad")
    folder = make_study_tables(tmp_path / "t", more=more, runs=True, gradients=True)
    index = build_figures(folder, tmp_path / "f", make_study())
    assert {r["kind"] for r in index} == set(FIGURES) - {"simplex", "overfitting"}
    assert all(set(r["file"]) & set("():") == set() for r in index)
    inputs = load_inputs(folder, make_study())
    heatmap, forest, pairings = (
        next(iter(FIGURES[kind](inputs))) for kind in ("heatmap", "forest", "pairings")
    )
    weighted = [f"Weighted PCGrad, α = {a}" for a in ("0.2", "0.5 ≡", "0.8")]
    want = ["Addition", "PCGrad", *weighted, "CAGrad (c=0.8)", "MGDA", "torchjd:UPGrad"]
    rows = [label.get_text() for label in heatmap.figure.axes[0].get_yticklabels()]
    assert rows[-len(want) :] == want
    assert set(want) <= {label.get_text() for label in forest.figure.axes[0].get_yticklabels()}
    assert "CAGrad (c=0.8)" in [t.get_text() for t in pairings.figure.axes[0].texts]
    for drawing in (heatmap, forest):
        assert "≡ same method as Addition or PCGrad" in drawing.caption
