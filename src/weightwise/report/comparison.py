"""The variants of a study beside its first one, laid out as papers lay out their ablations."""

from __future__ import annotations

import pandas as pd

from weightwise.figures import names
from weightwise.figures.inputs import Inputs
from weightwise.report.html import Cell, Table, table
from weightwise.report.verdict import number


def comparison_tables(inputs: Inputs) -> list[Table]:
    """One table per split: rows are the arms of groupings of several tasks, then those of single
    tasks; columns are tasks, each with the score and its difference to the reference."""
    found = []
    for split in ("test", "dev"):
        rows = inputs.comparisons[inputs.comparisons["split"] == split]
        if len(rows):
            found.append(_table(inputs, rows, split))
    return found


def _table(inputs: Inputs, rows: pd.DataFrame, split: str) -> Table:
    tasks = [task for task in inputs.tasks() if task in set(rows["task"])]
    lines = []
    arms = rows[["variant", "group", "combiner"]].drop_duplicates()
    together = arms[arms["group"].str.contains("+", regex=False)]
    for arm in (together if len(together) else arms).itertuples():
        own = rows[
            (rows["variant"] == arm.variant)
            & (rows["group"] == arm.group)
            & (rows["combiner"] == arm.combiner)
        ]
        for alpha in own["alpha"].drop_duplicates():
            chosen = own[own["alpha"].isna() if pd.isna(alpha) else own["alpha"] == alpha]
            by_task = {row.task: row for row in chosen.itertuples()}
            label = names.arm_label(arm.combiner, None if pd.isna(alpha) else alpha)
            first = [Cell(arm.variant), names.group_label(arm.group), label]
            lines.append(first + [_cell(by_task.get(task)) for task in tasks])
    note = (
        f"Mean score over seeds and, in brackets, its difference to the reference, the first "
        f"variant's simplest arm in that grouping. {names.GAIN} and {names.LOSS}: the interval of "
        "the paired differences excludes zero after Holm's correction over all arms of the task."
    )
    if split == "dev":
        note += " Optimistic: epochs are chosen on dev."
    return table(f"Named arms on {split}", ["Arm", "Grouping", "Combiner", *tasks], lines, note)


def _cell(row) -> Cell:
    if row is None:
        return Cell(names.DASH)
    if row.verdict == "reference":
        return Cell(names.score(row.score), "reference", "muted")
    difference = f"({row.difference:+.3f})" if number(row.difference) else ""
    sign = names.sign_of(row.verdict)
    interval = ""
    if number(row.low) and number(row.high):
        interval = f"{row.low:+.3f} to {row.high:+.3f}"
    text = f"{names.score(row.score)} {difference} {sign}".strip()
    return Cell(text, interval or row.verdict, row.verdict if sign else "")
