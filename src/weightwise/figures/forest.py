"""Every arm of a task with its interval, in the order of the table, against the baseline."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from weightwise.figures import names, style
from weightwise.figures.drawing import (
    Drawing,
    figure_id,
    in_parts,
    in_variant_title,
    places,
    split_note,
)
from weightwise.figures.inputs import Inputs, of

GROUPS_PER_FIGURE = 4
COLOURS = {"gain": style.GAIN_COLOUR, "loss": style.LOSS_COLOUR}


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """One forest plot per variant, task and split; many groupings make several parts."""
    for variant, task, split in places(inputs):
        rows = of(inputs.arms, task, variant, split)
        rows = rows[(rows["combiner"] != "baseline") & rows["change"].notna()]
        groups = [g for g in inputs.groups(task, variant) if (rows["group"] == g).any()]
        parts = in_parts(groups, GROUPS_PER_FIGURE)
        for number, part in enumerate(parts, 1):
            yield _forest(inputs, rows, task, variant, split, part, (number, len(parts)))


def _forest(
    inputs: Inputs,
    rows: pd.DataFrame,
    task: str,
    variant: str,
    split: str,
    groups: list[str],
    part: tuple[int, int],
) -> Drawing:
    lines: list[tuple[str, pd.Series | None]] = []
    for group in groups:
        of_group = rows[rows["group"] == group]
        lines.append((names.short(names.group_label(group), 40), None))
        for arm in names.arms_of(of_group):
            row = of_group[names.same_arm(of_group, *arm)].iloc[0]
            same = f" {names.SAME}" if names.is_text(row["alias_of"]) else ""
            lines.append((names.short(names.arm_label(*arm), 30) + same, row))

    figure = style.figure(7.2, 1.0 + 0.235 * len(lines))
    ax = figure.add_subplot()
    ax.axvline(0, color=style.INK, linewidth=1.1, zorder=1)
    ax.grid(True, axis="x", linewidth=0.5)
    for height, (_, row) in enumerate(lines):
        if row is None:
            continue
        colour = COLOURS.get(row["verdict"], style.MUTED)
        if np.isfinite(row["adjusted_low"]) and np.isfinite(row["adjusted_high"]):
            ax.hlines(height, row["adjusted_low"], row["adjusted_high"], colour, linewidth=1.0)
        if np.isfinite(row["low"]) and np.isfinite(row["high"]):
            ax.hlines(height, row["low"], row["high"], colour, linewidth=3.2, alpha=0.75)
        filled = row["verdict"] in COLOURS
        ax.scatter(
            [row["change"]],
            [height],
            s=30,
            color=colour if filled else "white",
            edgecolors=colour,
            linewidths=1.2,
            zorder=3,
        )
    ax.set_yticks(range(len(lines)), [label for label, _ in lines])
    for tick, (_, row) in zip(ax.get_yticklabels(), lines, strict=True):
        if row is None:
            tick.set_fontweight("bold")
    ax.set_ylim(len(lines) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(f"change in {inputs.metric(task)} on {split}, % (0: the baseline)")
    number, count = part
    which = f", part {number} of {count}" if count > 1 else ""
    style.heading(figure, f"{names.short(inputs.title(task), 40)}: every arm on {split}{which}")

    shown = rows[rows["group"].isin(groups)]
    gains, losses = ((shown["verdict"] == v).sum() for v in ("gain", "loss"))
    return Drawing(
        id=figure_id("forest", variant, task, split, *([str(number)] if count > 1 else [])),
        title=f"{inputs.title(task)}: every arm with its interval on {split}{which}"
        + in_variant_title(variant),
        caption=_caption(inputs, shown, split),
        figure=figure,
        alt=f"Forest plot of {len(shown)} arms of {task} on {split}: {gains} gains and {losses} "
        "losses survive correction.",
        variant=variant,
        task=task,
        split=split,
        runs=inputs.run_keys(task, variant, split),
    )


def _caption(inputs: Inputs, rows: pd.DataFrame, split: str) -> str:
    if rows["low"].notna().any():
        text = (
            f"Thick line: {100 * inputs.confidence:g} % t interval over seeds; thin line: the same "
            "after Holm's correction over all arms of the task. Filled points survive correction "
            "(blue: gain, orange: loss); open grey points are no evidence."
        )
    else:
        text = "One seed: points without intervals, so none of them is evidence."
    if same := names.same_method(rows["alias_of"]):
        text += f" {names.SAME} {same}."
    return f"{text} {split_note(split)}"
