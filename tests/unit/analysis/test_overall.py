"""Overall scores, both ways, with rows of one run joined exactly."""

import numpy as np
import pytest

from weightwise.analysis.overall import overall_scores


def test_rows_of_a_pair_meet_at_a_and_one_minus_a(row, scores):
    rows = [
        row("SEN", "SEN", "baseline", 0.5),
        row("SIM", "SIM", "baseline", 0.8),
        row("SEN", "SEN+SIM", "unitary", 0.6, "0.1"),
        row("SIM", "SEN+SIM", "unitary", 0.2, "0.9"),
        row("SIM", "SEN+SIM", "unitary", 0.7, "0.1"),
        row("SEN", "SEN+SIM", "addition", 0.55),
        row("SIM", "SEN+SIM", "addition", 0.75),
    ]
    found = overall_scores(scores(rows)).set_index("combiner")
    assert found.loc["unitary", "alpha"] == "0.1"
    assert found.loc["unitary", "mean_raw"] == pytest.approx(0.4)
    assert found.loc["unitary", "mean_mapped"] == pytest.approx((0.6 + 0.6) / 2)
    assert found.loc["baseline", "mean_raw"] == pytest.approx(0.65)
    assert found.loc["addition", "mean_mapped"] == pytest.approx((0.55 + 0.875) / 2)
    assert len(found) == 3
    assert np.isnan(found.loc["addition", "mean_mapped_low"])


def test_the_interval_is_over_seeds_with_every_task(row, scores):
    rows = []
    for seed, value in enumerate([0.5, 0.6, 0.7]):
        rows.append(row("SEN", "SEN+PAR", "pcgrad", value, seed=seed))
        rows.append(row("PAR", "SEN+PAR", "pcgrad", value if seed else None, seed=seed))
    found = overall_scores(scores(rows)).iloc[0]
    assert found["seeds"] == 2
    assert found["mean_raw"] == pytest.approx(0.65)
    assert found["mean_mapped_low"] == pytest.approx(0.65 - 12.7062 * 0.05, rel=1e-4)


def test_larger_groupings_join_by_all_weights_or_by_run(row, scores):
    group, tasks, own = "SEN+PAR+SIM", ("SEN", "PAR", "SIM"), ("0.5", "0.25", "0.25")
    full = [row(t, group, "unitary", 0.5, ",".join(own)) for t in tasks]
    assert overall_scores(scores(full))["alpha"].tolist() == ["0.5,0.25,0.25"]
    cells = list(zip(tasks, own, strict=True))
    by_run = [row(t, group, "unitary", 0.5, a, run="abc") for t, a in cells]
    assert overall_scores(scores(by_run))["alpha"].tolist() == ["0.5,0.25,0.25"]
    assert overall_scores(scores([r | {"run": None} for r in by_run])).empty


def test_leaderboard_names_and_single_tasks_have_no_overall(row, scores):
    assert overall_scores(scores([row("SEN", "best", "best", 0.5)])).empty
    assert overall_scores(scores([row("SEN", "SEN", "baseline", 0.5)])).empty
