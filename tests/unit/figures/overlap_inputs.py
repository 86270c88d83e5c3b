"""Errors and shared words for the tests of figures and report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from weightwise import tables
from weightwise.analysis.chosen import chosen_arms, chosen_predictions
from weightwise.analysis.errors import most_confident_errors
from weightwise.analysis.overlap import accuracy_by_overlap

ARM = {"group": "PAR", "combiner": "baseline", "alpha": None, "variant": "default"}
OTHER = {"group": "SEN+PAR", "combiner": "unitary", "alpha": "0.6", "variant": "default"}


def bins(role="best", arm=OTHER, task="PAR", split="test", pairs=(50, 40, 0, 60, 3), **more):
    """Five bins of one arm; the more words are shared, the more labels and predictions are 1."""
    for place, count in enumerate(pairs):
        known = count > 0
        yield (
            arm
            | {
                "task": task,
                "role": role,
                "split": split,
                "low": place / 5,
                "high": (place + 1) / 5,
                "pairs": count,
                "seeds": 3 if known else 0,
                "label": 0.1 + 0.2 * place if known else None,
                "prediction": 0.05 + 0.225 * place if known else None,
                "prediction_low": 0.01 if known else None,
                "prediction_high": 0.99 if known else None,
                "measure": "mean absolute error" if task == "SIM" else "accuracy",
                "score": 0.9 - 0.1 * place if known else None,
                "score_low": 0.4 if known else None,
                "score_high": 0.95 if known else None,
            }
            | more
        )


def write_errors(
    out: Path,
    scores: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Mapping[str, int],
    single: set[str],
    text: str,
) -> None:
    """The tables of errors and shared words, by the real analysis.

    Every first text ends with `text`; `single` are the tasks of one text.
    """
    scores = tables.check(scores, tables.Scores, "scores")
    predictions = tables.check(predictions, tables.ArmPredictions, "predictions")
    looked_into = chosen_predictions(predictions, chosen_arms(scores))
    examples = {}
    for task, rows in looked_into.groupby("task"):
        prepared = rows[["split", "row"]].drop_duplicates()
        words = [" ".join("abcde"[: row % 6]) for row in prepared["row"]]
        prepared = prepared.assign(text_a=f"a b c d e {text}", text_b=words, label=0.0)
        examples[task] = prepared.assign(text_b=None) if task in single else prepared
    errors = most_confident_errors(looked_into, examples, classes)
    tables.write_table(errors, tables.Errors, out / "errors.parquet")
    overlap = accuracy_by_overlap(looked_into, examples, classes)
    tables.write_table(overlap, tables.Overlap, out / "overlap.parquet")
