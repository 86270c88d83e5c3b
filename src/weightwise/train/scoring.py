"""Scores on a split: predictions of every example, the metric, the mean loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from weightwise.data.batches import Batch
from weightwise.model.multitask import MultiTaskModel


@dataclass(frozen=True)
class Scored:
    """Predictions of a split in its own order of rows, [n] each; `loss` is the mean over them.

    `confidence` is None for regression. `score` is NaN where it is undefined.
    """

    rows: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    confidence: np.ndarray | None
    score: float
    loss: float


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Share of equal classes, [0, 1]."""
    return float(np.mean(predictions == labels))


def pearson(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Pearson's r, [-1, 1]; NaN where either side is constant (then r is undefined): the mean of
    equal numbers need not be one of them, so what is left of a constant may be rounding alone."""
    if any(len(side) == 0 or side.min() == side.max() for side in (predictions, labels)):
        return float("nan")
    x = predictions.astype(np.float64) - predictions.mean(dtype=np.float64)
    y = labels.astype(np.float64) - labels.mean(dtype=np.float64)
    scale = np.sqrt((x @ x) * (y @ y))
    return float(np.clip(x @ y / scale, -1, 1)) if scale > 0 else float("nan")


METRICS = {"accuracy": accuracy, "pearson": pearson}


@torch.no_grad()
def score_split(model: MultiTaskModel, task: str, batches: list[Batch], metric: str) -> Scored:
    """Predict and score a split.

    Args:
        model: the model, which is not changed.
        task: name of the task.
        batches: the split's batches, every row once.
        metric: key of METRICS.
    """
    target = model.targets[task]
    parts: list[tuple[np.ndarray, np.ndarray | None]] = []
    labelled = all(bool(torch.isfinite(b.labels).all()) for b in batches)
    total = 0.0
    for batch in batches:
        outputs = model.outputs(task, batch)
        prediction, confidence = target.predict(outputs)
        if labelled:
            total += float(target.loss(outputs, batch.labels)) * len(batch.labels)
        parts.append(
            (prediction.cpu().numpy(), None if confidence is None else confidence.cpu().numpy())
        )
    rows = np.concatenate([b.rows for b in batches])
    labels = np.concatenate([b.labels.cpu().numpy() for b in batches])
    predictions = np.concatenate([p for p, _ in parts])
    confidence = None if parts[0][1] is None else np.concatenate([c for _, c in parts])
    order = np.argsort(rows, kind="stable")
    return Scored(
        rows=rows[order],
        labels=labels[order],
        predictions=predictions[order],
        confidence=None if confidence is None else confidence[order],
        score=METRICS[metric](predictions, labels) if labelled else float("nan"),
        loss=total / len(labels) if labelled else float("nan"),
    )
