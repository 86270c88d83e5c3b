"""Raw labels -> numbers that a task can be trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weightwise.config import TaskConfig
from weightwise.config.base import nearest
from weightwise.data.matching import is_unreadable, kind, positions_among, shown
from weightwise.data.sources import SourceTable
from weightwise.data.values import decimal_comma, number, numbers, spelling
from weightwise.errors import UserError

UNLABELLED = -1
"""What GLUE, SNLI and others write where a row has no label."""


@dataclass(frozen=True)
class Labels:
    """Labels of n rows.

    Attributes:
        values: [n] float64, class numbers or real labels; NaN where there is none.
        missing: [n] bool, True where the source has no label.
        bad: [n] bool, True where the label cannot be read; none where the task refuses them.
        outside: [n] bool, True where the number lies outside all of the task's `bands`.
        lone_minus_ones: rows whose label is -1 where no other label is below 0 and -1 was taken
            for a label.
    """

    values: np.ndarray
    missing: np.ndarray
    bad: np.ndarray
    outside: np.ndarray
    lone_minus_ones: int = 0


def read_labels(
    table: SourceTable, task: TaskConfig, positions: np.ndarray, split: str = ""
) -> Labels:
    """Labels of the rows at `positions` [n] of a table, as the task wants them.

    A missing label (null, or empty text) is marked, not refused. NaN and infinity cannot be read:
    as values they are mistakes of whatever wrote the file.

    Args:
        table: the source.
        task: whose labels they are; its `bad_label` says whether unreadable ones are refused.
        positions: [n] positions in the table's frame.
        split: the split that these rows are the whole of; "" if they are no whole split.

    Raises:
        UserError: no such column; every label of the split is -1; a value that is no number or no
            known class, or one out of range. The message names file, row, column and value.
    """
    raw = table.column(task.label).to_numpy(dtype=object)[positions]
    mark = table.decimal
    missing = np.array([v is None or (isinstance(v, str) and not v.strip()) for v in raw], bool)
    values = np.full(len(raw), np.nan)
    bad, outside = np.zeros(len(raw), dtype=bool), np.zeros(len(raw), dtype=bool)
    present = np.flatnonzero(~missing)
    if not len(present):
        return Labels(values, missing, bad, outside)
    cells = raw[present]
    plain = numbers(cells, mark)
    if split and (plain == UNLABELLED).all() and "-1" not in (task.label_values or ()):
        raise UserError(_unlabelled(table, task, split, int(positions[present[0]]), len(present)))

    if task.label_values is not None:
        found = positions_among(cells, task.label_values, mark).astype(float)
        found[found < 0] = np.nan
        wrong = np.isnan(found)
    else:
        wrong = ~np.isfinite(plain) | np.array([is_unreadable(v) for v in cells], dtype=bool)
        found = plain.copy()
        if task.cut_points is not None:
            found = np.searchsorted(task.cut_points, plain, side="right").astype(float)
        elif task.bands is not None:
            found = np.full(len(plain), np.nan)
            for i, (low, high) in enumerate(task.bands):
                found[(plain >= low) & (plain <= high)] = i
            outside[present] = np.isnan(found) & ~wrong
        elif task.kind == "regression":
            wrong |= (plain < task.range[0]) | (plain > task.range[1])
        else:
            wrong |= (plain != np.floor(plain)) | (plain < 0) | (plain >= len(task.class_names))
    if wrong.any() and task.data.bad_label == "refuse":
        first = int(np.flatnonzero(wrong)[0])
        more = f" (and {int(wrong.sum()) - 1} more rows)" if wrong.sum() > 1 else ""
        raise UserError(
            f"{table.at(int(positions[present[first]]))}, column '{task.label}': label "
            f"{shown(cells[first])} {_reason(task, cells[first], mark)}{more}"
        )
    found[wrong] = np.nan
    values[present] = found
    bad[present] = wrong
    taken = plain[~wrong]
    minus = taken == UNLABELLED
    alone = task.label_values is None and minus.any() and (taken[~minus] >= 0).all()
    return Labels(values, missing, bad, outside, int(minus.sum()) if alone else 0)


def _unlabelled(table: SourceTable, task: TaskConfig, split: str, first: int, count: int) -> str:
    remedy = (
        "set `test_labelled: false`, and the task's test rows are predicted and not scored"
        if split == "test"
        else f"name a table with labels for {split}, or divide the training table with `split`"
        if split == "dev"
        else "name a table with labels for train"
    )
    return (
        f"{table.at(first)}, column '{task.label}': every label of {split} is -1 ({count:,} rows, "
        f"this one first), which marks rows without a label, as in GLUE's test tables; {remedy}"
    )


def _reason(task: TaskConfig, value: object, mark: str) -> str:
    """Why a label cannot be read, and what to do."""
    leave_out = "set `bad_label: drop` to leave such rows out"
    if is_unreadable(value):
        return (
            f"is {kind(value)}, and a label is text, a number, true or false; name another column "
            f"in `label`, write the column otherwise, or {leave_out}"
        )
    plain = number(value, mark)
    if plain == UNLABELLED:
        leave_out += ": -1 marks a row without a label in GLUE and SNLI"
    if task.label_values is not None:
        hint = nearest(spelling(value) or "", task.label_values)
        return f"is none of `label_values`; {hint}, or {leave_out}"
    if not np.isfinite(plain):
        if isinstance(value, int):
            return f"is too large for a number of 64 bits; correct it, or {leave_out}"
        if decimal_comma(value):
            return (
                'is a number with a decimal comma; set `decimal: ","` at the source, or '
                + leave_out
            )
        return (
            "is not a finite number; correct it, leave it empty and set `missing_label: drop`, "
            f"list text labels in `label_values`, or {leave_out}"
        )
    if task.kind == "regression":
        low, high = task.range
        return (
            f"is outside `range` [{low:g}, {high:g}]; correct the label or the range, or "
            f"{leave_out}"
        )
    count = len(task.class_names)
    allowed = "0 or 1" if count == 2 else f"a whole number from 0 to {count - 1}"
    return (
        f"is not {allowed}; correct it, turn values into classes with `cut_points`, `bands` or "
        f"`label_values`, or {leave_out}"
    )
