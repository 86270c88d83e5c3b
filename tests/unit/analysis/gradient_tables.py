"""Small tables of steps and inner products, written out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from weightwise.tables import Gramians, Predictions, Steps, check


def gramian_rows(
    cosines: Mapping[int, float],
    lengths: Sequence[float] = (2.0, 1.0),
    blocks: Sequence[str] = ("all", "embeddings", "layer_0"),
    tasks: Sequence[str] = ("SEN", "PAR"),
) -> pd.DataFrame:
    """Inner products of gradients of those lengths, every two of them at the step's cosine."""
    rows = []
    for step, cosine in cosines.items():
        for block in blocks:
            for i, first in enumerate(tasks):
                for j in range(i, len(tasks)):
                    product = lengths[i] * lengths[j] * (1.0 if i == j else cosine)
                    rows.append((step, 1, block, first, tasks[j], product))
    columns = ["step", "epoch", "block", "first", "second", "product"]
    return check(pd.DataFrame(rows, columns=columns), Gramians, "gramians")


def step_rows(
    weights: Sequence[Sequence[float]],
    cosines: Sequence[float] | None = None,
    update: Sequence[float] | None = None,
    acted: Sequence[bool] | None = None,
    tasks: Sequence[str] = ("SEN", "PAR"),
) -> pd.DataFrame:
    """Steps with those weights; None: not known, and nothing done."""
    count = len(weights)
    rows = [
        {
            "step": step + 1,
            "epoch": 1,
            "task": task,
            "loss": 1.0 / (step + 1),
            "weight": weights[step][k],
            "cosine": cosines[step] if cosines is not None else np.nan,
            "update_cosine": update[step] if update is not None else np.nan,
            "acted": bool(acted[step]) if acted is not None else False,
        }
        for step in range(count)
        for k, task in enumerate(tasks)
    ]
    return check(pd.DataFrame(rows), Steps, "steps")


def prediction_rows(values: Sequence[float] = (0.0, 1.0)) -> pd.DataFrame:
    """Predictions of one task."""
    rows = {
        "task": "SEN",
        "split": "dev",
        "row": range(len(values)),
        "label": 0.0,
        "prediction": values,
        "confidence": 0.5,
    }
    return check(pd.DataFrame(rows), Predictions, "predictions")
