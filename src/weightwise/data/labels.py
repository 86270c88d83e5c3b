"""Raw labels -> numbers that a task can be trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weightwise.config import TaskConfig
from weightwise.config.base import nearest
from weightwise.data.sources import SourceTable
from weightwise.data.values import decimal_comma, spelling
from weightwise.data.values import numbers as as_numbers
from weightwise.errors import UserError


@dataclass(frozen=True)
class Labels:
    """Labels of n rows.

    Attributes:
        values: [n] float64, class numbers or real labels; NaN where missing or outside all bands.
        missing: [n] bool, True where the source has no label.
        outside: [n] bool, True where the number lies outside all of the task's `bands`.
    """

    values: np.ndarray
    missing: np.ndarray
    outside: np.ndarray


def read_labels(table: SourceTable, task: TaskConfig, positions: np.ndarray) -> Labels:
    """Labels of the rows at `positions` [n] of a table, as the task wants them.

    A missing label (null, or empty text) is marked, not refused. NaN and infinity are refused: as
    values they are mistakes of whatever wrote the file.

    Raises:
        UserError: no such column, a value that is no number or no known class, or one out of
            range; the message names file, row, column and value.
    """
    raw = table.column(task.label).to_numpy(dtype=object)[positions]
    texts = np.array([v.strip() if isinstance(v, str) else v for v in raw], dtype=object)
    missing = np.array([v is None or v == "" for v in texts], dtype=bool)
    values = np.full(len(raw), np.nan)
    outside = np.zeros(len(raw), dtype=bool)
    present = np.flatnonzero(~missing)
    if not len(present):
        return Labels(values, missing, outside)

    def refuse(bad: np.ndarray, reason: str) -> None:
        if bad.any():
            first = present[int(np.flatnonzero(bad)[0])]
            more = f" (and {int(bad.sum()) - 1} more rows)" if bad.sum() > 1 else ""
            raise UserError(
                f"{table.at(int(positions[first]))}, column '{task.label}': label "
                f"{raw[first]!r} {reason}{more}"
            )

    if task.label_values is not None:
        known = {value: float(i) for i, value in enumerate(task.label_values)}
        spelled = [spelling(v) for v in texts[present]]
        numbers = np.array([known.get(v, np.nan) for v in spelled])
        bad = np.isnan(numbers)
        if bad.any():
            first = str(spelled[int(np.flatnonzero(bad)[0])])
            refuse(bad, f"is none of `label_values`; {nearest(first, list(known))}")
        values[present] = numbers
        return Labels(values, missing, outside)

    numbers = as_numbers(texts[present], table.decimal)
    refuse(
        np.isnan(numbers) & np.array([decimal_comma(v) for v in texts[present]], dtype=bool),
        'is a number with a decimal comma; set `decimal: ","` at the source',
    )
    refuse(
        np.isnan(numbers) | np.isinf(numbers),
        "is not a finite number; correct it, leave it empty and set `missing_label: drop`, or list "
        "text labels in `label_values`",
    )
    if task.cut_points is not None:
        numbers = np.searchsorted(task.cut_points, numbers, side="right").astype(float)
    elif task.bands is not None:
        classes = np.full(len(numbers), np.nan)
        for i, (low, high) in enumerate(task.bands):
            classes[(numbers >= low) & (numbers <= high)] = i
        outside[present] = np.isnan(classes)
        numbers = classes
    elif task.kind == "regression":
        low, high = task.range
        refuse(
            (numbers < low) | (numbers > high),
            f"is outside `range` [{low:g}, {high:g}]; correct the label or the range",
        )
    else:
        count = len(task.class_names)
        allowed = "0 or 1" if count == 2 else f"a whole number from 0 to {count - 1}"
        refuse(
            (numbers != np.floor(numbers)) | (numbers < 0) | (numbers >= count),
            f"is not {allowed}; correct it, or turn values into classes with `cut_points`, "
            "`bands` or `label_values`",
        )
    values[present] = numbers
    return Labels(values, missing, outside)
