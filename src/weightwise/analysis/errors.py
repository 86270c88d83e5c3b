"""The errors that a model is surest of (the mlm paper, section 5, table 1)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from weightwise.analysis.chosen import CELL
from weightwise.errors import UserError
from weightwise.tables import Errors, check, empty

# Closer values count as equal: a mean over seeds is rounded in its last digits.
DIGITS = 9


def most_confident_errors(
    predictions: pd.DataFrame,
    examples: Mapping[str, pd.DataFrame],
    classes: Collection[str],
    count: int = 10,
) -> pd.DataFrame:
    """`tables.Errors`: at most `count` rows per task and role, the worst first.

    The seeds' predictions of a row are put together so:

    Class tasks: a row counts where at least one seed is wrong. Rows wrong in more seeds come
    first: an error of all seeds is the arm's, one of a single seed may be luck. Among those the
    higher confidence comes first: the mean, over the seeds that are wrong, of the probability
    (0 to 1) that each gave its own wrong class. `prediction` is the class that most of the wrong
    seeds gave, of equals the one with the higher mean confidence, then the lower number;
    `agreeing` says how many gave it.

    Regression: a value has no confidence, and almost every one is a little wrong. The error is
    that of the mean prediction over seeds, `error` its absolute value in the label's units, and
    the largest come first. Rows without an error are left out.

    Ties go to the lower row number. The texts stand as they were prepared, whole.

    Args:
        predictions: what `chosen.chosen_predictions` gives.
        examples: `tables.Examples` of every task, at least the rows of its measured split.
        classes: the class tasks; all others are regression.
        count: rows to keep.

    Raises:
        UserError: a predicted row is not among the examples.
    """
    parts = []
    for (task, role), rows in predictions.groupby(["task", "role"], sort=False):
        worst = _of_classes(rows) if task in classes else _of_values(rows)
        worst = worst.head(count)
        split = rows["split"].iloc[0]
        texts = texts_of(worst["row"], examples.get(str(task)), str(task), split)
        arm = {column: rows[column].iloc[0] for column in CELL}
        place = {"role": role, "split": split, "rank": range(1, len(worst) + 1)}
        parts.append(worst.assign(**arm, **place, text_a=texts["text_a"], text_b=texts["text_b"]))
    parts = [part for part in parts if len(part)]
    table = pd.concat(parts, ignore_index=True) if parts else empty(Errors)
    return check(table, Errors, "errors")


def texts_of(rows: pd.Series, examples: pd.DataFrame | None, task: str, split: str) -> pd.DataFrame:
    """`text_a` and `text_b` of row numbers of a split, with the index of `rows`.

    Raises:
        UserError: a row is not among the examples.
    """
    known = examples if examples is not None else pd.DataFrame({"split": [], "row": []})
    texts = known[known["split"] == split].set_index("row").reindex(columns=["text_a", "text_b"])
    missing = rows[~rows.isin(texts.index)]
    if len(missing):
        raise UserError(
            f"predictions of '{task}': row {missing.iloc[0]} of {split} is not in the prepared "
            "data; prepare the data again, then the runs"
        )
    return texts.loc[rows].set_axis(rows.index)


def _of_classes(rows: pd.DataFrame) -> pd.DataFrame:
    seeds = rows.groupby("row")["seed"].nunique().rename("seeds")
    wrong = rows[rows["prediction"] != rows["label"]]
    said = wrong.groupby(["row", "prediction"]).agg(
        agreeing=("seed", "nunique"), sure=("confidence", "mean")
    ).reset_index()  # fmt: skip
    said = said.assign(sure=said["sure"].round(DIGITS)).sort_values(
        ["row", "agreeing", "sure", "prediction"], ascending=[True, False, False, True]
    )
    shown = said.drop_duplicates("row").set_index("row")
    found = wrong.groupby("row").agg(
        label=("label", "first"), wrong_seeds=("seed", "nunique"), confidence=("confidence", "mean")
    )
    # Joined, as a column assigned to a table without rows would bring its own.
    found = found.join(shown[["prediction", "agreeing"]]).join(seeds).assign(error=np.nan)
    found = found.assign(order=found["confidence"].round(DIGITS)).reset_index()
    by = ["wrong_seeds", "order", "row"]
    return found.sort_values(by, ascending=[False, False, True]).drop(columns="order")


def _of_values(rows: pd.DataFrame) -> pd.DataFrame:
    found = rows.groupby("row").agg(
        label=("label", "first"), prediction=("prediction", "mean"), seeds=("seed", "nunique")
    )
    error = (found["prediction"] - found["label"]).abs()
    found = found.assign(error=error, order=error.round(DIGITS)).reset_index()
    found = found.assign(confidence=np.nan, wrong_seeds=np.nan, agreeing=np.nan)
    found = found[found["order"] > 0].sort_values(["order", "row"], ascending=[False, True])
    return found.drop(columns="order")
