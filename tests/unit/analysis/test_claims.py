"""What is claimed of tasks and pairings: true, one for all, and counted in seeds."""

import numpy as np
import pandas as pd
import pytest

from weightwise.analysis.chosen import chosen_arms
from weightwise.analysis.claims import answer, claims, gains, wanted_cells
from weightwise.analysis.intervals import summarise_arms
from weightwise.analysis.relative_change import relative_changes
from weightwise.analysis.run import analyse
from weightwise.analysis.scores import read_scores
from weightwise.figures.inputs import load_inputs
from weightwise.published import published_path
from weightwise.report import verdict


def claimed(table, smallest=1.0):
    arms = summarise_arms(relative_changes(table), smallest=smallest)
    return claims(arms, smallest)


def arm_rows(row, values, combiner="addition", group="SEN+PAR", **more):
    return [row("SEN", group, combiner, v, seed=s, **more) for s, v in enumerate(values)]


def baselines(row, values=(0.5, 0.5, 0.5), split="dev"):
    return arm_rows(row, values, "baseline", "SEN", split=split)


def test_the_best_arms_of_the_paper():
    best = claimed(read_scores(published_path("pairing_absolute")))
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
    assert answer(best[(best["variant"] == "appendix_b") & (best["task"] == "SEN")]).verdict == (
        "one seed"
    )
    assert "equally good: SEN+SIM" in paper.loc[("SEN", "SEN+PAR"), "reason"]
    assert paper["reason"].str.contains("optimistic: selected on dev").all()
    board = best[best["variant"] == "leaderboard_test"]
    assert set(board["verdict"]) == {"not comparable"}
    assert not board["speaks"].any()


def test_dev_chooses_and_test_reports(row, scores):
    rows = baselines(row) + baselines(row, split="test")
    rows += arm_rows(row, [0.55, 0.56, 0.57]) + arm_rows(row, [0.52, 0.53, 0.51], "pcgrad")
    rows += arm_rows(row, [0.5, 0.52, 0.49], split="test")
    rows += arm_rows(row, [0.51, 0.53, 0.48], "pcgrad", split="test")
    best = claimed(scores(rows)).iloc[0]
    assert (best["combiner"], best["judged"]) == ("addition", "test")
    assert best["dev_change"] == pytest.approx(12)
    assert best["test_change"] == pytest.approx(100 * (1.51 / 1.5 - 1))
    assert best["low"] < 0 < best["high"]
    assert best["verdict"] == "not decided"
    assert best["reason"].startswith("not decided: +12.00 % on dev, +0.67 % on test, test interval")
    assert f"3 seeds see changes of {best['visible']:.2g} % or more" in best["reason"]
    assert "optimistic" not in best["reason"]


def test_a_pairing_gains_by_an_arm_that_was_not_the_best_on_dev(row, scores):
    rows = baselines(row) + baselines(row, split="test")
    rows += arm_rows(row, [0.60, 0.61, 0.62]) + arm_rows(row, [0.58, 0.581, 0.582], "pcgrad")
    rows += arm_rows(row, [0.45, 0.55, 0.51], split="test")
    rows += arm_rows(row, [0.6, 0.601, 0.602], "pcgrad", split="test")
    best = claimed(scores(rows)).iloc[0]
    assert (best["verdict"], best["combiner"]) == ("gain", "pcgrad")
    assert (best["arms"], best["gains"], best["losses"]) == (2, 1, 0)
    assert "1 of 2 arms survive" in best["reason"]


def test_without_test_a_gain_is_called_optimistic(row, scores):
    best = claimed(scores(baselines(row) + arm_rows(row, [0.6, 0.601, 0.602]))).iloc[0]
    assert best["verdict"] == "gain"
    assert best["reason"].endswith("optimistic: selected on dev")


def test_a_table_of_test_scores_only_says_so(row, scores):
    rows = baselines(row, split="test") + arm_rows(row, [0.6, 0.601, 0.602], split="test")
    best = claimed(scores(rows)).iloc[0]
    assert best["reason"].endswith("optimistic: selected on test")
    assert best["test_change"] > 0
    assert pd.isna(best["dev_change"])


def test_ties_go_to_the_simpler_method_and_aliases_are_passed_over(row, scores):
    rows = baselines(row)
    values = [0.49, 0.53, 0.54]
    rows += arm_rows(row, values, "pcgrad")
    rows += arm_rows(row, values, "unitary", alpha="0.5", alias_of="addition")
    rows += arm_rows(row, values, "unitary", alpha="0.4")
    assert claimed(scores(rows)).iloc[0]["alpha"] == "0.5"  # its original is not in the table
    rows += arm_rows(row, values)
    rows += arm_rows(row, values, group="SEN+SIM+PAR")
    best = claimed(scores(rows))
    assert list(best["combiner"]) == ["addition", "addition"]
    assert list(best["speaks"]) == [True, False]


def test_a_chosen_arm_without_test_score_is_not_comparable(row, scores):
    rows = baselines(row) + baselines(row, split="test") + arm_rows(row, [0.6, 0.601, 0.602])
    rows += arm_rows(row, [0.5, 0.52, 0.49], group="SEN+SIM", split="test")
    rows += arm_rows(row, [0.5, 0.52, 0.49], group="SEN+SIM")
    best = claimed(scores(rows)).set_index("group")
    assert best.loc["SEN+PAR", "verdict"] == "not comparable"
    assert "but no test score" in best.loc["SEN+PAR", "reason"]
    assert best.loc["SEN+SIM", "speaks"]


