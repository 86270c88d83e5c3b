"""Figures of what the gradients did, from tables whose answers are known."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from figure_inputs import make_study_tables
from gradient_inputs import run_steps
from matplotlib.collections import PathCollection
from matplotlib.patches import PathPatch

from weightwise import tables
from weightwise.analysis.gradients import analyse_gradients
from weightwise.figures import conflict, cost, style, weights
from weightwise.figures.inputs import load_inputs
from weightwise.figures.svg import to_svg


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Three tasks in pairs, three seeds, MGDA and the rest."""
    folder = make_study_tables(
        tmp_path_factory.mktemp("g"), predictions=False, runs=True, gradients=True, more=("mgda",)
    )
    return load_inputs(folder)


def drawn(module, inputs):
    with style.theme():
        return list(module.draw(inputs))


def dots(ax) -> int:
    """How many cells are marked."""
    paths = [patch.get_path() for patch in ax.patches if isinstance(patch, PathPatch)]
    return sum(len(path.vertices) // 2 for path in paths)


def test_the_map_shows_the_conflict_where_it_is(inputs):
    (drawing,) = drawn(conflict, inputs)
    axes = drawing.figure.axes
    panels = [ax for ax in axes if ax.images]
    assert len(panels) == 6
    for cosine, lengths in zip(panels[::2], panels[1::2], strict=True):
        values = cosine.images[0].get_array()
        assert values.shape == (4, 10)
        assert np.asarray(values[:, :5]) == pytest.approx(-0.5)
        assert np.asarray(values[:, 5:]) == pytest.approx(0.5)
        assert np.asarray(lengths.images[0].get_array()) == pytest.approx(np.log(2))
    labels = [t.get_text() for t in panels[0].get_yticklabels()]
    assert labels == ["whole encoder", "embeddings", "layer 1", "layer 2"]
    titles = [ax.get_title(loc="left") for ax in panels]
    assert titles[:2] == ["SEN and PAR", "|SEN| / |PAR|"]
    assert "under Addition" in drawing.caption
    assert "means over 3 seeds" in drawing.caption
    assert "SEN and PAR in SEN+PAR 0.00" in drawing.alt
    assert drawing.runs == [
        f"{pair}/addition-default-{seed}"
        for pair in ("PAR+SIM", "SEN+PAR", "SEN+SIM")
        for seed in (1, 2, 3)
    ]


def test_cells_of_equal_seeds_are_marked_and_those_of_other_sign_are_not(inputs):
    """Equal in all seeds: the interval is a point off zero. Mixed: it holds zero."""
    (drawing,) = drawn(conflict, inputs)
    assert dots(drawing.figure.axes[0]) == 40
    rows = inputs.conflicts.copy()
    rows.loc[rows["seed"] == 1, "cosine"] *= -1
    (mixed,) = drawn(conflict, dataclasses.replace(inputs, conflicts=rows))
    assert dots(mixed.figure.axes[0]) == 0


def test_one_seed_has_a_map_without_marks(inputs):
    rows = inputs.conflicts[inputs.conflicts["seed"] == 1]
    (drawing,) = drawn(conflict, dataclasses.replace(inputs, conflicts=rows))
    assert "One seed: no interval exists" in drawing.caption
    assert dots(drawing.figure.axes[0]) == 0


def test_without_addition_the_map_says_which_arm_it_shows(inputs):
    rows = inputs.conflicts[inputs.conflicts["combiner"].isin(["mgda", "pcgrad"])]
    (drawing,) = drawn(conflict, dataclasses.replace(inputs, conflicts=rows))
    assert "under PCGrad" in drawing.caption


def test_cells_that_nothing_was_recorded_for_are_hatched(inputs):
    rows = inputs.conflicts.copy()
    rows.loc[(rows["block"] == "layer_0") & (rows["bin"] == 3), "cosine"] = np.nan
    (drawing,) = drawn(conflict, dataclasses.replace(inputs, conflicts=rows))
    hatched = [[p for p in ax.patches if p.get_hatch()] for ax in drawing.figure.axes[:2]]
    assert [len(patches) for patches in hatched] == [1, 0]


def test_many_pairs_and_layers_stay_small(inputs):
    """A pair of a twelve-layer encoder is one small image, not a shape for every cell."""
    rows = inputs.conflicts[inputs.conflicts["block"] == "layer_0"]
    more = [rows.assign(block=f"layer_{i}") for i in range(2, 12)]
    deep = dataclasses.replace(inputs, conflicts=pd.concat([inputs.conflicts, *more]))
    (drawing,) = drawn(conflict, deep)
    with style.theme():
        assert len(to_svg(drawing.figure)[0]) < 70_000
    names = [f"{a}+{b}" for a in "ABCDE" for b in "vwxyz"]
    many = [inputs.conflicts[inputs.conflicts["group"] == "SEN+PAR"].assign(group=n) for n in names]
    parts = drawn(conflict, dataclasses.replace(inputs, conflicts=pd.concat(many)))
    assert len(parts) == 9
    assert len({d.id for d in parts}) == 9
    assert "part 9 of 9" in parts[-1].title


@pytest.mark.parametrize(
    ("largest", "want"),
    [
        (np.log(12), {"1", "3", "1/3", "10", "1/10"}),
        (np.log(1.3), {"1", "1.1", "1/1.1", "1.2", "1/1.2"}),
        (0.05, {"1"}),
    ],
)
def test_ratios_are_labelled_by_round_numbers_in_range(largest, want):
    ticks = conflict.ratio_ticks(largest)
    assert set(ticks.values()) == want
    assert all(abs(place) <= largest for place in ticks)


def test_blocks_are_named_for_people():
    names = ["pooler", "layer_10", "layer_2", "all", "embeddings"]
    ordered = sorted(names, key=conflict._block_order)
    labels = [conflict.block_label(name) for name in ordered]
    assert labels == ["whole encoder", "embeddings", "layer 3", "layer 11", "pooler"]


def test_weights_are_drawn_for_the_arms_that_move_them(inputs):
    (drawing,) = drawn(weights, inputs)
    panels = [ax for ax in drawing.figure.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in panels] == ["PCGrad"] * 3
    first = {line.get_label(): line.get_ydata() for line in panels[0].lines[1:]}
    # Lengths 2 and 1 at a cosine of -0.5: weights 1.25 and 2, of which the first has 5/13.
    assert first["SEN"] == pytest.approx([5 / 13] * 5 + [0.5] * 5)
    assert first["PAR"] == pytest.approx([8 / 13] * 5 + [0.5] * 5)
    assert "dashed: equal weights" in drawing.caption
    assert "PCGrad on SEN+PAR ends with SEN 0.50, PAR 0.50" in drawing.alt


def test_a_negative_weight_stays_in_the_picture(inputs):
    rows = inputs.weights.copy()
    rows.loc[rows["task"] == "SEN", "share"] = -0.4
    (drawing,) = drawn(weights, dataclasses.replace(inputs, weights=rows))
    assert drawing.figure.axes[0].get_ylim()[0] < -0.4


def test_costs_stand_beside_addition(inputs):
    (drawing,) = drawn(cost, inputs)
    time, memory = drawing.figure.axes
    labels = [t.get_text() for t in time.get_yticklabels()]
    assert labels[:4] == ["SEN + PAR", "Unitary", "PCGrad", "MGDA"]
    dots, same = (
        [float(c.get_offsets()[0][0]) for c in ax.collections if isinstance(c, PathCollection)]
        for ax in (time, memory)
    )
    assert dots == pytest.approx([1.0, 1.05, 1.0] * 3)
    assert same == [1.0] * 9


def test_an_interval_far_wider_than_the_points_is_cut_and_said(inputs):
    rows = inputs.cost_ratios.copy()
    rows.loc[rows["combiner"] == "pcgrad", "time_high"] = 400.0
    (drawing,) = drawn(cost, dataclasses.replace(inputs, cost_ratios=rows))
    assert drawing.figure.axes[0].get_xlim()[1] < 2
    assert "cut at the frame" in drawing.caption


def test_machines_are_told_apart_where_there_are_several(inputs):
    other = inputs.cost_ratios.assign(hardware="a server", threads=2.0)
    both = dataclasses.replace(inputs, cost_ratios=pd.concat([inputs.cost_ratios, other]))
    (drawing,) = drawn(cost, both)
    labels = [t.get_text() for t in drawing.figure.axes[0].get_yticklabels()]
    assert "PCGrad (a laptop, fp32, 1 thread)" in labels
    assert "PCGrad (a server, fp32, 2 threads)" in labels


def test_nothing_recorded_draws_nothing(tmp_path):
    folder = make_study_tables(tmp_path, predictions=False, seeds=(1,), splits=("dev",))
    bare = load_inputs(folder)
    for module in (conflict, weights, cost):
        assert drawn(module, bare) == []


def test_groupings_of_three_show_every_pair_with_its_grouping(tmp_path):
    folder = make_study_tables(tmp_path, predictions=False, seeds=(1, 2), splits=("dev",))
    scores = tables.read_table(folder / "scores.parquet", tables.Scores)
    rows = scores[(scores["combiner"] == "addition") & (scores["group"] == "SEN+PAR")]
    found = analyse_gradients(run_steps(rows.assign(group="SEN+PAR+SIM")))
    for name in ("conflicts", "actions"):
        path = folder / f"{name}.parquet"
        tables.write_table(found[name], getattr(tables, name.title()), path)
    (drawing,) = drawn(conflict, load_inputs(folder))
    titles = [ax.get_title(loc="left") for ax in drawing.figure.axes if ax.images][::2]
    assert titles == [
        "SEN and PAR in SEN+PAR+SIM",
        "SEN and SIM in SEN+PAR+SIM",
        "PAR and SIM in SEN+PAR+SIM",
    ]


def test_the_image_in_the_map_is_inside_the_file(inputs):
    """A page that may load nothing shows it all the same."""
    (drawing,) = drawn(conflict, inputs)
    with style.theme():
        root = ElementTree.fromstring(to_svg(drawing.figure)[0])
    images = [e for e in root.iter() if e.tag.endswith("image")]
    assert len(images) >= 6
    for image in images:
        assert re.match("data:image/png;base64,", image.get("href"))
