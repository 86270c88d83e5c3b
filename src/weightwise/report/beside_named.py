"""A paper's tables of whole configurations beside ours, row by row in the paper's own layout."""

from __future__ import annotations

import numpy as np
import pandas as pd

from weightwise.analysis.comparisons import main_arm
from weightwise.analysis.labels import BASELINE
from weightwise.config.report import Counterpart
from weightwise.figures import names
from weightwise.figures.inputs import Inputs
from weightwise.published import published_arms
from weightwise.published.papers import Paper
from weightwise.report.beside_arms import FORMULAS, NOT_TASKS, by_seed, difference
from weightwise.report.html import Cell, Table


def beside_named(inputs: Inputs, paper: Paper) -> list[Table]:
    """One table for each printed one: every printed arm, and what of this study stands beside it.

    Ours are means over seeds. Differences are to the counterpart of the paper's baseline, paired by
    seed, with t intervals over seeds.
    """
    printed = published_arms(paper.arms)
    theirs = [c for c in printed.columns if c not in NOT_TASKS]
    tasks = [t for t in theirs if t in inputs.tasks()]
    splits = [s for s in ("dev", "test") if (inputs.scores["split"] == s).any()]
    base = inputs.study.report.counterpart(paper.baseline) if paper.baseline else None
    told = printed["table"].unique()
    # What holds for all of them is said once, below the last one.
    notes = [""] * (len(told) - 1) + [_note(inputs, paper, base)]
    return [
        _table(
            inputs,
            paper,
            printed,
            printed[printed["table"] == one],
            theirs,
            tasks,
            splits,
            base,
            note,
        )
        for one, note in zip(told, notes, strict=True)
    ]


def _table(
    inputs: Inputs,
    paper: Paper,
    printed: pd.DataFrame,
    rows: pd.DataFrame,
    theirs: list[str],
    tasks: list[str],
    splits: list[str],
    base: Counterpart | None,
    note: str,
) -> Table:
    columns = [c for c in (*theirs, "overall") if rows[c].notna().any()]
    baselines = {split: arm_by_seed(inputs, paper, base, tasks, split) for split in splits}
    lines = []
    for row in rows.to_dict("records"):
        ours = inputs.study.report.counterpart(row["arm"])
        split = row["split"] if names.is_text(row["split"]) else ""
        line = [Cell(row["arm"], f"on {split}" if split else "")]
        line += _printed(paper, printed, row, columns)
        line.append(Cell(_label(ours)))
        for one in splits:
            found = arm_by_seed(inputs, paper, ours, tasks, one)
            line += _ours(found, baselines[one], columns, inputs.confidence, ours == base)
        lines.append(line)
    heads = [names.short(c, 12) if c != "overall" else "Overall" for c in columns]
    groups = [Cell(""), Cell("The paper", span=len(columns)), Cell("")]
    groups += [Cell(f"Ours on {split}", span=len(columns)) for split in splits]
    second = ["Printed arm", *heads, "Our arm", *(heads * len(splits))]
    caption = str(rows["table"].iloc[0]).replace("_", " ").capitalize()
    return Table(
        f"{caption}, the paper beside ours",
        [groups, [Cell(text) for text in second]],
        lines,
        note,
        stacked=True,
    )


def _label(ours: Counterpart | None) -> str:
    if ours is None:
        return names.DASH
    return ours.arm + (", each task alone" if ours.alone else "")


def _note(inputs: Inputs, paper: Paper, base: Counterpart | None) -> str:
    text = (
        f"Overall: {FORMULAS[paper.overall]}, as in the paper; in ours every task is measured at "
        "the epoch that was its own best on dev."
    )
    if paper.baseline and base is not None:
        text += (
            f" Small: difference to “{paper.baseline}”, in the paper, and to our arm “{base.arm}”, "
            f"in ours paired by seed, with its {100 * inputs.confidence:g} % t interval over "
            "seeds, not corrected for the number of comparisons."
        )
    return text + " Our dev scores are optimistic: epochs are chosen on dev."


def _printed(paper: Paper, printed: pd.DataFrame, row: dict, columns: list[str]) -> list[Cell]:
    """The printed scores, with their differences to the baseline of the same split; where that
    was printed for one split alone, to that one, as papers do."""
    found = printed[printed["arm"] == paper.baseline]
    same = found[found["split"] == row["split"]]
    base = same if len(same) else found.iloc[:1] if len(found) == 1 else found.iloc[:0]
    line = []
    for column in columns:
        value = float(row[column])
        gap = value - float(base.iloc[0][column]) if len(base) else float("nan")
        known = np.isfinite(gap) and row["arm"] != paper.baseline
        line.append(Cell(names.score(value), names.number(gap, 3, signed=True) if known else ""))
    return line


def _ours(
    found: pd.DataFrame,
    base: pd.DataFrame,
    columns: list[str],
    confidence: float,
    is_base: bool,
) -> list[Cell]:
    line = []
    for column in columns:
        values = found[column] if column in found else pd.Series(dtype=float)
        text = names.score(float(values.mean())) if values.notna().any() else names.DASH
        sub = ""
        if not is_base and column in base and text != names.DASH:
            sub = difference(values, base[column], confidence)
        line.append(Cell(text, sub))
    return line


def arm_by_seed(
    inputs: Inputs, paper: Paper, ours: Counterpart | None, tasks: list[str], split: str
) -> pd.DataFrame:
    """Scores of an arm of ours: a row per seed, a column per task, and the paper's overall score
    where one model serves all tasks."""
    rows = inputs.scores[(inputs.scores["split"] == split) & inputs.scores["alias_of"].isna()]
    if ours is None:
        return by_seed(rows.iloc[:0], tasks, paper)
    rows = rows[(rows["variant"] == ours.arm) & rows["task"].isin(tasks)]
    if ours.alone:
        alone = by_seed(rows[rows["combiner"] == BASELINE], tasks, paper)
        return alone.assign(overall=float("nan"))
    together = rows[rows["combiner"] != BASELINE]
    chosen = [main_arm(of_task) for _, of_task in together.groupby("task", sort=False)]
    return by_seed(pd.concat(chosen) if chosen else together, tasks, paper)
