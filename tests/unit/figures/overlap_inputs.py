"""Bins of shared words for the tests of their figure and of the report."""

from __future__ import annotations

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
