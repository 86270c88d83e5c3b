"""What a design sees, told before anything runs."""

import math

import pytest

from weightwise.analysis.design import sights
from weightwise.analysis.intervals import summarise_arms
from weightwise.analysis.noise import noise_floor
from weightwise.analysis.power import visible_effect
from weightwise.analysis.relative_change import relative_changes
from weightwise.config import load_study
from weightwise.grid import Grid


def test_the_default_study_says_what_it_sees():
    found = sights(Grid(load_study("config.yaml")))
    assert [one.task for one in found] == ["SEN", "PAR", "SIM"]
    # Two pairs of five weights, addition and PCGrad.
    assert {(one.arms, one.seeds) for one in found} == {(14, 3)}
    assert found[0].effect == pytest.approx(visible_effect(3, 2 * 0.05 / 3 / 14, 0.8))
    assert math.isnan(found[0].change)
    assert "3 seeds and 14 arms see changes of" in str(found[0])
    assert "times the noise of a paired change or more (80 % power)" in str(found[0])


def test_the_noise_of_finished_runs_makes_it_per_cent(study):
    scores = study(seeds=3)
    noise = noise_floor(scores, summarise_arms(relative_changes(scores)))
    one = sights(Grid(load_study("config.yaml")), noise)[0]
    sd = noise.loc[noise["task"] == "SEN", "paired_sd"].iloc[0]
    assert one.change == pytest.approx(one.effect * sd)
    assert f"{one.change:.2g} % or more" in str(one)


def test_one_seed_and_named_arms():
    one_seed = sights(Grid(load_study("config.yaml", ["seeds=[1]"])))
    assert all("see nothing" in str(one) for one in one_seed)
    named = sights(Grid(load_study("workflow/studies/bertram-small.yaml")))
    assert {one.task for one in named} == {"SEN", "PAR", "SIM"}
    assert all(one.arms == 12 for one in named)
