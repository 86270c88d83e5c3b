"""How a run learned: its losses and scores over steps and epochs, as rows to draw."""

from __future__ import annotations

import numpy as np
import pandas as pd

MOST_BINS = 40
"""Most points that a curve over steps is drawn with."""


def learning_of_run(epochs: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """Rows of `tables.Learning` without the columns that name the run.

    Args:
        epochs: `tables.Epochs` of the run; its dev rows count.
        steps: `tables.Steps` of the run.

    Returns:
        task, quantity (`tables.QUANTITIES`), position, value. The losses of steps are means over at
        most MOST_BINS bins of nearly equal numbers of consecutive steps, the same bins in every run
        of as many steps, so that seeds can be compared point by point.
    """
    dev = epochs[epochs["split"] == "dev"]
    parts = [
        pd.DataFrame(
            {
                "task": dev["task"],
                "quantity": quantity,
                "position": dev["epoch"].astype(float),
                "value": dev[column].astype(float),
            }
        )
        for quantity, column in (
            ("train_loss", "train_loss"),
            ("dev_loss", "loss"),
            ("dev_score", "score"),
        )
    ]
    return pd.concat([_binned(steps), *parts], ignore_index=True)


def _binned(steps: pd.DataFrame) -> pd.DataFrame:
    last = int(steps["step"].max()) if len(steps) else 0
    # Step s of n falls into bin floor((s - 1) * bins / n): whole numbers, the same everywhere.
    bins = (steps["step"].to_numpy(np.int64) - 1) * min(MOST_BINS, last) // max(1, last)
    means = (
        steps.assign(bin=bins)
        .groupby(["task", "bin"], sort=False)
        .agg(position=("step", "mean"), value=("loss", "mean"))
        .reset_index()
    )
    return means.assign(quantity="step_loss")[["task", "quantity", "position", "value"]]
