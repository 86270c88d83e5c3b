"""Training time in bins: where in a run a step lies, the same for runs of any length."""

from __future__ import annotations

import numpy as np
import pandas as pd

BINS = 10


def add_bins(frame: pd.DataFrame, total: int, recorded: int) -> pd.DataFrame:
    """The frame with `bin` (from 1), `begin` and `end` (shares of the run, 0 to 1) of its `step`.

    A run of `total` steps is cut into min(BINS, recorded) bins of equal length. Steps that are
    recorded at a fixed distance, from the first on, then leave no bin empty.

    Args:
        frame: with a column `step`, from 1 to total.
        total: steps of the run.
        recorded: how many of them have something to show.
    """
    count = max(1, min(BINS, recorded))
    place = (frame["step"].to_numpy(dtype=np.int64) - 1) * count // total
    return frame.assign(bin=place + 1, begin=place / count, end=(place + 1) / count)
