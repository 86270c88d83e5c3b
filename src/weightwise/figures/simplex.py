"""Change of a task over the weights of three tasks: a triangle instead of a curve."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from weightwise.figures import names, style
from weightwise.figures.drawing import (
    Drawing,
    figure_id,
    in_variant_title,
    places,
    split_note,
)
from weightwise.figures.inputs import Inputs, of

CORNERS = np.array([[0.5, np.sqrt(3) / 2], [0.0, 0.0], [1.0, 0.0]])
# Half a turn of text and dots must fit around the triangle.
ROOM = {"xlim": (-0.22, 1.22), "ylim": (-0.2, 1.06)}


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """One figure per variant, task and split; one triangle per grouping of three tasks."""
    for variant, task, split in places(inputs):
        rows = of(inputs.arms, task, variant, split)
        rows = rows[(rows["combiner"] == "unitary") & rows["change"].notna()]
        rows = rows[rows["alpha"].str.count(",") == 2]
        groups = [g for g in inputs.groups(task, variant) if (rows["group"] == g).any()]
        if groups:
            yield _figure(inputs, rows, task, variant, split, groups)


def _figure(
    inputs: Inputs, rows: pd.DataFrame, task: str, variant: str, split: str, groups: list[str]
) -> Drawing:
    largest = float(rows["change"].abs().max()) or 1.0
    columns = min(3, len(groups))
    lines = -(-len(groups) // columns)
    figure = style.figure(3.6 * columns + 0.9, 3.4 * lines + 0.3)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for panel, group in zip(panels, groups, strict=False):
        _triangle(panel, rows[rows["group"] == group], task, group, largest)
    for panel in panels[len(groups) :]:
        panel.set_visible(False)
    style.change_bar(figure, list(panels), largest, "change to the baseline, %")
    top = rows.loc[rows["change"].idxmax()]
    return Drawing(
        id=figure_id("simplex", variant, task, split),
        title=f"{inputs.title(task)}: weights of three tasks and change on {split}"
        + in_variant_title(variant),
        caption="Each dot is one set of weights; the nearer to a corner, the larger that task's "
        f"weight. {names.GAIN} gain and {names.LOSS} loss survive correction; other numbers are "
        f"no evidence. {split_note(split)}",
        figure=figure,
        alt=f"Triangle of weights for {task} on {split}; highest change "
        f"{names.percent(top['change'])} with {names.arm_label('unitary', top['alpha'])}.",
        variant=variant,
        task=task,
        split=split,
        runs=inputs.run_keys(task, variant, split),
    )


def _triangle(ax: Axes, rows: pd.DataFrame, task: str, group: str, largest: float) -> None:
    members = [task, *(name for name in group.split("+") if name != task)]
    outline = CORNERS[[0, 1, 2, 0]]
    ax.plot(outline[:, 0], outline[:, 1], color=style.MUTED, linewidth=0.8, zorder=1)
    weights = np.array([[float(w) for w in alpha.split(",")] for alpha in rows["alpha"]])
    spots = weights @ CORNERS
    shades = style.squash(rows["change"].to_numpy(float), largest)
    ax.scatter(
        *spots.T, c=shades, cmap=style.DIVERGING, norm=Normalize(-1, 1), s=620,
        edgecolors=style.MUTED, linewidths=0.6, zorder=2,
    )  # fmt: skip
    for (x, y), row in zip(spots, rows.itertuples(), strict=True):
        sign = names.sign_of(row.verdict)
        text = names.number(row.change, 2, signed=True) + (f"\n{sign}" if sign else "")
        ink = style.ink_on(row.change, largest)
        ax.text(x, y, text, ha="center", va="center", fontsize=7, color=ink, zorder=3)
    for (x, y), name, above in zip(CORNERS, members, (True, False, False), strict=True):
        label = names.short(name, 14)
        ax.text(
            x, y + (0.04 if above else -0.06), label, ha="center",
            va="bottom" if above else "top", fontweight="bold" if name == task else "normal",
        )  # fmt: skip
    ax.set(aspect="equal", **ROOM)
    ax.set_axis_off()
    style.title(ax, names.short(names.group_label(group), 34), fontsize=9, pad=2)
