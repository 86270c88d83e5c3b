"""The variants of a study beside its first one, laid out as papers lay out their ablations."""

from __future__ import annotations

import pandas as pd

from weightwise.analysis.comparisons import OVERALL
from weightwise.analysis.labels import BASELINE
from weightwise.figures import names
from weightwise.figures.inputs import Inputs
from weightwise.report.html import Cell, Table, table
from weightwise.report.verdict import number


def comparison_tables(inputs: Inputs) -> list[Table]:
    """One table per split: rows are the arms of groupings of several tasks, then of every variant
    its tasks trained alone; columns are tasks and the overall score, each with its difference to
    the reference."""
    found = []
    for split in ("test", "dev"):
        rows = inputs.comparisons[inputs.comparisons["split"] == split]
        if len(rows):
            found.append(_table(inputs, rows, split))
    return found


def _table(inputs: Inputs, rows: pd.DataFrame, split: str) -> Table:
    columns = {task: task for task in inputs.tasks() if task in set(rows["task"])}
    if OVERALL not in columns and OVERALL in set(rows["task"]):
        columns[OVERALL] = "Overall"
    alone = rows["group"] == rows["task"]
    lines = []
    for (variant, group, combiner), arm in rows[~alone].groupby(
        ["variant", "group", "combiner"], sort=False
    ):
        for alpha in arm["alpha"].drop_duplicates():
            chosen = arm[arm["alpha"].isna() if pd.isna(alpha) else arm["alpha"] == alpha]
            label = names.arm_label(combiner, None if pd.isna(alpha) else alpha)
            lines.append([variant, names.group_label(group), label, *_cells(chosen, columns)])
    order = {variant: i for i, variant in enumerate(inputs.variants)}
    lines.sort(key=lambda line: order[line[0]])
    for variant, single in rows[alone].groupby("variant", sort=False):
        first = [variant, "each task alone", names.combiner_label(BASELINE)]
        lines.append([*first, *_cells(single, columns)])
    note = (
        f"Mean score over seeds and, in brackets, its difference to the reference, the first "
        f"variant's simplest arm in that grouping. {names.GAIN} and {names.LOSS}: the interval of "
        "the paired differences excludes zero after Holm's correction over all arms of the task."
    )
    if columns.get(OVERALL) == "Overall":
        mapped = (rows.loc[rows["task"] == OVERALL, "metric"] == "mean_mapped").all()
        note += " Overall: the mean over the tasks"
        note += ", Pearson's r as (r + 1) / 2" if mapped else ""
        note += ", each at its own best epoch on dev."
    if split == "dev":
        note += " Optimistic: epochs are chosen on dev."
    head = ["Arm", "Grouping", "Combiner", *columns.values()]
    return table(f"Named arms on {split}", head, lines, note, stacked=True)


def _cells(rows: pd.DataFrame, columns: dict[str, str]) -> list[Cell]:
    by_task = {row.task: row for row in rows.itertuples()}
    return [_cell(by_task.get(task)) for task in columns]


def _cell(row) -> Cell:
    if row is None:
        return Cell(names.DASH)
    if row.verdict == "reference":
        return Cell(names.score(row.score), "reference", "muted")
    known = number(row.difference)
    difference = f"({names.number(row.difference, 3, signed=True)})" if known else ""
    sign = names.sign_of(row.verdict)
    text = f"{names.score(row.score)} {difference} {sign}".strip()
    return Cell(text, names.span(row.low, row.high) or row.verdict, row.verdict if sign else "")
