"""How the weights of the tasks move over training, for combiners that move them."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from weightwise.analysis.over_seeds import over_seeds
from weightwise.figures import names, style
from weightwise.figures.drawing import (
    Drawing,
    figure_id,
    in_parts,
    in_variant_title,
    seeds_told,
)
from weightwise.figures.inputs import Inputs, in_variant

COLUMNS = 3
PANELS_PER_FIGURE = 12
ARM = ["group", "combiner", "alpha"]


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """One figure per variant, a panel per grouping and arm; many of them make several parts."""
    for variant in inputs.variants:
        rows = in_variant(inputs.weights, variant)
        panels = [
            (group, arm)
            for group in rows["group"].unique()
            for arm in names.arms_of(rows[rows["group"] == group])
        ]
        parts = in_parts(panels, PANELS_PER_FIGURE)
        for number, part in enumerate(parts, 1):
            yield _figure(inputs, rows, variant, part, (number, len(parts)))


def _figure(
    inputs: Inputs,
    rows: pd.DataFrame,
    variant: str,
    places: list[tuple[str, tuple[str, str | None]]],
    part: tuple[int, int],
) -> Drawing:
    columns = min(COLUMNS, len(places))
    lines = -(-len(places) // columns)
    figure = style.figure(2.75 * columns + 0.5, 2.15 * lines + 0.6)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    order = inputs.tasks(variant)
    chosen, told = [], []
    for ax, (group, arm) in zip(panels, places, strict=False):
        own = rows[(rows["group"] == group) & names.same_arm(rows, *arm)]
        chosen.append(own)
        ends = _panel(ax, own, group, arm, order, inputs.confidence)
        told.append(f"{names.arm_label(*arm)} on {group} ends with {ends}")
    for ax in panels[len(places) :]:
        ax.set_visible(False)
    used = {task for own in chosen for task in own["task"]}
    handles = {}
    for ax in panels[: len(places)]:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    labels = [task for task in order if task in used]
    figure.legend(
        [handles[task] for task in labels], [names.short(task) for task in labels],
        loc="outside upper left", ncols=min(5, len(labels)), frameon=False, fontsize=8.5,
    )  # fmt: skip
    figure.supylabel("share of the step's weights", fontsize=9)
    figure.supxlabel("training, % of the steps", fontsize=9)
    number, count = part
    which = f", part {number} of {count}" if count > 1 else ""
    everything = pd.concat(chosen)
    seeds = everything.groupby(ARM, sort=False, dropna=False)["seed"].nunique()
    spread = (
        f"Lines: means over {seeds_told(seeds)}; bands: {100 * inputs.confidence:g} % t intervals "
        "over the seeds."
        if seeds.max() > 1
        else "One seed: no band exists."
    )
    return Drawing(
        id=figure_id("weights", variant, None, *([str(number)] if count > 1 else [])),
        title=f"Weights of the tasks over training{which}" + in_variant_title(variant),
        caption="The weight of each task's gradient in the update divided by the sum of all the "
        "weights of that step, for the arms whose weights change; dashed: equal weights. Means "
        f"over all steps of each stretch of training. {spread}",
        figure=figure,
        alt=f"Lines of the tasks' weights over training. {'; '.join(told)}.",
        variant=variant,
        runs=inputs.step_run_keys(everything),
    )


def _panel(
    ax: Axes,
    rows: pd.DataFrame,
    group: str,
    arm: tuple[str, str | None],
    order: list[str],
    confidence: float,
) -> str:
    """Draw one arm; gives the last shares in words."""
    means = over_seeds(rows, ["task", "bin", "begin", "end"], ["share"], confidence)
    tasks = [task for task in order if (means["task"] == task).any()]
    ax.axhline(1 / len(tasks), color=style.MUTED, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    ax.grid(True, axis="y", linewidth=0.5)
    ends = []
    for task in tasks:
        colour = style.PALETTE[order.index(task) % len(style.PALETTE)]
        line = means[means["task"] == task].sort_values("bin")
        middle = 50 * (line["begin"] + line["end"])
        if line["share_low"].notna().any():
            ax.fill_between(
                middle, line["share_low"], line["share_high"], color=colour, alpha=0.16,
                linewidth=0,
            )  # fmt: skip
        ax.plot(middle, line["share"], color=colour, linewidth=1.6, zorder=3, label=task)
        ends.append(f"{task} {names.number(float(line['share'].iloc[-1]), 2)}")
    known = means["share"].dropna()
    low, high = (min(0.0, known.min()), max(1.0, known.max())) if len(known) else (0.0, 1.0)
    ax.set(xlim=(0, 100), ylim=(low - 0.02, high + 0.02))
    style.title(ax, names.short(names.arm_label(*arm), 30), fontsize=9, pad=16)
    ax.text(
        0, 1.03, names.short(names.group_label(group), 34), transform=ax.transAxes, fontsize=8,
        color=style.MUTED, va="bottom",
    )  # fmt: skip
    return ", ".join(ends)
