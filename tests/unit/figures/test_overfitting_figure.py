"""Train against dev loss of every named arm."""

from __future__ import annotations

import pytest
from named_arms import ARMS, arms_study, arms_tables

from weightwise import tables
from weightwise.figures import FIGURES, style
from weightwise.figures.inputs import load_inputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return arms_tables(tmp_path_factory.mktemp("overfitting"))


def drawings(folder, study=None) -> list:
    return list(FIGURES["overfitting"](load_inputs(folder, study)))


def test_a_panel_for_every_arm_with_the_means_over_seeds(folder):
    made = drawings(folder, arms_study())
    assert [drawing.task for drawing in made] == ["SEN", "PAR", "SIM"]
    panels = [ax for ax in made[0].figure.axes if ax.get_visible()]
    assert [ax.get_title() for ax in panels] == list(ARMS)
    rows = tables.read_table(folder / "learning.parquet", tables.Learning)
    own = rows[(rows["task"] == "SEN") & (rows["variant"] == "probe")]
    for quantity, colour in (("train_loss", style.MUTED), ("dev_loss", style.PALETTE[0])):
        want = own[own["quantity"] == quantity].groupby("position")["value"].mean()
        (line,) = [x for x in panels[1].get_lines() if x.get_color() == colour]
        assert line.get_ydata() == pytest.approx(want.to_numpy())
        assert list(line.get_xdata()) == list(want.index)


def test_different_losses_have_scales_of_their_own(folder, tmp_path):
    rows = tables.read_table(folder / "learning.parquet", tables.Learning)
    rows.loc[rows["variant"] == "probe", "value"] /= 100
    study = arms_study()
    table = arms_tables(tmp_path, study)
    tables.write_table(rows, tables.Learning, table / "learning.parquet")
    told = drawings(table, study)[0]
    assert "scales of their own" in told.caption
    limits = [ax.get_ylim() for ax in told.figure.axes[:2]]
    assert limits[0] != limits[1]
    assert "one scale" in drawings(folder, study)[0].caption


def test_studies_without_named_arms_have_none(folder):
    assert drawings(folder) == []
