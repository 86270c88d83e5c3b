"""The section of one task: baseline, absolute scores, every arm's numbers, its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from weightwise.figures import names
from weightwise.figures.drawing import split_note
from weightwise.figures.inputs import Inputs, of
from weightwise.report import verdict
from weightwise.report.html import Cell, Figure, Table, table
from weightwise.report.score_cautions import score_cautions

KINDS = (
    ("heatmap", "Change by arm and grouping"),
    ("absolute", "Absolute scores"),
    ("forest", "Every arm with its interval"),
    ("regression", "Weight and change"),
    ("simplex", "Weights of three tasks"),
    ("confusion", "Confusion matrices"),
    ("scatter", "Predicted and true values"),
)


@dataclass(frozen=True)
class Block:
    """A sub-section: a heading, figures side by side, tables, long tables folded away."""

    title: str
    figures: list[Figure]
    tables: list[Table]
    folded: list[Table]

    @property
    def wide(self) -> bool:
        """Whether the figures are too wide to stand side by side."""
        return any(figure.width > 720 for figure in self.figures)


@dataclass(frozen=True)
class TaskSection:
    """Everything about one task of one variant."""

    task: str
    title: str
    anchor: str
    baselines: list[str]
    cautions: list[str]
    blocks: list[Block]


def task_section(
    inputs: Inputs,
    task: str,
    variant: str,
    figures: dict[str, list[Figure]],
    checks: dict[str, Any],
) -> TaskSection:
    """The section; `figures` holds this task's figures by kind, dev beside test."""
    splits = inputs.splits(task, variant)
    blocks = []
    for kind, title in KINDS:
        tables: list[Table] = []
        folded: list[Table] = []
        if kind == "absolute":
            tables = [absolute(inputs, task, variant, split) for split in splits]
        elif kind == "forest" and inputs.has_baselines(variant):
            folded = [every_arm(inputs, task, variant, split) for split in splits]
        elif kind == "regression":
            tables = [fits(inputs, task, variant)]
        block = Block(
            title, figures.get(kind, []), [t for t in tables if t], [t for t in folded if t]
        )
        if block.figures or block.tables or block.folded:
            blocks.append(block)
    return TaskSection(
        task=task,
        title=inputs.title(task),
        anchor=verdict.anchor(task, variant),
        baselines=[_baseline(inputs, task, variant, split, checks) for split in splits],
        cautions=score_cautions(inputs, variant, task, checks, all_cuts=True),
        blocks=blocks,
    )


def _baseline(inputs: Inputs, task: str, variant: str, split: str, checks: dict[str, Any]) -> str:
    rows = of(inputs.arms, task, variant, split)
    rows = rows[rows["combiner"] == "baseline"]
    score, sd = (rows.iloc[0]["score"], rows.iloc[0]["score_sd"]) if len(rows) else (None, None)
    if not verdict.number(score):
        why = rows.iloc[0]["undefined"] if len(rows) else None
        if names.is_text(why):
            return f"{split}: alone, there is no score: {why}."
        return f"{split}: there is no baseline, so no change can be computed."
    text = f"{split}: alone, {inputs.metric(task)} {names.score(score)}"
    if verdict.number(sd):
        seeds = inputs.scores[
            (inputs.scores["task"] == task)
            & (inputs.scores["variant"] == variant)
            & (inputs.scores["combiner"] == "baseline")
        ]["seed"].nunique()
        text += f" (standard deviation {names.score(sd)} over {seeds} seeds)"
    labels = majority(checks, task, split)
    if labels is None:
        return text + "."
    share, name = labels
    text += f"; always answering “{name}” would score {names.score(share)}."
    if score <= share:
        text += " The baseline has learned nothing beyond that."
    return text


def majority(checks: dict[str, Any], task: str, split: str) -> tuple[float, str] | None:
    """Share and name of the most frequent class of a split."""
    facts = ((checks.get("tasks") or {}).get(task) or {}).get("splits") or {}
    labels = (facts.get(split) or {}).get("labels") or {}
    share = labels.get("majority_share")
    if not isinstance(share, int | float):
        return None
    return float(share), str(labels.get("majority_class", "the most frequent class"))


