"""A paper's table of arms next to ours: one model's scores for all tasks, and a step's cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from weightwise.analysis.intervals import t_interval
from weightwise.analysis.labels import BASELINE, tasks_of
from weightwise.analysis.overall import as_counted
from weightwise.figures import names
from weightwise.figures.inputs import Inputs, in_variant
from weightwise.published import published_arms, published_table
from weightwise.published.papers import Paper
from weightwise.report.html import Cell, Table, cells, table

NOT_TASKS = ("table", "arm", "split", "overall")
FORMULAS = {
    "mean_mapped": "the mean with Pearson mapped to (r + 1) / 2",
    "mean_raw": "the mean of the metrics as they are",
}


def beside(inputs: Inputs, variant: str, paper: Paper) -> tuple[list[str], list[str], list[Table]]:
    """The tasks that both studies have, what to keep in mind, and the tables."""
    printed = published_arms(paper.arms)
    theirs = [c for c in printed.columns if c not in NOT_TASKS]
    tasks = [t for t in inputs.tasks(variant) if t in theirs]
    cautions = list(paper.cautions)
    group = _together(inputs, variant, theirs)
    if group is None and tasks:
        cautions.insert(0, f"No grouping of this study trains {', '.join(theirs)} together.")
    tables = [_scores(inputs, variant, paper, printed, theirs, group)] if tasks else []
    if group is not None:
        tables.append(_times(inputs, variant, paper, group))
    return tasks, cautions, tables


def _together(inputs: Inputs, variant: str, tasks: Sequence[str]) -> str | None:
    """Our grouping of exactly the paper's tasks."""
    groups = in_variant(inputs.scores, variant)["group"].unique()
    return next((g for g in groups if set(tasks_of(g)) == set(tasks)), None)


def _scores(
    inputs: Inputs,
    variant: str,
    paper: Paper,
    printed: pd.DataFrame,
    tasks: list[str],
    group: str | None,
) -> Table:
    lines = _printed(paper, printed, tasks)
    for split in ("dev", "test"):
        lines += _ours(inputs, variant, paper, tasks, group, split)
    ours = names.combiner_label(paper.our_baseline)
    base = f"“{paper.baseline}”" if paper.baseline else "none is printed"
    note = (
        f"Overall: {FORMULAS[paper.overall]}, as in the paper. Small: difference to the baseline "
        f"of the same study and split (the paper's: {base}; ours: {ours}), ours paired by seed, "
        f"with its {100 * inputs.confidence:g} % t interval over seeds, not corrected for the "
        "number of comparisons. Our dev scores are optimistic: selected on dev."
    )
    head = ["Model", "Split", *tasks, "Overall"]
    return table("Scores, the paper beside ours", head, lines, note)


def _printed(paper: Paper, printed: pd.DataFrame, tasks: list[str]) -> list[list[Cell]]:
    """Every printed arm, with its difference to the paper's baseline of the same split."""
    columns = [*tasks, "overall"]
    lines = []
    for row in printed.to_dict("records"):
        split = row["split"] if names.is_text(row["split"]) else None
        same = printed["split"].isna() if split is None else printed["split"] == split
        base = printed[(printed["arm"] == paper.baseline) & same]
        is_base = row["arm"] == paper.baseline
        line = cells(
            [f"paper, {row['table'].replace('_', ' ')}: {row['arm']}", split or names.DASH]
        )
        for column in columns:
            value = float(row[column])
            sub = ""
            if len(base) and not is_base:
                difference = value - float(base.iloc[0][column])
                sub = names.number(difference, 3, signed=True) if np.isfinite(difference) else ""
            line.append(Cell(names.score(value), sub))
        lines.append(line)
    return lines


def _ours(
    inputs: Inputs, variant: str, paper: Paper, tasks: list[str], group: str | None, split: str
) -> list[list[Cell]]:
    """Each task alone, then our arms without weights, which train one model for all tasks."""
    scores = in_variant(inputs.scores, variant)
    scores = scores[(scores["split"] == split) & scores["task"].isin(tasks)]
    alone = scores[scores["combiner"] == BASELINE]
    together = scores[(scores["group"] == group) & scores["alpha"].isna()]
    arms = [("each task alone", alone)]
    for combiner in sorted(together["combiner"].unique(), key=lambda c: names.arm_key(c, None)):
        arms.append((names.combiner_label(combiner), together[together["combiner"] == combiner]))
    base = by_seed(together[together["combiner"] == paper.our_baseline], tasks, paper)
    lines = []
    for label, rows in arms:
        found = by_seed(rows, tasks, paper)
        if not found.notna().any(axis=None):
            continue
        is_base = label == names.combiner_label(paper.our_baseline)
        line = cells([f"ours: {label}", split])
        for column in found.columns:
            sub = "" if is_base else difference(found[column], base[column], inputs.confidence)
            line.append(Cell(names.score(float(found[column].mean())), sub))
        lines.append(line)
    return lines


def by_seed(rows: pd.DataFrame, tasks: list[str], paper: Paper) -> pd.DataFrame:
    """Scores of an arm: a row per seed, a column per task, and the overall score of the seeds that
    have them all."""
    counted = rows.assign(counted=as_counted(rows, paper.overall))
    found, parts = (
        counted.pivot_table(index="seed", columns="task", values=value).reindex(columns=tasks)
        for value in ("score", "counted")
    )
    return found.assign(overall=parts.mean(axis=1, skipna=False))


def difference(values: pd.Series, base: pd.Series, confidence: float) -> str:
    """`−0.012 (−0.030 to +0.006)` over the seeds that both have; empty where there is none."""
    differences = (values - base).dropna()
    if not len(differences):
        return ""
    text = names.number(float(differences.mean()), 3, signed=True)
    low, high = t_interval(differences.to_numpy(), confidence)
    ends = names.span(low, high)
    return f"{text} ({ends})" if ends else text


def _times(inputs: Inputs, variant: str, paper: Paper, group: str) -> Table:
    """Ratios of step times: printed, and ours in the same grouping, variant and seed."""
    costs = in_variant(inputs.costs, variant)
    costs = costs[costs["group"] == group]
    seconds = costs.pivot_table(index="seed", columns="combiner", values="median_step_seconds")
    value = {}
    if paper.time_ratios:
        printed = published_table(paper.arms)
        value = dict(zip(printed["quantity"], printed["value"], strict=True))
    lines = []
    for ratio in paper.time_ratios:
        told = value[ratio.quantity] / (value[ratio.over] if ratio.over else 1)
        ours = pd.Series(dtype=float)
        if {ratio.of, ratio.to} <= set(seconds.columns):
            ours = (seconds[ratio.of] / seconds[ratio.to]).replace(np.inf, np.nan).dropna()
        ends = [names.number(float(end), 2) for end in (ours.min(), ours.max())]
        lines.append(
            [
                f"{names.combiner_label(ratio.of)} / {names.combiner_label(ratio.to)}",
                names.number(float(told), 2) + (" (derived)" if ratio.over else ""),
                names.number(float(ours.mean()), 2),
                f"{ends[0]} to {ends[1]}" if len(ours) > 1 else names.DASH,
                str(len(ours)),
            ]
        )
    head = ["Seconds per step", "Paper", "Ours, mean", "Lowest to highest seed", "Pairs of runs"]
    note = (
        f"{paper.time_setting} Ours: two runs of one seed and variant, so the same examples; times "
        "vary with whatever else the machine does."
    )
    return table("Time of a step, the paper beside ours", head, lines, note)
