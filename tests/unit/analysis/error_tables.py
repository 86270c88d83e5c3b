"""Predictions and prepared rows for the tests of errors and overlap."""

from __future__ import annotations

import pandas as pd

from weightwise import tables
from weightwise.analysis.chosen import chosen_predictions


def predictions(*rows, task="PAR", split="test", group="PAR", combiner="baseline", alpha=None):
    """Rows are (seed, row, label, prediction, confidence)."""
    frame = pd.DataFrame(rows, columns=["seed", "row", "label", "prediction", "confidence"])
    cell = {"task": task, "group": group, "combiner": combiner, "variant": "default", "run": "abc"}
    frame = frame.assign(**cell, alpha=pd.Series([alpha] * len(frame), dtype=object), split=split)
    return tables.check(frame, tables.ArmPredictions, "predictions")


def arm(role="best", task="PAR", group="PAR", combiner="baseline", alpha=None, variant="default"):
    """A line of `chosen_arms`."""
    line = {"role": role, "task": task, "group": group, "combiner": combiner, "alpha": alpha}
    return line | {"variant": variant, "seeds": 1, "score": 0.5}


def looked_into(*frames, arms=None):
    """The predictions of the chosen arms, by default of the best one of PAR."""
    return chosen_predictions(pd.concat(frames, ignore_index=True), pd.DataFrame(arms or [arm()]))


def examples(texts, split="test"):
    """Prepared rows from {row: (text_a, text_b)}."""
    frame = pd.DataFrame(
        [(row, *pair) for row, pair in texts.items()], columns=["row", "text_a", "text_b"]
    ).assign(split=split, label=0.0)
    return tables.check(frame, tables.Examples, "examples")
