"""What the report says of the gradients: in numbers, in words, and where nothing is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from figure_inputs import IMAGE, SCRIPT, make_study, make_study_tables
from test_build_report import Page

from weightwise.figures.inputs import load_inputs
from weightwise.report.action_words import in_words
from weightwise.report.gradients_section import gradients_section


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = make_study_tables(
        tmp_path_factory.mktemp("g"),
        predictions=False,
        runs=True,
        gradients=True,
        more=("mgda", "upgrad"),
    )
    return load_inputs(folder, make_study())


def rows_of(section, title: str) -> list[list[str]]:
    """The texts of the first table of a block."""
    (block,) = [b for b in section.blocks if b.title == title]
    return [[cell.text for cell in row] for row in block.tables[0].rows]


def test_cosines_lengths_and_shares_are_those_of_the_runs(inputs):
    section = gradients_section(inputs, "default", [])
    rows = rows_of(section, "Where and when they conflict")
    assert rows[0] == [
        *("SEN and PAR", "Addition", "3", "60", "0.000", "0.00 to 0.00", "50.0 %", "2.00"),
    ]
    assert {row[1] for row in rows} == {"Addition", "PCGrad", "MGDA", "UPGrad"}


def test_what_the_combiners_did_in_plain_words(inputs):
    section = gradients_section(inputs, "default", [])
    rows = {row[1]: row for row in rows_of(section, "What the combiners did")[:4]}
    assert rows["Addition"][3:] == ["50.0 %", "0 %", "0 %", "1.000", "the plain sum itself"]
    # Lengths 2 and 1, weights 1.25 and 2: w'G1 / sqrt(w'Gw 1'G1) = 5.25 / sqrt(5.25 * 3) ...
    g = np.array([[4, -1], [-1, 1]])
    w = np.array([1.25, 2])
    half = w @ g.sum(1) / np.sqrt(w @ g @ w * g.sum())
    want = ["50.0 %", "50.0 %", "50.0 %", f"{(1 + half) / 2:.3f}", "acted in 50 % of the steps"]
    assert rows["PCGrad"][3:] == want
    assert rows["MGDA"][-1] == "acted in every step"
    assert rows["UPGrad"][-1] == "same as Addition, to the byte, in all 3 seeds"


def test_weighted_arms_are_folded_away(inputs):
    section = gradients_section(inputs, "default", [])
    for title in ("Where and when they conflict", "What the combiners did"):
        (block,) = [b for b in section.blocks if b.title == title]
        assert all("α" not in row[1].text for row in block.tables[0].rows)
        assert {row[1].text for row in block.folded[0].rows} == {
            *("α = 0.2", "α = 0.6", "α = 0.8"),
        }
    (block,) = [b for b in section.blocks if b.title == "What the combiners did"]
    assert block.folded[0].rows[0][-1].text == "fixed weights, whatever the gradients are"


def test_the_notes_say_what_was_recorded(inputs):
    notes = " ".join(gradients_section(inputs, "default", []).notes)
    assert "recorded in 20 of 20 steps of a run" in notes
    assert "The map shows Addition" in notes


def test_a_study_that_records_nothing_says_so_and_shows_the_rest(inputs):
    study = make_study()
    training = study.training.model_copy(update={"record_every": 0})
    bare = dataclasses.replace(
        inputs,
        conflicts=inputs.conflicts[:0],
        study=study.model_copy(update={"training": training}),
    )
    section = gradients_section(bare, "default", [])
    assert "(training.record_every: 0)" in section.notes[0]
    titles = [block.title for block in section.blocks]
    assert "Where and when they conflict" not in titles
    assert "What the combiners did" in titles
    other = gradients_section(dataclasses.replace(bare, study=None), "default", [])
    assert "No finished run holds recorded inner products" in other.notes[0]


def test_without_runs_there_is_no_section(inputs):
    bare = dataclasses.replace(inputs, actions=inputs.actions[:0])
    assert gradients_section(bare, "default", []) is None


def test_a_study_without_addition_says_that_there_is_no_cost_to_compare(inputs):
    bare = dataclasses.replace(
        inputs, actions=inputs.actions[inputs.actions["combiner"] != "addition"]
    )
    assert "Addition was not run" in gradients_section(bare, "default", []).notes[-1]


def test_costs_name_what_shared_the_machine(inputs):
    study = make_study()
    shared = study.model_copy(update={"runs_side_by_side": 4, "runs_per_job": 8})
    section = gradients_section(dataclasses.replace(inputs, study=shared), "default", [])
    (block,) = [b for b in section.blocks if b.title == "What it cost beside addition"]
    assert "4 runs trained side by side" in block.tables[0].note
    assert "up to 8 runs followed each other in one process" in block.tables[0].note
    rows = [[cell.text for cell in row] for row in block.tables[0].rows]
    assert rows[1][:4] == ["SEN + PAR", "Addition", "3", "1"]
    assert rows[2][:5] == ["SEN + PAR", "PCGrad", "3", "1.05 (1.05 to 1.05)", "105.0"]


def arm(**columns) -> pd.DataFrame:
    rows = {
        "combiner": "pcgrad",
        "seed": [1, 2],
        "conflict": [0.0, 0.0],
        "acted": [0.0, 0.0],
        "inactive": [True, True],
        "same_combiner": ["addition", "addition"],
        "same_alpha": [None, None],
    }
    return pd.DataFrame(rows | columns)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "PCGrad never met a conflict here: same as Addition, to the byte, in all 2 seeds"),
        ({"conflict": [0.5, 0.2]}, "same as Addition, to the byte, in all 2 seeds"),
        (
            {"same_combiner": [None, None]},
            "PCGrad never met a conflict here and never acted",
        ),
        (
            {"same_combiner": ["addition", None], "acted": [0, 0.4], "inactive": [True, False]},
            "acted in 20 % of the steps; same as Addition, to the byte, in 1 of 2 seeds",
        ),
        (
            {"same_combiner": ["unitary"] * 2, "same_alpha": ["0.4"] * 2, "conflict": [1.0, 1.0]},
            "same as α = 0.4, to the byte, in all 2 seeds",
        ),
        ({"same_combiner": [None] * 2, "conflict": [0.3] * 2}, "never acted"),
        (
            {"same_combiner": [None] * 2, "inactive": [False] * 2, "acted": [0.001, 0.003]},
            "acted in 0.2 % of the steps",
        ),
        (
            {"same_combiner": [None] * 2, "combiner": "unitary"},
            "fixed weights that leave the direction of the plain sum",
        ),
        (
            {"same_combiner": [None] * 2, "combiner": "random", "inactive": [False] * 2},
            "weights drawn by chance, whatever the gradients are",
        ),
        ({"combiner": "addition"}, "the plain sum itself"),
    ],
)
def test_words_for_every_case(columns, words):
    assert in_words(arm(**columns)) == words


def test_the_page_holds_the_section_and_links_to_it(full_page):
    page = Page(full_page)
    assert "What the gradients did" in page.text
    assert "#variant-default-gradients" in [a["href"] for a in page.all("a")]
    figures = [a["id"] for a in page.all("figure")]
    assert {"figure-conflict", "figure-weights", "figure-cost"} <= set(figures)


def test_hostile_names_of_tasks_and_combiners_are_text(build):
    names = {SCRIPT: "classification", IMAGE: "binary"}
    text = build(
        tasks=list(names),
        kinds=names,
        seeds=(1, 2),
        splits=("dev",),
        predictions=False,
        draw=True,
        runs=True,
        gradients=True,
        more=("<b>evil</b>",),
    )
    page = Page(text)
    assert f"{SCRIPT} and {IMAGE}" in page.text
    assert "<b>evil</b>" in page.text
    assert not page.all("b")
    assert not page.all("script")
    assert {a["src"][:5] for a in page.all("img")} == {"data:"}
