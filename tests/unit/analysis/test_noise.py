"""The noise floor under claimed gains."""

import numpy as np
import pytest

from weightwise.analysis.intervals import summarise_arms
from weightwise.analysis.noise import noise_floor
from weightwise.analysis.relative_change import relative_changes
from weightwise.analysis.scores import read_scores
from weightwise.published import published_path


def floor(scores):
    return noise_floor(scores, summarise_arms(relative_changes(scores)))


def test_the_paper_gives_one_method_two_scores():
    found = floor(read_scores(published_path("pairing_absolute")))
    gaps = found[found["variant"] == "appendix_b"].set_index("task")["same_method_gap"]
    assert gaps.round(3).to_dict() == {"SEN": 0.011, "PAR": 0.002, "SIM": 0.003}
    assert found["pooled_sd"].isna().all()


def test_pooled_deviation_by_hand(row, scores):
    rows = [row("SEN", "SEN", "baseline", v, seed=s) for s, v in enumerate([0.5, 0.52])]
    for seed, value in enumerate([0.50, 0.53, 0.56]):
        rows.append(row("SEN", "SEN+PAR", "addition", value, seed=seed))
        rows.append(row("SEN", "SEN+PAR", "unitary", value, "0.5", seed=seed, alias_of="addition"))
    found = floor(scores(rows)).iloc[0]
    assert found["baseline"] == pytest.approx(0.51)
    assert found["baseline_sd"] == pytest.approx(0.02 / 2**0.5)
    pooled = ((0.0002 + 0.0018) / 3) ** 0.5
    assert found["pooled_sd"] == pytest.approx(pooled)
    # The changes of the two seeds with a baseline: 0 and 100 * (0.53 / 0.52 - 1).
    assert found["paired_sd"] == pytest.approx(100 * (0.53 / 0.52 - 1) / 2**0.5)
    assert found["seeds"] == 3
    assert np.isnan(found["same_method_gap"])


def test_scores_without_numbers_have_no_floor(row, scores):
    assert floor(scores([row("SEN", "SEN", "baseline", None)])).empty
