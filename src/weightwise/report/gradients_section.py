"""What the gradients did: conflict by layer and time, what the combiners made of it, its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from weightwise.analysis.conflicts import ALL
from weightwise.analysis.over_seeds import over_seeds, whole_runs
from weightwise.figures import names
from weightwise.figures.conflict import shown_arms
from weightwise.figures.inputs import Inputs, in_variant
from weightwise.report.action_words import in_words
from weightwise.report.cost_ratio_table import ratio_table
from weightwise.report.html import Cell, Figure, Table, table
from weightwise.report.task_section import Block

ARM = ["group", "combiner", "alpha"]


@dataclass(frozen=True)
class GradientsSection:
    """The section of one variant: what was recorded, in words, then its blocks."""

    notes: list[str]
    blocks: list[Block]


def gradients_section(
    inputs: Inputs, variant: str, figures: list[dict[str, Any]]
) -> GradientsSection | None:
    """The section, or None where no run of two or more tasks is finished.

    `figures` are this variant's records of the index.
    """
    actions = in_variant(inputs.actions, variant)
    if actions.empty:
        return None

    def drawn(kind: str) -> list[Figure]:
        return [f["figure"] for f in figures if f.get("kind") == kind]

    conflicts = in_variant(inputs.conflicts, variant)
    by_pair = [_pairs(inputs, conflicts, weighted) for weighted in (False, True)]
    acted = [_acted(inputs, actions, weighted) for weighted in (False, True)]
    blocks = [
        Block("Where and when they conflict", drawn("conflict"), by_pair[:1], by_pair[1:]),
        Block("What the combiners did", [], acted[:1], acted[1:]),
        Block("Weights over training", drawn("weights"), [], [_moves(inputs, variant)]),
        Block("What it cost beside addition", drawn("cost"), [ratio_table(inputs, variant)], []),
    ]
    filled = [
        Block(b.title, b.figures, [t for t in b.tables if t], [t for t in b.folded if t])
        for b in blocks
    ]
    shown = [b for b in filled if b.figures or b.tables or b.folded]
    return GradientsSection(_notes(inputs, variant, actions, conflicts), shown)


def _notes(
    inputs: Inputs, variant: str, actions: pd.DataFrame, conflicts: pd.DataFrame
) -> list[str]:
    notes = []
    if conflicts.empty:
        notes.append(_why_nothing(inputs))
    else:
        counts = actions.loc[actions["recorded"] > 0, ["recorded", "steps"]].drop_duplicates()
        told = [
            f"{r.recorded:,} of {r.steps:,}" for r in counts.sort_values("recorded").itertuples()
        ]
        arms = names.arms_of(shown_arms(conflicts))
        how = " or ".join(names.arm_label(*arm) for arm in arms)
        notes.append(
            f"By layer block the gradients were recorded in {' or '.join(told)} steps of a run, at "
            "even distances; over the whole encoder in every step under the combiners that "
            f"separate the gradients. The map shows {how}: what the tasks' gradients do when "
            "nobody interferes. Cosines are those of mini-batch gradients, whose noise pulls them "
            "towards zero."
        )
    if (actions["combiner"] != "addition").any() and not (actions["combiner"] == "addition").any():
        notes.append("Addition was not run, so there is no cost to compare with.")
    return notes


def _why_nothing(inputs: Inputs) -> str:
    training = inputs.study.training if inputs.study else None
    if training is not None and training.record_every == 0:
        return (
            "This study records no inner products of the gradients (training.record_every: 0), so "
            "there is no map of conflicts. Weights are known in every step all the same."
        )
    return (
        "No finished run holds recorded inner products of the gradients, so there is no map of "
        "conflicts; runs record them where training.record_every is above 0 when they are trained."
    )


def _arm_rows(frame: pd.DataFrame, weighted: bool) -> pd.DataFrame:
    """The rows of arms with weights of their own, of which there are many, or of the others."""
    return frame[frame["alpha"].notna() == weighted]


def _pairs(inputs: Inputs, conflicts: pd.DataFrame, weighted: bool) -> Table:
    rows = whole_runs(_arm_rows(conflicts[conflicts["block"] == ALL], weighted))
    by = ["group", "first", "second", "combiner", "alpha"]
    means = over_seeds(rows, by, ["cosine", "negative", "log_ratio"], inputs.confidence)
    steps = rows.groupby(by, sort=False, dropna=False)["steps"].sum()
    means = means.assign(steps=steps.to_numpy())
    lines = []
    for (group, first, second), own in means.groupby(by[:3], sort=False):
        for row in _in_order(own):
            span = names.number(row.cosine_low, 2, True), names.number(row.cosine_high, 2, True)
            lines.append(
                [
                    f"{first} and {second}"
                    + ("" if group == f"{first}+{second}" else f" in {names.group_label(group)}"),
                    names.arm_label(row.combiner, row.alpha),
                    str(row.seeds),
                    f"{row.steps:,}",
                    names.number(row.cosine, 3, signed=True),
                    f"{span[0]} to {span[1]}" if names.DASH not in span else names.DASH,
                    _percent(row.negative),
                    names.ratio(row.log_ratio),
                ]
            )
    head = ["Tasks", "Arm", "Seeds", "Steps", "Mean cosine", f"{100 * inputs.confidence:g} %"]
    head += ["Steps below zero", "|first| ÷ |second|"]
    note = (
        "Over the whole encoder and the whole run; intervals are t intervals over seeds. Steps: "
        "those whose inner products are known, of all seeds. |first| ÷ |second|: how much longer "
        "the first task's gradient is than the second's, geometric mean."
    )
    which = "weighted arms" if weighted else "every combiner"
    return table(f"Cosine of the tasks' gradients under {which}", head, lines, note)


def _acted(inputs: Inputs, actions: pd.DataFrame, weighted: bool) -> Table:
    rows = _arm_rows(actions, weighted)
    means = over_seeds(
        rows, ARM, ["conflict", "acted", "turned", "update_cosine"], inputs.confidence
    )
    lines = []
    for group, own in means.groupby("group", sort=False):
        for row in _in_order(own):
            runs = rows[(rows["group"] == group) & names.same_arm(rows, row.combiner, row.alpha)]
            lines.append(
                [
                    names.group_label(group),
                    names.arm_label(row.combiner, row.alpha),
                    str(row.seeds),
                    _percent(row.conflict),
                    _percent(row.acted),
                    _percent(row.turned),
                    names.number(row.update_cosine, 3),
                    Cell(in_words(runs), look="wrap"),
                ]
            )
    head = ["Grouping", "Arm", "Seeds", "Met a conflict", "Acted", "Turned the update"]
    head += ["Update · plain sum", "In words"]
    note = (
        "Shares of the steps, means over seeds. Met a conflict: two tasks' gradients had a cosine "
        "below zero. Acted: the gradients gave the tasks unequal weights. Turned the update: its "
        "direction on the encoder is not that of the plain sum of the gradients; the next column "
        "is the mean cosine between the two. Under fixed weights the gradients are known in the "
        "recorded steps only."
    )
    which = "weighted arms" if weighted else "every combiner"
    return table(f"What was done in how many steps: {which}", head, lines, note)


def _moves(inputs: Inputs, variant: str) -> Table:
    """First and last weights of every arm whose weights change."""
    rows = in_variant(inputs.weights, variant)
    by = [*ARM, "task"]
    lines = []
    means = over_seeds(rows, [*by, "bin"], ["share", "share_sd"], inputs.confidence)
    for group, of_group in means.groupby("group", sort=False):
        for arm in names.arms_of(of_group):
            own = of_group[names.same_arm(of_group, *arm)]
            for task, line in own.groupby("task", sort=False):
                line = line.sort_values("bin")
                ends = line.iloc[[0, -1]]
                lines.append(
                    [names.group_label(group), names.arm_label(*arm), task]
                    + [
                        names.number(share, 3)
                        + (
                            f" ({names.number(low, 3)} to {names.number(high, 3)})"
                            if pd.notna(low)
                            else ""
                        )
                        for share, low, high in zip(
                            ends["share"], ends["share_low"], ends["share_high"], strict=True
                        )
                    ]
                    + [names.number(float(line["share_sd"].mean()), 3)]
                )
    head = ["Grouping", "Arm", "Task", "First stretch", "Last stretch", "SD from step to step"]
    note = (
        "Share of the step's weights, means over seeds with t intervals over them. SD: within a "
        "stretch of training, which the means hide."
    )
    return table("Weights at the start and at the end of training", head, lines, note)


def _in_order(rows: pd.DataFrame) -> list:
    return sorted(rows.itertuples(), key=lambda row: names.arm_key(row.combiner, row.alpha))


def _percent(share: float) -> str:
    text = names.number(100 * share, 0 if share in (0, 1) else 1)
    return text if text == names.DASH else f"{text} %"
