"""The best arm per grouping: dev chooses, test reports."""

import pytest

from weightwise.analysis.best import best_arms, wanted_cells
from weightwise.analysis.intervals import summarise_arms
from weightwise.analysis.relative_change import relative_changes
from weightwise.analysis.scores import read_scores
from weightwise.published import published_path


def best_of(table):
    return best_arms(summarise_arms(relative_changes(table)))


def arm_rows(row, values, combiner="addition", group="SEN+PAR", **more):
    return [row("SEN", group, combiner, v, seed=s, **more) for s, v in enumerate(values)]


def baselines(row, values=(0.5, 0.5, 0.5), split="dev"):
    return arm_rows(row, values, "baseline", "SEN", split=split)


def test_the_best_arms_of_the_paper():
    best = best_of(read_scores(published_path("pairing_absolute")))
    paper = best[best["variant"] == "appendix_b"].set_index(["task", "group"])
    expected = {
        ("SEN", "SEN+PAR"): ("unitary", "0.4", 1.35),
        ("SEN", "SEN+SIM"): ("unitary", "0.9", 1.35),
        ("PAR", "PAR+SIM"): ("unitary", "0.6", 1.56),
        ("PAR", "SEN+PAR"): ("unitary", "0.7", 0.60),
        ("SIM", "PAR+SIM"): ("unitary", "0.8", 0.11),
    }
    for cell, (combiner, alpha, change) in expected.items():
        assert (paper.loc[cell, "combiner"], paper.loc[cell, "alpha"]) == (combiner, alpha)
        assert round(paper.loc[cell, "dev_change"], 2) == change
    # The paper: SEN+SIM with loss addition equals the baseline.
    assert paper.loc[("SIM", "SEN+SIM"), "combiner"] == "addition"
    assert paper.loc[("SIM", "SEN+SIM"), "dev_change"] == 0
    assert set(paper["verdict"]) == {"one seed"}
    assert not best["recommended"].any()
    assert "equally good: SEN+SIM" in paper.loc[("SEN", "SEN+PAR"), "reason"]
    assert paper["reason"].str.contains("optimistic: selected on dev").all()
    board = best[best["variant"] == "leaderboard_test"]
    assert set(board["verdict"]) == {"not comparable"}
    assert not board["best_of_task"].any()


def test_dev_chooses_and_test_reports(row, scores):
    rows = baselines(row) + baselines(row, split="test")
    rows += arm_rows(row, [0.55, 0.56, 0.57]) + arm_rows(row, [0.52, 0.53, 0.51], "pcgrad")
    rows += arm_rows(row, [0.5, 0.52, 0.49], split="test")
    rows += arm_rows(row, [0.6, 0.601, 0.602], "pcgrad", split="test")
    best = best_of(scores(rows)).iloc[0]
    assert best["combiner"] == "addition"
    assert best["dev_change"] == pytest.approx(12)
    assert best["test_change"] == pytest.approx(100 * (1.51 / 1.5 - 1))
    assert best["test_low"] < 0 < best["test_high"]
    assert best["verdict"] == "no evidence yet"
    assert not best["recommended"]
    assert best["reason"].startswith(
        "no evidence yet: +12.00 % on dev, +0.67 % on test, test inter"
    )
    assert "seeds would be needed" in best["reason"]
    assert "optimistic" not in best["reason"]


def test_a_gain_is_recommended_and_without_test_called_optimistic(row, scores):
    rows = baselines(row) + arm_rows(row, [0.6, 0.601, 0.602])
    best = best_of(scores(rows)).iloc[0]
    assert best["verdict"] == "gain"
    assert best["recommended"]
    assert best["reason"].endswith("optimistic: selected on dev")


def test_a_table_of_test_scores_only_says_so(row, scores):
    rows = baselines(row, split="test") + arm_rows(row, [0.6, 0.601, 0.602], split="test")
    best = best_of(scores(rows)).iloc[0]
    assert best["reason"].endswith("optimistic: selected on test")
    assert best["test_change"] > 0


def test_ties_go_to_the_simpler_method_and_aliases_are_passed_over(row, scores):
    rows = baselines(row)
    values = [0.52, 0.53, 0.54]
    rows += arm_rows(row, values, "pcgrad")
    rows += arm_rows(row, values, "unitary", alpha="0.5", alias_of="addition")
    rows += arm_rows(row, values, "unitary", alpha="0.4")
    assert best_of(scores(rows)).iloc[0]["alpha"] == "0.5"  # its original is not in the table
    rows += arm_rows(row, values)
    rows += arm_rows(row, values, group="SEN+SIM+PAR")
    best = best_of(scores(rows))
    assert list(best["combiner"]) == ["addition", "addition"]
    assert list(best["best_of_task"]) == [True, False]


def test_a_chosen_arm_without_test_score_is_not_comparable(row, scores):
    rows = baselines(row) + baselines(row, split="test") + arm_rows(row, [0.6, 0.601, 0.602])
    rows += arm_rows(row, [0.5, 0.52, 0.49], "pcgrad", split="test")
    best = best_of(scores(rows)).iloc[0]
    assert best["verdict"] == "not comparable"
    assert "but no test score" in best["reason"]


def test_wanted_cells_are_baselines_and_best_arms(study):
    best = best_of(study())
    cells = wanted_cells(best)
    assert len(cells) == 9
    assert list(cells["combiner"]).count("baseline") == 3
    assert list(cells["task"]) == ["SEN"] * 3 + ["PAR"] * 3 + ["SIM"] * 3
    assert cells["alpha"].iloc[0] is None
