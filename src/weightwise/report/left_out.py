"""Leave-one-task-out as a matrix: what each task loses or gains when one trains no encoder."""

from __future__ import annotations

import numpy as np

from weightwise.figures import names
from weightwise.figures.inputs import Inputs
from weightwise.published import published_arms
from weightwise.published.papers import Paper
from weightwise.report.html import Cell, Table


def left_out_tables(inputs: Inputs, paper: Paper | None) -> list[Table]:
    """A matrix per split, rows the measured tasks, columns the left-out ones; the paper's below."""
    found = []
    for split in ("test", "dev"):
        rows = inputs.leave_one_out[inputs.leave_one_out["split"] == split]
        if len(rows):
            found.append(_matrix(inputs, rows, split))
    if found and paper is not None and paper.left_out:
        found.append(_printed(paper))
    return found


def _matrix(inputs: Inputs, rows, split: str) -> Table:
    measured = [t for t in inputs.tasks() if (rows["task"] == t).any()]
    columns = [t for t in inputs.tasks() if (rows["left_out"] == t).any()]
    cells = {(row.task, row.left_out): row for row in rows.itertuples()}
    lines = [
        [Cell(t), *(_cell(cells.get((t, left)), t == left) for left in columns)] for t in measured
    ]
    note = (
        "Mean score over seeds and its difference to training the encoder on all tasks; on the "
        "diagonal (framed), where the left-out task trains its head alone, to probing, where every "
        f"task does. {names.GAIN} and {names.LOSS}: the interval of the paired differences "
        "excludes zero after Holm's correction over the row."
    )
    if split == "dev":
        note += " Optimistic: epochs are chosen on dev."
    head = ["Measured on", *(f"without {t}" for t in columns)]
    return Table(
        f"Leave one task out, on {split}", [[Cell(h) for h in head]], lines, note, stacked=True
    )


def _cell(row, diagonal: bool) -> Cell:
    frame = "diagonal" if diagonal else ""
    if row is None or not np.isfinite(row.score):
        return Cell(names.DASH, look=frame)
    sign = names.sign_of(row.verdict)
    look = " ".join(filter(None, [row.verdict if sign else "", frame]))
    if not np.isfinite(row.difference):
        return Cell(names.score(row.score), "no reference", look)
    text = f"{names.score(row.score)} ({names.number(row.difference, 3, signed=True)}) {sign}"
    sub = names.span(row.low, row.high) or row.verdict
    return Cell(text.strip(), sub, look)


def _printed(paper: Paper) -> Table:
    """The paper's matrix, differences as ours are taken."""
    printed = published_arms(paper.arms)
    dev = printed[printed["split"] == "dev"].set_index("arm")
    tasks = [task for task, _ in paper.left_out]
    lines = []
    for task in tasks:
        line = [Cell(task)]
        for left, arm in paper.left_out:
            base = paper.left_out_probe if left == task else paper.left_out_full
            value = float(dev.loc[arm, task])
            gap = names.number(value - float(dev.loc[base, task]), 3, signed=True)
            look = "diagonal" if left == task else ""
            line.append(Cell(f"{names.score(value)} ({gap})", look=look))
        lines.append(line)
    head = [Cell("Measured on"), *(Cell(f"without {task}") for task in tasks)]
    return Table("Leave one task out, the paper on dev", [head], lines, "One seed.", stacked=True)
