"""The page of a study of named arms: what stands first, its tables, the paper beside ours."""

from __future__ import annotations

import re

import numpy as np
import pytest
from figure_inputs import SCRIPT, make_checks, no_figures
from named_arms import ARMS, GROUP, arms_study, arms_tables

from weightwise.analysis.intervals import t_interval
from weightwise.figures import build_figures, names
from weightwise.figures.inputs import load_inputs
from weightwise.published.papers import SIMCSE
from weightwise.report import build_report
from weightwise.report.arms_verdict import arms_cards, arms_headline
from weightwise.report.beside import beside_study
from weightwise.report.comparison import comparison_tables
from weightwise.report.left_out import left_out_tables


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Five arms of three seeds on dev."""
    study = arms_study()
    return load_inputs(arms_tables(tmp_path_factory.mktemp("arms"), study), study)


def rows(table) -> dict[str, list]:
    return {row[0].text: row[1:] for row in table.rows}


def scores(inputs, arm: str, task: str, split: str = "dev") -> np.ndarray:
    table = inputs.scores
    chosen = table[(table["variant"] == arm) & (table["group"] == GROUP)]
    chosen = chosen[(chosen["task"] == task) & (chosen["split"] == split)]
    return chosen.sort_values("seed")["score"].to_numpy()


def test_the_comparison_holds_every_arm_and_the_overall_score(inputs):
    (table,) = comparison_tables(inputs)
    found = rows(table)
    assert list(found) == list(ARMS)
    assert [cell.text for cell in table.head[0]][-4:] == ["SEN", "PAR", "SIM", "Overall"]
    gap = scores(inputs, "probe", "SEN") - scores(inputs, "fine-tune", "SEN")
    mean = names.score(scores(inputs, "probe", "SEN").mean())
    cell = found["probe"][2]
    assert cell.text == f"{mean} ({names.number(gap.mean(), 3, signed=True)}) {names.LOSS}"
    assert cell.sub == names.span(*t_interval(gap, 0.95))
    overall = np.mean([scores(inputs, "probe", task) for task in ("SEN", "PAR", "SIM")])
    assert found["probe"][-1].text.startswith(names.score(overall))
    assert found["fine-tune"][-1].sub == "reference"


def test_tasks_alone_are_rows_of_their_own(tmp_path):
    study = arms_study()
    table = arms_tables(tmp_path, study, alone=("fine-tune",))
    (found,) = comparison_tables(load_inputs(table, study))
    assert [cell.text for cell in found.rows[-1][:3]] == [
        "fine-tune",
        "each task alone",
        "Baseline",
    ]
    assert found.rows[-1][-1].text == names.DASH
    assert len(found.rows) == len(ARMS) + 1


def test_the_first_words_name_what_survives_correction(inputs):
    text = arms_headline(inputs)
    assert text.startswith("On dev these arms differ from “fine-tune” after correction. None is be")
    assert "Worse for SEN probe" in text
    assert "for the overall score probe" in text
    by_task = {card.task: card for card in arms_cards(inputs)}
    assert list(by_task) == ["SEN", "PAR", "SIM", "Overall score"]
    assert by_task["SEN"].badge == "the reference"
    assert by_task["SEN"].advice == "“fine-tune”, the reference, scored highest on dev."


def test_tasks_alone_are_not_called_arms(tmp_path):
    """The same arm would be better and worse at once."""
    study = arms_study()
    table = arms_tables(tmp_path, study, alone=tuple(ARMS))
    with_alone = arms_headline(load_inputs(table, study))
    assert with_alone.count("for SEN") == 1
    assert with_alone.endswith("Optimistic: selected on dev.")


def test_a_better_arm_is_named_and_judged_on_test(tmp_path):
    arms = {"probe": ARMS["probe"], "fine-tune": {}}
    study = arms_study(arms)
    found = load_inputs(arms_tables(tmp_path, study, splits=("dev", "test")), study)
    assert "On test these arms differ from “probe”" in arms_headline(found)
    assert "Better for SEN fine-tune" in arms_headline(found)
    card = arms_cards(found)[0]
    assert card.look == card.badge == "gain"
    test = scores(found, "fine-tune", "SEN", "test")
    gap = names.number((test - scores(found, "probe", "SEN", "test")).mean(), 3, signed=True)
    assert card.advice == "Best on dev: “fine-tune”."
    assert card.facts[1] == f"{names.score(test.mean())} on test"
    assert card.facts[2].startswith(f"{gap} to “probe” on test")


def test_one_seed_says_that_nothing_is_known(tmp_path):
    study = arms_study()
    found = load_inputs(arms_tables(tmp_path, study, seeds=(1,)), study)
    assert arms_headline(found).startswith("One seed was run, so no interval exists")
    assert all(card.look == "muted" for card in arms_cards(found))


def test_leave_one_out_is_a_matrix_with_the_papers_below(inputs):
    ours, paper = left_out_tables(inputs, SIMCSE)
    found = rows(ours)
    assert [cell.text for cell in ours.head[0][1:]] == ["without SEN", "without PAR", "without SIM"]
    assert list(found) == ["SEN", "PAR", "SIM"]
    # The diagonal is compared with probing, the rest with training all tasks.
    own = scores(inputs, "without-SEN", "SEN") - scores(inputs, "probe", "SEN")
    other = scores(inputs, "without-SEN", "PAR") - scores(inputs, "fine-tune", "PAR")
    assert f"({names.number(own.mean(), 3, signed=True)})" in found["SEN"][0].text
    assert f"({names.number(other.mean(), 3, signed=True)})" in found["PAR"][0].text
    assert "diagonal" in found["SEN"][0].look
    assert "diagonal" not in found["PAR"][0].look
    # As in the paper's table 2, but for two of its diagonal, see the cautions.
    told = rows(paper)
    assert [cell.text for cell in told["SEN"]] == [
        "0.278 (−0.108)",
        "0.495 (+0.001)",
        "0.501 (+0.007)",
    ]
    assert [cell.text for cell in told["SIM"]] == [
        "0.395 (+0.025)",
        "0.357 (−0.013)",
        "−0.064 (−0.368)",
    ]


def test_without_left_out_tasks_there_is_no_matrix(tmp_path):
    study = arms_study({"fine-tune": {}, "probe": ARMS["probe"]}, counterparts={})
    assert left_out_tables(load_inputs(arms_tables(tmp_path, study), study), SIMCSE) == []


def test_the_papers_tables_stand_beside_ours_row_by_row(inputs):
    found = beside_study(inputs, inputs.study, make_checks())
    first = found.tables[0]
    line = rows(first)["round-robin, linear probe"]
    assert [cell.text for cell in line[:4]] == ["0.386", "0.694", "0.304", "0.461"]
    # To "round-robin, fine-tune" on dev, not on test, which is printed, too.
    assert [cell.sub for cell in line[:4]] == ["−0.108", "−0.129", "−0.066", "−0.101"]
    assert line[4].text == "probe"
    gap = scores(inputs, "probe", "PAR") - scores(inputs, "fine-tune", "PAR")
    ends = [names.number(float(x), 3, signed=True) for x in (gap.mean(), *t_interval(gap, 0.95))]
    assert line[6].text == names.score(scores(inputs, "probe", "PAR").mean())
    assert line[6].sub == "{} ({} to {})".format(*ends)
    mean = np.mean([scores(inputs, "probe", task) for task in ("SEN", "PAR", "SIM")])
    assert line[8].text == names.score(mean)
    base = rows(first)["round-robin, fine-tune"]
    assert all(cell.sub == "" for cell in base)
    # What has no counterpart stands there with the paper's numbers alone.
    alone = rows(first)["SimCSE then round-robin, fine-tune"]
    assert alone[0].text == "0.487"
    assert {cell.text for cell in alone[4:]} == {names.DASH}
    assert [bool(table.note) for table in found.tables] == [False, False, True]


def test_a_study_without_counterparts_says_so(tmp_path):
    study = arms_study(counterparts={})
    found = beside_study(load_inputs(arms_tables(tmp_path, study), study), study, {})
    assert any("report.counterparts" in note for note in found.notes)


def test_the_page_has_all_sections_and_folds_the_arms(tmp_path):
    study = arms_study(title=SCRIPT)
    table = arms_tables(tmp_path / "t", study)
    build_figures(table, tmp_path / "f", study)
    page = build_report(table, tmp_path / "f", tmp_path / "r.html", study).read_text("utf-8")
    for anchor in ("named-arms", "left-out", "published", "overfitting", "arms"):
        assert page.count(f'id="{anchor}"') == 1
        assert f'href="#{anchor}"' in page
    assert page.count('<details class="variant"') == len(ARMS)
    assert "<script" not in page
    # Without single tasks nothing speaks of changes to them.
    assert "no change can be computed" not in page.split('id="arms"')[0]
    assert not re.search(r'id="figure-(heatmap|pairings|forest)', page)


def test_a_sweep_keeps_its_page(tmp_path):
    study = arms_study()
    swept = study.model_copy(update={"arms": {}, "report": study.report.model_copy(
        update={"counterparts": {}, "published": None})})  # fmt: skip
    table = arms_tables(tmp_path / "t", study)
    page = build_report(table, no_figures(tmp_path / "f"), tmp_path / "r.html", swept)
    text = page.read_text("utf-8")
    assert 'id="arms"' not in text
    assert '<nav aria-label="Variants">' in text


def test_the_rows_told_are_those_that_are_trained_on(tmp_path):
    study = arms_study({"fine-tune": {"train_rows": {"SEN": 100}}, "probe": {"freeze_trunk": True}})
    found = beside_study(load_inputs(arms_tables(tmp_path, study), study), study, make_checks())
    assert "training rows: SEN 100" in found.notes[0]
    assert "8,544" not in found.notes[0]
