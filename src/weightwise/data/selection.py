"""Which rows of a table a filter, or a column that names splits, chooses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weightwise.config.filters import RowFilter
from weightwise.config.rows import DataConfig
from weightwise.data.matching import among, kind, shown
from weightwise.data.sources import SourceTable
from weightwise.data.values import numbers, spelling
from weightwise.errors import UserError

_SHOWN = 8


def matching_rows(rule: RowFilter, table: SourceTable) -> np.ndarray:
    """[rows] bool: which rows a filter keeps. An empty value lies in no range; as text it is "".

    Raises:
        UserError: no such column; a value that is no number where numbers are compared.
    """
    raw = table.column(rule.column).to_numpy(dtype=object)
    match = np.ones(len(raw), dtype=bool)
    if rule.values is not None:
        match &= among(raw, rule.values, table.decimal)
    if rule.minimum is not None or rule.maximum is not None:
        cells = numbers(raw, table.decimal)
        present = np.array([spelling(v) is None or spelling(v).strip() for v in raw], dtype=bool)
        bad = present & np.isnan(cells)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise UserError(
                f"{table.at(first)}, column '{rule.column}': {shown(raw[first])} is not a "
                "number, so `where` cannot compare it with `minimum` or `maximum`"
            )
        with np.errstate(invalid="ignore"):
            if rule.minimum is not None:
                match &= cells >= rule.minimum
            if rule.maximum is not None:
                match &= cells <= rule.maximum
    return ~match if rule.exclude else match


LeaveOut = Callable[[str, str, np.ndarray], None]
"""Told split (or table), reason and positions of rows that are left out."""


def _pass(where: str, reason: str, positions: np.ndarray) -> None:
    pass


def members(
    table: SourceTable, data: DataConfig, key: str, leave_out: LeaveOut = _pass
) -> dict[str, np.ndarray]:
    """The rows of a table that each split which comes from it consists of: by the table's own
    `where`, and by `split_by`.

    Args:
        table: the table.
        data: the task's rows.
        key: the table's key: train, dev or test.
        leave_out: told of the rows that belong to none.

    Returns:
        Ascending positions per split; `train` has those of dev and test, too, where `data.split`
        divides the table by chance.

    Raises:
        UserError: a filter that does not fit; a split that no row belongs to.
    """
    keep = _kept(table, getattr(data, key).where)
    leave_out(key, f"by `where` of {key}", np.flatnonzero(~keep))
    positions = np.flatnonzero(keep)
    rule = data.split_by
    if rule is None or key != "train":
        return {key: positions}
    cells = table.column(rule.column).to_numpy(dtype=object)[positions]
    found, rest = {}, np.ones(len(positions), dtype=bool)
    for split in data.tables[key]:
        # Values that are equal without being spelled alike may stand under two splits.
        chosen = among(cells, getattr(rule, split), table.decimal) & rest
        found[split] = positions[chosen]
        rest &= ~chosen
        if not chosen.any():
            raise UserError(
                f"{table.name}, column '{rule.column}': no row is of {split}; there is "
                f"{_values_of(cells)}; name one of these values in `split_by.{split}`"
            )
    leave_out(key, f"of no split by '{rule.column}'", positions[rest])
    return found


def chosen_rows(
    table: SourceTable, data: DataConfig, key: str, leave_out: LeaveOut = _pass
) -> dict[str, np.ndarray]:
    """The `members` of each split that the task's `where` keeps; arguments as there."""
    keep = _kept(table, data.where)
    found = {}
    for split, positions in members(table, data, key, leave_out).items():
        leave_out(split, "by `where`", positions[~keep[positions]])
        found[split] = positions[keep[positions]]
    return found


def _kept(table: SourceTable, rules: Sequence[RowFilter]) -> np.ndarray:
    """[rows] bool: which rows all filters keep."""
    keep = np.ones(len(table.frame), dtype=bool)
    for rule in rules:
        keep &= matching_rows(rule, table)
    return keep


def _values_of(cells: Sequence[Any]) -> str:
    """The most frequent of some cells in words, and how often each stands there."""
    said = [spelling(cell) for cell in cells]
    texts = [kind(c) if t is None else shown(t) for c, t in zip(cells, said, strict=True)]
    counts = Counter(texts).most_common(_SHOWN)
    return ", ".join(f"{text} {count:,} times" for text, count in counts) or "no row"
