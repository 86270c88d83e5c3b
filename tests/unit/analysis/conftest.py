"""Small tables of scores for the tests of the analysis."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from weightwise.tables import Scores, check

sys.path.insert(0, str(Path(__file__).parent))

METRICS = {"SEN": "accuracy", "PAR": "accuracy", "SIM": "pearson"}


def score_row(task, group, combiner, score, alpha=None, **more):
    row = {
        "task": task,
        "metric": METRICS.get(task, "accuracy"),
        "group": group,
        "combiner": combiner,
        "alpha": alpha,
        "variant": "default",
        "seed": 0,
        "split": "dev",
        "score": score,
        "epoch": None,
        "run": None,
        "alias_of": None,
    }
    return row | more


def as_scores(rows):
    return check(pd.DataFrame(rows), Scores, "scores")


def study_rows(seeds=4, noise=0.01, generator=0, tasks=("SEN", "PAR", "SIM"), splits=("dev",)):
    """A study of all pairs: addition, nine alphas with 0.5 run as addition, pcgrad."""
    rng = np.random.default_rng(generator)
    rows = []
    for split in splits:
        for seed in range(1, seeds + 1):
            for task in tasks:
                rows.append(
                    score_row(
                        task,
                        task,
                        "baseline",
                        0.6 + noise * rng.normal(),
                        seed=seed,
                        split=split,
                        run=f"{task}-{seed}",
                    )
                )
            for i, first in enumerate(tasks):
                for second in tasks[i + 1 :]:
                    rows += _pair_rows(first, second, seed, split, noise, rng)
    return rows


def _pair_rows(first, second, seed, split, noise, rng):
    group, rows = f"{first}+{second}", []
    added = {}
    for task in (first, second):
        added[task] = 0.6 + noise * rng.normal()
        common = {"seed": seed, "split": split}
        name = f"{group}-{seed}"
        rows.append(score_row(task, group, "addition", added[task], run=f"{name}-add", **common))
        score = 0.6 + noise * rng.normal()
        rows.append(score_row(task, group, "pcgrad", score, run=f"{name}-pcgrad", **common))
    for step in range(1, 10):
        alpha = Decimal(step) / 10
        for task, own in ((first, alpha), (second, 1 - alpha)):
            alias = "addition" if step == 5 else None
            score = added[task] if alias else 0.6 + noise * rng.normal()
            run = f"{group}-{seed}-" + ("add" if alias else str(alpha))
            rows.append(
                score_row(
                    task,
                    group,
                    "unitary",
                    score,
                    str(own),
                    seed=seed,
                    split=split,
                    run=run,
                    alias_of=alias,
                )
            )
    return rows


@pytest.fixture
def row():
    return score_row


@pytest.fixture
def scores():
    return as_scores


@pytest.fixture
def study():
    return lambda **keys: as_scores(study_rows(**keys))
