"""What runs record of their gradients, with answers that are known beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from weightwise.analysis.gradients import RunSteps


def run_steps(scores: pd.DataFrame, steps: int = 20, blocks: int = 2) -> Iterator[RunSteps]:
    """What the runs of two or more tasks recorded: cosines of every two tasks are -0.5 in the
    first half and 0.5 after; the first task's gradient is twice as long; PCGrad acts where there is
    a conflict, and MGDA takes the longer gradient for half of what the other counts."""
    real = scores[scores["alias_of"].isna() & (scores["combiner"] != "baseline")]
    for row in real.drop_duplicates("run").itertuples():
        names = row.group.split("+")
        lengths = np.array([2.0, *[1.0] * (len(names) - 1)])
        own, products = [], []
        for step in range(1, steps + 1):
            cosine = -0.5 if step <= steps / 2 else 0.5
            gramian = np.outer(lengths, lengths) * np.where(np.eye(len(names)), 1, cosine)
            weights = _weights(row, lengths, conflict=cosine < 0)
            turn = weights @ gramian.sum(1)
            turn /= np.sqrt(weights @ gramian @ weights * gramian.sum())
            own += [
                {
                    "step": step,
                    "epoch": 1,
                    "task": name,
                    "loss": 1.0 / step,
                    "weight": weight,
                    "cosine": cosine,
                    "update_cosine": min(1.0, turn),
                    "acted": row.combiner in ("pcgrad", "mgda") and len(set(weights)) > 1,
                }
                for name, weight in zip(names, weights, strict=True)
            ]
            for block in ("all", "embeddings", *(f"layer_{i}" for i in range(blocks))):
                products += [
                    {
                        "step": step,
                        "epoch": 1,
                        "block": block,
                        "first": names[i],
                        "second": names[j],
                        "product": gramian[i, j],
                    }
                    for i in range(len(names))
                    for j in range(i, len(names))
                ]
        guessed = {"task": names[0], "split": "dev", "row": [0, 1], "label": 1.0, "prediction": 1.0}
        yield RunSteps(
            group=row.group,
            combiner=row.combiner,
            alpha=row.alpha,
            variant=row.variant,
            seed=row.seed,
            run=row.run,
            steps=pd.DataFrame(own),
            gramians=pd.DataFrame(products),
            predictions=pd.DataFrame(guessed | {"confidence": np.nan}),
        )


def _weights(row: Any, lengths: np.ndarray, conflict: bool) -> np.ndarray:
    if row.combiner == "unitary":
        return np.array([float(row.alpha), 1 - float(row.alpha)])
    if row.combiner == "pcgrad" and conflict:
        return 1 + 0.5 * lengths[::-1] / lengths
    return 1 / lengths if row.combiner == "mgda" else np.ones(len(lengths))
