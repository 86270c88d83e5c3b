"""Curves of a run: bins of steps, epochs as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from weightwise.analysis.learning import MOST_BINS, learning_of_run
from weightwise.tables import QUANTITIES, Epochs, Steps, check, empty


def steps_of(losses: dict[str, np.ndarray]) -> pd.DataFrame:
    rows = [
        {
            "step": step,
            "epoch": 1,
            "task": task,
            "loss": loss,
            "weight": 1.0,
            "cosine": None,
            "update_cosine": None,
            "acted": False,
        }
        for task, values in losses.items()
        for step, loss in enumerate(values, start=1)
    ]
    return check(pd.DataFrame(rows), Steps, "steps")


def epochs_of(task: str, count: int, splits=("dev", "test")) -> pd.DataFrame:
    rows = [
        {
            "epoch": epoch,
            "task": task,
            "split": split,
            "metric": "accuracy",
            "score": None if epoch == 1 else 0.1 * epoch,
            "loss": (10.0 if split == "dev" else 20.0) + epoch,
            "train_loss": 5.0 / epoch,
            "best": True,
        }
        for epoch in range(1, count + 1)
        for split in splits
    ]
    return check(pd.DataFrame(rows), Epochs, "epochs")


def test_epochs_are_those_of_dev():
    found = learning_of_run(epochs_of("SEN", 3), steps_of({"SEN": np.ones(4)}))
    assert set(found["quantity"]) == set(QUANTITIES)
    by = {q: list(rows["value"]) for q, rows in found.groupby("quantity")}
    assert by["dev_loss"] == [11.0, 12.0, 13.0]
    assert by["train_loss"] == [5.0, 2.5, 5.0 / 3]
    assert by["dev_score"][1:] == pytest.approx([0.2, 0.3])
    assert np.isnan(by["dev_score"][0])
    positions = found.loc[found["quantity"] == "dev_loss", "position"]
    assert list(positions) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("count", [1, MOST_BINS - 1, MOST_BINS, MOST_BINS + 1, 1000])
def test_bins_are_of_nearly_equal_numbers_of_consecutive_steps(count):
    """Against bins written out one by one, for two tasks of other losses."""
    losses = {task: np.random.default_rng(i).normal(size=count) for i, task in enumerate("AB")}
    found = learning_of_run(empty(Epochs), steps_of(losses))
    bins = min(count, MOST_BINS)
    places = [[] for _ in range(bins)]
    for step in range(count):
        places[step * bins // count].append(step)
    assert max(map(len, places)) - min(map(len, places)) <= 1
    for task, values in losses.items():
        rows = found[found["task"] == task]
        assert list(rows["value"]) == pytest.approx([values[p].mean() for p in places])
        assert list(rows["position"]) == pytest.approx([np.mean(p) + 1 for p in places])


def test_a_run_without_steps_has_no_curve():
    assert learning_of_run(empty(Epochs), empty(Steps)).empty