def test_a_lucky_arm_of_one_seed_is_not_chosen(row, scores):
    rows = baselines(row, [0.5] * 5)
    rows += arm_rows(row, [0.51, 0.49, 0.52, 0.5, 0.5])
    rows += arm_rows(row, [0.7], "pcgrad")
    best = claimed(scores(rows)).iloc[0]
    assert (best["combiner"], best["seeds"], best["verdict"]) == ("addition", 5, "not decided")


def test_training_alone_is_said_only_where_it_is_shown(row, scores):
    def told(spread, shift=0.0):
        steps = np.array([-1, -0.5, 0, 0.5, 1])
        rows = baselines(row, [0.5] * 5)
        rows += arm_rows(row, 0.5 * (1 + shift + spread * steps))
        rows += arm_rows(row, 0.5 * (1 + shift - spread * steps), "pcgrad")
        return answer(claimed(scores(rows))).verdict

    assert told(0.004) == "alone"
    assert told(0.004, -0.05) == "alone"
    assert told(0.05) == "not decided"
    assert told(0.05, -0.03) == "not decided"
    assert told(0.004, 0.05) == "gain"


def test_one_wide_arm_keeps_a_task_undecided(row, scores):
    rows = baselines(row, [0.5] * 4) + arm_rows(row, [0.5, 0.501, 0.499, 0.5])
    assert answer(claimed(scores(rows))).verdict == "alone"
    rows += arm_rows(row, [0.45, 0.55, 0.5, 0.52], "pcgrad")
    found = claimed(scores(rows))
    assert found.iloc[0]["verdict"] == answer(found).verdict == "not decided"


def test_wanted_cells_are_baselines_and_speaking_arms(study):
    cells = wanted_cells(claimed(study()))
    assert len(cells) == 9
    assert list(cells["combiner"]).count("baseline") == 3
    assert list(cells["task"]) == ["SEN"] * 3 + ["PAR"] * 3 + ["SIM"] * 3
    assert cells["alpha"].iloc[0] is None


def some_study(generator, row, scores):
    """A study of random truths: gains, losses, nothing; some runs lost; one or several seeds."""
    rng = np.random.default_rng(generator)
    tasks, seeds = ["SEN", "PAR", "SIM"], int(rng.integers(1, 7))
    splits = ["dev", "test"] if rng.random() < 0.7 else ["dev"]
    noise = 10 ** rng.uniform(-3.5, -1.5)
    rows = []
    for task in tasks:
        base = rng.normal(0.6, noise, seeds)
        for split in splits:
            rows += [
                row(task, task, "baseline", b, seed=s, split=split) for s, b in enumerate(base)
            ]
        for other in tasks:
            if other == task:
                continue
            group = "+".join(sorted((task, other), key=tasks.index))
            shift = rng.choice([-0.03, 0, 0, 0.03]) * rng.random()
            for combiner, alpha in (("addition", None), ("pcgrad", None), ("unitary", "0.3")):
                run = base * (1 + shift) + rng.normal(0, noise, seeds)
                kept = rng.random(seeds) > (0.5 if rng.random() < 0.3 else 0.0)
                for split in splits:
                    measured = run + rng.normal(0, noise / 2, seeds)
                    rows += [
                        row(task, group, combiner, measured[s], alpha, seed=s, split=split)
                        for s in range(seeds)
                        if kept[s]
                    ]
    return scores(rows)


@pytest.mark.parametrize("generator", range(24))
def test_no_page_contradicts_itself(generator, row, scores, tmp_path):
    """Tables, answer, headline, cards and the arm of submissions and errors say one thing."""
    table = some_study(generator, row, scores)
    found = analyse(table, tmp_path)
    inputs = load_inputs(tmp_path)
    headline = verdict.headline(inputs, "default")
    chosen = chosen_arms(table, claimed=gains(found["best"])).set_index(["role", "task"])
    for card in verdict.cards(inputs, "default"):
        task = card.task
        own = found["best"][found["best"]["task"] == task]
        told = answer(own)
        arms = found["arms"][(found["arms"]["task"] == task)]
        arms = arms[arms["combiner"] != "baseline"]
        judged = arms[arms["split"] == ("test" if (arms["split"] == "test").any() else "dev")]
        # A gain is claimed exactly where an arm survives on the judging split.
        assert (told.verdict == "gain") == (judged["verdict"] == "gain").any()
        assert (f"{task} gains when trained with" in headline) == (told.verdict == "gain")
        assert (card.look == "gain") == (told.verdict == "gain")
        assert card.advice.startswith(f"Train {task} with") == (told.verdict == "gain")
        assert card.advice.startswith(f"Train {task} alone") == (told.verdict == "alone")
        shown = own[own["verdict"] == "gain"]
        assert set(shown["group"]) == set(judged.loc[judged["verdict"] == "gain", "group"])
        if told.verdict == "gain":
            best = chosen.loc[("best", task)]
            assert (best["group"], best["combiner"]) == (told.row["group"], told.row["combiner"])
        if told.verdict == "alone":
            assert (judged["verdict"] != "gain").all()
            assert (judged["change"] < 1).all()
        if told.verdict == "one seed":
            assert (judged["seeds"] < 2).all()
        elif told.row is not None and told.verdict != "gain":
            assert told.row["seeds"] == judged["seeds"].max()
