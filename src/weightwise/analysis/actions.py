"""What a combiner did: how often it acted, how far it turned the update, whether it was another."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from weightwise.analysis.labels import combiner_rank

TURNED = 1e-6
"""A cosine with the plain sum that lies farther than this below 1, an angle of 0.08 degrees, is
another direction."""
PLACE = ["group", "variant", "seed"]


def action_of_run(steps: pd.DataFrame) -> dict[str, Any]:
    """The columns of `tables.Actions` that one run's `tables.Steps` decides.

    `known` are the steps whose cosines are known: all of them under a combiner that separates the
    gradients, the recorded ones under fixed weights. Fixed weights never act, since they do not
    look at the gradients, but unequal ones turn the update all the same.
    """
    by_step = steps.groupby("step", sort=True).agg(
        cosine=("cosine", "min"), update=("update_cosine", "first"), acted=("acted", "any")
    )
    cosine, update = by_step["cosine"].dropna(), by_step["update"].dropna()
    turned = update < 1 - TURNED
    return {
        "steps": len(by_step),
        "known": len(cosine),
        "conflict": float((cosine < 0).mean()) if len(cosine) else np.nan,
        "acted": float(by_step["acted"].mean()),
        "turned": float(turned.mean()) if len(update) else np.nan,
        "update_cosine": float(update.mean()) if len(update) else np.nan,
        "inactive": not by_step["acted"].any() and not turned.any(),
    }


def trace_of_run(steps: pd.DataFrame, predictions: pd.DataFrame) -> str:
    """A digest of what a run did: losses and weights of every step, and its predictions.

    Two runs with one trace are the same run to the byte: no result tells their combiners apart.
    """
    state = hashlib.sha256()
    for frame, names, numbers in (
        (steps, ("task",), ("step", "loss", "weight")),
        (predictions, ("task", "split"), ("row", "prediction", "confidence")),
    ):
        for column in names:
            state.update("\0".join(frame[column].astype(str)).encode())
        for column in numbers:
            state.update(np.ascontiguousarray(frame[column].to_numpy(dtype=np.float64)).tobytes())
    return state.hexdigest()


def identical_runs(actions: pd.DataFrame, traces: list[str]) -> list[int | None]:
    """For every run the position of the simplest arm's run that is the same to the byte.

    Args:
        actions: one row per run, with the columns that name its arm, `group`, `variant`, `seed`.
        traces: their digests, in the same order.

    Returns:
        None for a run that is like no other, and for the simplest of those that are alike:
        addition, then unitary, then PCGrad, then as the study names them.
    """
    frame = actions.reset_index(drop=True).assign(trace=traces)
    found: list[int | None] = [None] * len(frame)
    for _, alike in frame.groupby([*PLACE, "trace"], sort=False):
        order = sorted(alike.index, key=lambda i: (combiner_rank(frame.at[i, "combiner"]), i))
        for index in order[1:]:
            found[index] = order[0]
    return found
