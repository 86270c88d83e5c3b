"""The curves of learning: what is drawn, of which runs, and what is said of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_inputs import make_learning, make_scores, make_study_tables

from weightwise import tables
from weightwise.figures import FIGURES, style
from weightwise.figures.inputs import load_inputs
from weightwise.figures.svg import to_svg


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_study_tables(tmp_path_factory.mktemp("learning"), splits=("dev",))


def drawings(folder) -> list:
    return list(FIGURES["learning"](load_inputs(folder)))


def curve(ax, colour: str) -> tuple[np.ndarray, np.ndarray]:
    (line,) = [x for x in ax.get_lines() if x.get_color() == colour and len(x.get_xdata()) > 2]
    return line.get_xdata(), line.get_ydata()


def rows_of(folder, **keys) -> pd.DataFrame:
    found = tables.read_table(folder / "learning.parquet", tables.Learning)
    for key, value in keys.items():
        found = found[found[key].isna() if value is None else found[key] == value]
    return found


def test_two_figures_for_every_grouping(folder):
    made = drawings(folder)
    assert [(d.group, d.id.split("-")[1]) for d in made] == [
        (group, kind) for group in ("SEN+PAR", "SEN+SIM", "PAR+SIM") for kind in ("steps", "gap")
    ]
    assert all(d.split == "dev" and d.task is None for d in made)
    assert all("means over 3 seeds" in d.caption for d in made)


def test_lines_are_means_over_seeds_and_bands_their_range(folder):
    steps = drawings(folder)[0]
    ax = steps.figure.axes[0]
    own = rows_of(folder, group="SEN+PAR", task="SEN", combiner="addition", quantity="step_loss")
    by_step = own.groupby("position")["value"]
    # Rows: weights, then addition, then PCGrad, as in every table; so addition is the second.
    x, y = curve(ax, style.PALETTE[1])
    assert list(x) == list(by_step.mean().index)
    assert y == pytest.approx(by_step.mean().to_numpy())
    ends = [band.get_paths()[0].vertices[:, 1] for band in ax.collections]
    assert any(
        np.isclose(e.min(), by_step.min().min()) and np.isclose(e.max(), by_step.max().max())
        for e in ends
    )


def test_the_gap_is_dev_minus_train_loss_of_the_same_run(folder):
    gap = drawings(folder)[1]
    ax = gap.figure.axes[4]  # third row, first task
    keys = {"group": "SEN+PAR", "task": "SEN", "combiner": "pcgrad"}
    train, dev = (
        rows_of(folder, quantity=q, **keys).set_index(["run", "position"])["value"]
        for q in ("train_loss", "dev_loss")
    )
    _, y = curve(ax, style.PALETTE[2])
    assert y == pytest.approx((dev - train).groupby("position").mean().to_numpy())
    last = (dev - train).groupby("position").mean().iloc[-1]
    assert f"PCGrad {last:.3f}" in gap.alt
    # Train and dev loss stand on one scale.
    assert gap.figure.axes[0].get_ylim() == gap.figure.axes[2].get_ylim()


def test_of_weighted_arms_the_best_on_dev_is_drawn(folder):
    steps = drawings(folder)[0]
    labels = [text.get_text() for text in steps.figure.legends[0].get_texts()]
    overall = tables.read_table(folder / "overall.parquet", tables.Overall)
    rows = overall[(overall["group"] == "SEN+PAR") & (overall["combiner"] == "unitary")]
    # 0.5 is run as addition: it has no curve of its own.
    rows = rows[rows["alpha"] != "0.5"]
    best = rows.loc[rows["mean_mapped"].idxmax(), "alpha"]
    assert labels == [f"α = {best} for SEN (best on dev)", "Addition", "PCGrad", "task alone"]
    drawn = set(rows_of(folder, group="SEN+PAR", combiner="unitary", task="SEN", alpha=best)["run"])
    others = set(rows_of(folder, group="SEN+PAR", combiner="unitary")["run"]) - drawn
    assert drawn <= set(steps.runs)
    assert not others & set(steps.runs)
    # Those of the tasks alone, too.
    assert set(rows_of(folder, group="PAR", combiner="baseline")["run"]) <= set(steps.runs)


def test_one_seed_and_an_undefined_score(tmp_path):
    out = make_study_tables(tmp_path / "t", tasks=("SEN", "SIM"), seeds=(1,), splits=("dev",))
    rows = tables.read_table(out / "learning.parquet", tables.Learning)
    rows.loc[(rows["quantity"] == "dev_score") & (rows["position"] == 1), "value"] = None
    tables.write_table(rows, tables.Learning, out / "learning.parquet")
    steps, _ = drawings(out)
    assert "One seed: there is no band." in steps.caption
    x, _ = curve(steps.figure.axes[2], style.PALETTE[1])
    assert list(x) == [2, 3, 4, 5]


def test_three_tasks_and_their_weights(tmp_path):
    """All weights name the arm of a larger grouping; each task has its column."""
    scores = make_scores(seeds=(1, 2), splits=("dev",), pairs=False)
    base = scores[scores["combiner"] == "baseline"]
    group = "SEN+PAR+SIM"
    arms = [("gradattention", None), ("unitary", "0.5,0.25,0.25"), ("unitary", "0.25,0.5,0.25")]
    more = [
        base.assign(
            group=group,
            combiner=combiner,
            alpha=alpha,
            score=base["score"] + 0.01 * i,
            run=[f"{combiner}-{alpha}-{seed}" for seed in base["seed"]],
        )
        for i, (combiner, alpha) in enumerate(arms)
    ]
    from weightwise.analysis.run import analyse

    scores = pd.concat([scores, *more])
    analyse(scores, tmp_path)
    tables.write_table(make_learning(scores), tables.Learning, tmp_path / "learning.parquet")
    steps, gap = drawings(tmp_path)
    assert len(steps.figure.axes) == 2 * 3
    assert len(gap.figure.axes) == 3 * 3
    labels = [text.get_text() for text in steps.figure.legends[0].get_texts()]
    assert labels == ["α = 0.25,0.5,0.25 (best on dev)", "GradAttention", "task alone"]


def test_of_many_groupings_the_best_are_drawn(tmp_path):
    names = ("A", "B", "C", "D", "E")
    out = make_study_tables(
        tmp_path / "t", tasks=names, kinds=dict.fromkeys(names, "binary"), seeds=(1,),
        splits=("dev",), alphas=("0.3",),
    )  # fmt: skip
    best = tables.read_table(out / "best.parquet", tables.Best)
    chosen = set(best.loc[best["speaks"], "group"])
    made = drawings(out)
    assert {d.group for d in made} == chosen
    assert len(chosen) < 10
    assert f"{10 - len(chosen)} groupings that are no task's best are not drawn" in made[0].caption


def test_long_curves_stay_small(tmp_path):
    """Size follows from the bins, however long a run was; 40 is what `learning_of_run` gives."""
    scores = make_scores(tasks=("SEN", "PAR"), splits=("dev",))
    from weightwise.analysis.run import analyse

    analyse(scores, tmp_path)
    learning = make_learning(scores, epochs=100, steps=40)
    tables.write_table(learning, tables.Learning, tmp_path / "learning.parquet")
    with style.theme():
        sizes = [len(to_svg(drawing.figure)[0]) for drawing in drawings(tmp_path)]
    assert max(sizes) < 200_000


def test_without_the_table_there_is_no_figure(tmp_path):
    assert drawings(make_study_tables(tmp_path / "t", predictions=False, splits=("dev",))) == []
