"""Confusion matrices of class tasks (pairing, section 6.2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from weightwise.analysis.labels import text_or_none
from weightwise.errors import UserError
from weightwise.tables import Confusions, check

ARM = ["variant", "split", "task", "group", "combiner", "alpha"]


def confusions(predictions: pd.DataFrame, classes: Mapping[str, int]) -> pd.DataFrame:
    """`tables.Confusions` from `tables.ArmPredictions`: counts summed over seeds.

    `classes` gives the number of classes of every class task; other tasks are left out, and so
    are rows without a label. All classes stand in the table, the empty ones with zeros.

    Raises:
        UserError: a label or prediction is no class number of its task.
    """
    known = predictions[predictions["task"].isin(list(classes)) & predictions["label"].notna()]
    parts = []
    for key, rows in known.groupby(ARM, sort=False, dropna=False):
        arm = dict(zip(ARM, key, strict=True)) | {"alpha": text_or_none(key[-1])}
        size = classes[arm["task"]]
        for column in ("label", "prediction"):
            _check(rows, column, arm["task"], size)
        counts = confusion_matrix(
            rows["label"].astype(int), rows["prediction"].astype(int), labels=range(size)
        )
        true, predicted = np.indices(counts.shape)
        cells = {"true": true.ravel(), "predicted": predicted.ravel(), "count": counts.ravel()}
        parts.append(pd.DataFrame(cells).assign(**arm, seeds=rows["seed"].nunique()))
    columns = list(Confusions.to_schema().columns)
    frame = pd.concat(parts) if parts else pd.DataFrame(columns=columns)
    return check(frame.reset_index(drop=True), Confusions, "confusions")


def _check(rows: pd.DataFrame, column: str, task: str, size: int) -> None:
    bad = rows[~rows[column].isin(range(size))]
    if not bad.empty:
        first = bad.iloc[0]
        raise UserError(
            f"predictions of '{task}', run {first['run']}, row {first['row']}: {column} "
            f"{first[column]:g} is not one of its {size} classes (0 to {size - 1})"
        )
