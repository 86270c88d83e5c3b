"""How the weights of the tasks move over training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from weightwise.analysis.training_time import add_bins

VARIES = 1e-9
COLUMNS = ["task", "bin", "begin", "end", "steps", "weight", "share", "share_sd"]


def weights_of_run(steps: pd.DataFrame) -> pd.DataFrame:
    """The columns of `tables.Weights` from `task` on, of one run's `tables.Steps`.

    The share of a task is its weight divided by the sum of all tasks' weights in that step, so
    that combiners of different scale can be compared; 1 / K is equal. It does not exist in steps
    whose weights sum to zero or less.
    """
    total = steps.groupby("step")["weight"].transform("sum")
    rows = steps.assign(share=steps["weight"] / total.where(total > 0))
    count = steps["step"].nunique()
    rows = add_bins(rows, count, count)
    found = rows.groupby(["task", "bin", "begin", "end"], sort=False).agg(
        steps=("step", "size"),
        weight=("weight", "mean"),
        share=("share", "mean"),
        share_sd=("share", "std"),
    )
    return found.reset_index()[COLUMNS]


def weights_vary(steps: pd.DataFrame) -> bool:
    """Whether some task's weight differs between two steps."""
    spread = steps.groupby("task")["weight"].agg(np.ptp)
    return bool((spread > VARIES).any())
