"""Relative change of a task: arms x groupings (tables 1 to 3 of the pairing paper)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from weightwise.figures import names, style
from weightwise.figures.drawing import (
    Drawing,
    figure_id,
    in_variant_title,
    places,
    split_note,
)
from weightwise.figures.inputs import Inputs, of


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """One heatmap per variant, task and split."""
    for variant, task, split in places(inputs):
        rows = of(inputs.arms, task, variant, split)
        rows = rows[rows["combiner"] != "baseline"]
        groups = inputs.groups(task, variant)
        if len(rows) and groups and inputs.has_baselines(variant):
            yield _heatmap(inputs, rows, task, variant, split, groups)


def _heatmap(
    inputs: Inputs, rows: pd.DataFrame, task: str, variant: str, split: str, groups: list[str]
) -> Drawing:
    arms = names.arms_of(rows)
    cells = {
        (group, arm): found.iloc[0]
        for group in groups
        for arm in arms
        if len(found := rows[(rows["group"] == group) & names.same_arm(rows, *arm)])
    }
    values = np.array(
        [[cells[g, a]["change"] if (g, a) in cells else np.nan for g in groups] for a in arms],
        dtype=float,
    )
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max()) if finite.size and finite.max() > 0 else 1.0

    wide = max(1.15, min(1.9, 6.4 / len(groups)))
    figure = style.figure(2.5 + wide * len(groups), 1.3 + 0.4 * len(arms))
    ax = figure.add_subplot()
    style.change_cells(ax, values, largest)
    for (group, arm), cell in cells.items():
        _annotate(ax, groups.index(group), arms.index(arm), cell, largest)
    alias = [
        any(names.is_text(c["alias_of"]) for (_, a), c in cells.items() if a == m) for m in arms
    ]
    labels = [
        names.short(names.arm_label(*arm), 30) + (f" {names.SAME}" if same else "")
        for arm, same in zip(arms, alias, strict=True)
    ]
    ax.set_yticks(np.arange(len(arms)) + 0.5, labels, rotation=0)
    columns = ["+\n".join(names.short(p, 16) for p in g.split("+")) for g in groups]
    ax.set_xticks(np.arange(len(groups)) + 0.5, columns, rotation=0)
    ax.xaxis.tick_top()
    style.change_bar(figure, ax, largest, "change to the baseline, %")
    heading = f"{names.short(inputs.title(task), 30)}: change in {inputs.metric(task)} on {split}"
    style.heading(figure, heading)
    ax.set_xlabel("")
    ax.set_ylabel(f"α: weight of {names.short(task, 24)}", labelpad=8)

    return Drawing(
        id=figure_id("heatmap", variant, task, split),
        title=f"Change in {inputs.metric(task)} of {inputs.title(task)} on {split}"
        + in_variant_title(variant),
        caption=_caption(inputs, rows, task, split),
        figure=figure,
        alt=_alt(rows, task, split),
        variant=variant,
        task=task,
        split=split,
        runs=inputs.run_keys(task, variant, split),
    )


def _annotate(ax, column: int, row: int, cell: pd.Series, largest: float) -> None:
    change = cell["change"]
    if not np.isfinite(change):
        return
    ink = style.ink_on(change, largest)
    sign = names.sign_of(cell["verdict"])
    text = names.number(change, 2, signed=True) + (f" {sign}" if sign else "")
    half = (cell["high"] - cell["low"]) / 2
    spread = np.isfinite(half)
    ax.text(
        column + 0.5,
        row + (0.36 if spread else 0.5),
        text,
        ha="center",
        va="center",
        color=ink,
        fontsize=9,
        fontweight="bold" if sign else "normal",
    )
    if spread:
        ax.text(
            column + 0.5,
            row + 0.74,
            f"± {names.number(half, 2)}",
            ha="center",
            va="center",
            color=ink,
            fontsize=7,
        )


def _caption(inputs: Inputs, rows: pd.DataFrame, task: str, split: str) -> str:
    seeds = int(rows["seeds"].max())
    level = f"{100 * inputs.confidence:g} %"
    parts = [
        f"Mean change in per cent to {task} trained alone with the same seed; rows are the weight "
        f"α of {task} itself, columns the groupings."
    ]
    if seeds > 1:
        parts.append(
            f"± is half the {level} t interval over {seeds} seeds. {names.GAIN} a gain and "
            f"{names.LOSS} a loss that survive Holm's correction over the "
            f"{int(rows['family'].max())} arms of this task and split at the level of "
            f"{100 * rows['error'].max():.2g} %, which the report's tasks share; numbers without a "
            "sign are no evidence."
        )
    else:
        parts.append("One seed: no interval exists, and no cell is evidence.")
    if same := names.same_method(rows["alias_of"]):
        parts.append(f"{names.SAME} {same}: run once, shown in both rows.")
    parts.append("Hatched: no score. The colour scale is the square root of the change.")
    return " ".join([*parts, split_note(split)])


def _alt(rows: pd.DataFrame, task: str, split: str) -> str:
    known = rows[rows["change"].notna()]
    if not len(known):
        return f"Heatmap of {task} on {split}: no change could be computed."
    texts = []
    for word, place in (
        ("highest", known["change"].idxmax()),
        ("lowest", known["change"].idxmin()),
    ):
        cell = known.loc[place]
        arm = names.arm_label(cell["combiner"], cell["alpha"])
        texts.append(f"{word} {names.percent(cell['change'])} with {cell['group']}, {arm}")
    return f"Heatmap of the change of {task} on {split}: {'; '.join(texts)}."
