"""Where predicted rows stand in the source of their split, and what the source calls them."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

from weightwise.config import StudyConfig, TaskConfig
from weightwise.data.labels import read_labels
from weightwise.data.selection import members
from weightwise.data.sources import SourceTable, read_table_source
from weightwise.errors import UserError

NAMED = {"\t": "a tab", "\n": "a line feed", "\r": "a carriage return", "\0": "a NUL character"}
# Control characters, line and paragraph separators, halves of surrogate pairs.
UNWRITABLE = ("Cc", "Zl", "Zp", "Cs")
SHOWN = 10
"""Most row numbers that a message lists."""


def divided(task: TaskConfig, split: str) -> bool:
    """Whether the split was drawn by chance from the table that `train` names."""
    return task.data.split is not None and getattr(task.data, split) is None


def read_split_source(
    study: StudyConfig, name: str, split: str, facts: dict[str, Any], cache: Path
) -> SourceTable:
    """The table that a split of a task was made of, as it stands in its source.

    Args:
        study: the study.
        name: the task.
        split: `dev` or `test`; the task has it.
        facts: of the task, in `checks.json`.
        cache: folder of downloads.

    Raises:
        UserError: the source cannot be read, or is no longer what was prepared.
    """
    data = study.tasks[name].data
    folder = Path(study.data_dir).expanduser() if study.data_dir else None
    table = read_table_source(getattr(data, split) or data.train, folder, cache)
    known = [one["sha256"] for one in facts["sources"] if split in one["splits"]]
    if table.sha256 not in known:
        raise UserError(
            f"{table.name}: is no longer the source of {split} that was prepared for task "
            f"'{name}', so its rows may be others.\n"
            f"  prepared {', '.join(known) or 'none'}\n  now      {table.sha256}\n"
            "Restore it, or run the study again with what it is now (`snakemake`)."
        )
    return table


def positions_of(table: SourceTable, rows: np.ndarray) -> np.ndarray:
    """Positions [n] in the table's frame, from 0, of rows [n] by their numbers.

    Raises:
        UserError: the table has no such row.
    """
    found = np.searchsorted(table.rows, rows)
    known = found < len(table.rows)
    known[known] = table.rows[found[known]] == rows[known]
    if not known.all():
        first = int(rows[np.flatnonzero(~known)[0]])
        raise UserError(
            f"{table.name}: has no {table.unit} {first}, which was predicted; the source is read "
            "otherwise than when it was prepared: prepare the data again (`snakemake`)"
        )
    return found


def refuse_other_classes(
    table: SourceTable, name: str, task: TaskConfig, rows: np.ndarray, labels: np.ndarray
) -> None:
    """Refuse class numbers that the configuration now reads otherwise than when they were trained.

    What turns values into classes stands in the prepared data and not in a run's definition; a
    change of it (`label_values` in another order) would turn every prediction into another class.

    Args:
        table: a labelled source.
        name: the task.
        task: its configuration.
        rows: [n] row numbers in the table.
        labels: [n] class numbers as prepared.

    Raises:
        UserError: a label of the source is another class now.
    """
    positions = positions_of(table, rows)
    other = np.flatnonzero(read_labels(table, task, positions).values != labels)
    if len(other):
        raise UserError(
            f"{table.at(int(positions[other[0]]))}, column '{task.label}': the label is another "
            f"class of task '{name}' now than when the data were prepared; `label_values`, "
            "`cut_points` or `bands` have changed since: prepare and train again (`snakemake`)"
        )


def read_ids(table: SourceTable, name: str, column: str, positions: np.ndarray) -> list[str]:
    """The ids [n] of the rows at some positions [n], as the source spells them.

    Raises:
        UserError: no such column; an id that is empty, repeats, cannot stand in a line of a file,
            or is neither text nor a whole number. File, row and id are named.
    """
    raw = table.column(column)
    seen: dict[str, int] = {}
    for position in positions:
        value, where = raw.iloc[position], f"{table.at(int(position))}, column '{column}'"
        if value is None or value != value:  # NaN
            value = ""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise UserError(
                f"{where}: the id {value!r} is neither text nor a whole number; name another "
                f"column in `id` of task '{name}'"
            )
        text = str(value)
        if not text.strip():
            raise UserError(f"{where}: the id is empty; give every row one")
        refuse_unwritable(text, f"{where}: the id")
        if text in seen:
            raise UserError(
                f"{where}: the id {text!r} stands in {table.unit} "
                f"{int(table.rows[seen[text]])}, too; ids must differ"
            )
        seen[text] = int(position)
    return list(seen)


def refuse_unwritable(text: str, what: str) -> None:
    """Refuse a text that would break the line of a file without quotes.

    Args:
        text: what would be written.
        what: what it is, in words.

    Raises:
        UserError: it holds a control character or half of a surrogate pair, or begins with a
            quote, which readers take for the beginning of a quoted field.
    """
    for character in text:
        if unicodedata.category(character) in UNWRITABLE:
            held = NAMED.get(character, f"the character U+{ord(character):04X}")
            raise UserError(f"{what} {text!r} holds {held}, which would break the file")
    if text.startswith('"'):
        raise UserError(f"{what} {text!r} begins with a quote, which would break the file")


def left_out(
    table: SourceTable, task: TaskConfig, split: str, positions: np.ndarray, facts: dict[str, Any]
) -> dict[str, Any]:
    """Rows of a split's source that were not predicted.

    Where `split` divides one table, the rows of the other splits are not missed, and what filters
    left out belongs to no split: only what is beyond the split's own `limit` counts. Where
    `split_by`, or a filter of the table itself, says which rows are the split's, the others are not
    missed; rows that cannot be read may be of it and are.

    Args:
        table: the source of the split.
        task: the task.
        split: the split.
        positions: [n] positions of the predicted rows.
        facts: of the task, in `checks.json`.

    Returns:
        {"rows": how many, "reasons": {reason: rows}, "unit": of row numbers, "first": the first
        row numbers, at most `SHOWN`, none for a part of a table}.
    """
    key = split if getattr(task.data, split) is not None else "train"
    if divided(task, split):
        limit = f"beyond `limit` of {split}"
        dropped = facts["dropped"].get(key, {})
        reasons = {limit: dropped[limit]} if limit in dropped else {}
        return {"rows": sum(reasons.values()), "reasons": reasons, "unit": table.unit, "first": []}
    reasons = {reason: len(rows) for reason, rows in table.dropped.items()}
    reasons |= facts["dropped"].get(split, {})
    reasons.pop(f"by `where` of {key}", None)
    theirs = members(table, task.data, key)[split]
    unread = [np.asarray(rows, dtype=np.int64) for rows in table.dropped.values()]
    missing = np.sort(np.concatenate([table.rows[np.setdiff1d(theirs, positions)], *unread]))
    first = [int(row) for row in missing[:SHOWN]]
    return {"rows": len(missing), "reasons": reasons, "unit": table.unit, "first": first}
