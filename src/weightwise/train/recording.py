"""What a step did, as rows of a run's tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weightwise.train.engine import StepRecord


def step_rows(tasks: Sequence[str], record: StepRecord, step: int, epoch: int) -> list[dict]:
    """Rows of the schema Steps, one per task in the order of `tasks`."""
    return [
        {
            "step": step,
            "epoch": epoch,
            "task": task,
            "loss": float(record.losses[k]),
            "weight": float(record.weights[k]),
            "cosine": float(record.cosines[k]),
            "update_cosine": record.update_cosine,
            "acted": record.acted,
        }
        for k, task in enumerate(tasks)
    ]


def regulariser_rows(tasks: Sequence[str], record: StepRecord, step: int, epoch: int) -> list[dict]:
    """Rows of the schema Regularisers: of the tasks that have a term, in the order of `tasks`."""
    rows = []
    for k, task in enumerate(tasks):
        terms = {name: float(values[k]) for name, values in record.regularisers.items()}
        if not all(np.isnan(value) for value in terms.values()):
            rows.append({"step": step, "epoch": epoch, "task": task} | terms)
    return rows


def gramian_rows(tasks: Sequence[str], record: StepRecord, step: int, epoch: int) -> list[dict]:
    """Rows of the schema Gramians: of every recorded block the products of tasks i <= j."""
    return [
        {
            "step": step,
            "epoch": epoch,
            "block": block,
            "first": tasks[i],
            "second": tasks[j],
            "product": float(gramian[i, j]),
        }
        for block, gramian in record.gramians.items()
        for i, j in zip(*np.triu_indices(len(tasks)), strict=True)
    ]
