"""Do the tasks' gradients conflict? Their cosine and length ratio by layer block and time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from weightwise.analysis.training_time import add_bins

ALL = "all"
"""The block of the whole encoder, as `train.gramian` calls it (which needs torch)."""
PAIR = ["block", "first", "second"]
COLUMNS = [*PAIR, "bin", "begin", "end", "steps", "cosine", "log_ratio", "negative"]


def recorded_steps(gramians: pd.DataFrame) -> np.ndarray:
    """The steps that were recorded by layer block, ascending."""
    return np.sort(gramians.loc[gramians["block"] != ALL, "step"].unique())


def conflicts_of_run(gramians: pd.DataFrame, total: int) -> pd.DataFrame:
    """The columns of `tables.Conflicts` from `block` on, of one run.

    cos(g_i, g_j) = G_ij / sqrt(G_ii G_jj) in every recorded step, then the mean over the steps of
    a bin; a step in which either gradient is zero, or was not seen because its weight is zero,
    does not count.

    Args:
        gramians: `tables.Gramians` of the run.
        total: steps of the run.

    Returns:
        One row per pair, block and bin; none where nothing was recorded or the run has one task.
    """
    pairs = gramians[gramians["first"] != gramians["second"]]
    if pairs.empty:
        return pd.DataFrame(columns=COLUMNS)
    rows = pairs
    own = gramians[gramians["first"] == gramians["second"]]
    for side in ("first", "second"):
        squares = own[["step", "block", "first", "product"]].rename(
            columns={"first": side, "product": f"square_{side}"}
        )
        rows = rows.merge(squares, on=["step", "block", side], how="left")
    squares = rows["square_first"] * rows["square_second"]
    there = (squares > 0) & rows["product"].notna()
    lengths = np.sqrt(squares.where(there))
    cosine = (rows["product"] / lengths).clip(-1, 1)
    rows = rows.assign(
        there=there,
        cosine=cosine,
        log_ratio=np.log(rows["square_first"].where(there) / rows["square_second"]) / 2,
        negative=(cosine < 0).astype(float).where(there),
    )
    rows = add_bins(rows, total, len(recorded_steps(gramians)))
    found = rows.groupby([*PAIR, "bin", "begin", "end"], sort=False).agg(
        steps=("there", "sum"),
        cosine=("cosine", "mean"),
        log_ratio=("log_ratio", "mean"),
        negative=("negative", "mean"),
    )
    return found.reset_index()[COLUMNS]