def absolute(inputs: Inputs, task: str, variant: str, split: str) -> Table:
    """The paper's layout: baseline, weights ascending, addition, PCGrad; a column per grouping."""
    rows = of(inputs.arms, task, variant, split)
    groups = inputs.groups(task, variant)
    base = rows[rows["combiner"] == "baseline"]
    lines = []
    if len(base):
        cell = _score_cell(base.iloc[0])
        lines.append([Cell("Baseline"), Cell(cell.text, cell.sub, span=max(1, len(groups)))])
    for arm in names.arms_of(rows):
        found = {g: rows[(rows["group"] == g) & names.same_arm(rows, *arm)] for g in groups}
        same = any(names.is_text(f.iloc[0]["alias_of"]) for f in found.values() if len(f))
        label = names.arm_label(*arm) + (f" {names.SAME}" if same else "")
        lines.append(
            [Cell(label)]
            + [_score_cell(f.iloc[0]) if len(f) else Cell(names.DASH) for f in found.values()]
        )
    note = (
        f"Mean, and standard deviation (SD) over seeds; α is the weight of {task} itself. "
        f"{names.GAIN} gain, {names.LOSS} loss that survive correction. "
        + (f"{names.SAME} {same}. " if (same := names.same_method(rows["alias_of"])) else "")
        + split_note(split)
    )
    head = [names.group_label(g) for g in groups]
    caption = f"{inputs.title(task)}: {inputs.metric(task)} on {split}"
    return table(caption, ["Loss function", *head], lines, note)


def _score_cell(row: pd.Series) -> Cell:
    sign = names.sign_of(row["verdict"])
    sub = f"SD {names.score(row['score_sd'])}" if verdict.number(row["score_sd"]) else ""
    look = row["verdict"] if sign else ""
    return Cell(names.score(row["score"]) + (f" {sign}" if sign else ""), sub, look)


def every_arm(inputs: Inputs, task: str, variant: str, split: str) -> Table:
    """All numbers of every arm."""
    rows = of(inputs.arms, task, variant, split)
    lines = []
    for group in inputs.groups(task, variant):
        of_group = rows[rows["group"] == group]
        for arm in names.arms_of(of_group):
            row = of_group[names.same_arm(of_group, *arm)].iloc[0]
            lines.append(_arm_line(group, arm, row))
    level = f"{100 * inputs.confidence:g} %"
    head = ["Grouping", "Arm", "Seeds", "Score", "Change", f"{level} interval"]
    head += ["adjusted", "p", "p (Holm)", "Sees from", "Verdict"]
    return table(f"{inputs.title(task)}: all numbers of every arm on {split}", head, lines)


def _arm_line(group: str, arm: tuple[str, str | None], row: pd.Series) -> list[Cell]:
    said = row["verdict"]
    if names.is_text(row["undefined"]):
        said += f": {row['undefined']}"
    if names.is_text(row["alias_of"]):
        said += f" ({names.SAME} {row['alias_of']})"
    texts = [
        names.group_label(group),
        names.arm_label(*arm),
        str(int(row["seeds"])),
        names.score(row["score"]),
        names.percent(row["change"]),
        names.interval(row["low"], row["high"]) or names.DASH,
        names.interval(row["adjusted_low"], row["adjusted_high"]) or names.DASH,
        names.p_value(row["p_value"]),
        names.p_value(row["p_holm"]),
        f"{names.number(row['visible'], 2)} %" if verdict.number(row["visible"]) else names.DASH,
    ]
    look = row["verdict"] if row["verdict"] in ("gain", "loss") else ""
    return [Cell(text) for text in texts] + [Cell(said, look=f"{look} wrap".strip())]


def fits(inputs: Inputs, task: str, variant: str) -> Table:
    """Regressions of the task: R², coefficients, optimum."""
    lines = []
    for row in of(inputs.regressions, task, variant).itertuples():
        bend = names.number(row.quadratic, 2, signed=True)
        if np.isfinite(row.quadratic_low) and np.isfinite(row.quadratic_high):
            low = names.number(row.quadratic_low, 2, signed=True)
            bend += f" ({low} to {names.number(row.quadratic_high, 2, signed=True)})"
        lines.append(
            [
                names.group_label(row.group),
                row.split,
                str(row.seeds),
                names.score(row.r_squared),
                names.number(row.intercept, 2, signed=True),
                names.number(row.linear, 2, signed=True),
                bend,
                optimum(row),
                names.percent(row.change_at_optimum),
                Cell(_rest_of_note(row.note), look="wrap"),
            ]
        )
    head = ["Grouping", "Split", "Seeds", "R²", "Constant", "α", "α²"]
    head += ["Optimum α", "Change there", "Note"]
    if not any(line[-1].text for line in lines):
        head, lines = head[:-1], [line[:-1] for line in lines]
    caption = f"{inputs.title(task)}: change = constant + b·α + c·α², in per cent"
    return table(caption, head, lines)


def _rest_of_note(note: str) -> str:
    """What the note says beyond the optimum, which has a column of its own."""
    parts = [part.removeprefix("no interior optimum: ") for part in note.split("; ")]
    return "; ".join(p for p in parts if not p.startswith("optimum ") or "," in p.split("]")[-1])


def optimum(row) -> str:
    """`0.63 (0.61 to 0.64)` or `no interior optimum`."""
    if not np.isfinite(row.optimum):
        return "no interior optimum"
    text = names.number(row.optimum, 2)
    if np.isfinite(row.optimum_low) and np.isfinite(row.optimum_high):
        text += f" ({names.number(row.optimum_low, 2)} to {names.number(row.optimum_high, 2)})"
    return text
