"""Confusion matrices of baseline and best arms, and their difference (figures 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from weightwise.figures import names, style
from weightwise.figures.drawing import (
    Drawing,
    figure_id,
    in_parts,
    in_variant_title,
    looked_into,
    places,
    split_note,
)
from weightwise.figures.inputs import Inputs, in_variant

ARMS_PER_FIGURE = 3


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """Per variant, class task and split: the baseline beside the best arm of each grouping."""
    for variant, task, split in places(inputs):
        base, arms = looked_into(inputs, inputs.confusions, task, variant, split)
        if base is None and not arms:
            continue
        parts = in_parts(arms, ARMS_PER_FIGURE) or [[]]
        for number, part in enumerate(parts, 1):
            yield _figure(inputs, base, part, task, variant, split, (number, len(parts)))


def _counts(rows: pd.DataFrame, size: int) -> np.ndarray:
    counts = np.zeros((size, size))
    np.add.at(counts, (rows["true"].to_numpy(), rows["predicted"].to_numpy()), rows["count"])
    return counts


def _shares(counts: np.ndarray) -> np.ndarray:
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)


def _figure(
    inputs: Inputs,
    base: pd.DataFrame | None,
    arms: list[tuple[str, str, pd.DataFrame]],
    task: str,
    variant: str,
    split: str,
    part: tuple[int, int],
) -> Drawing:
    shown = ([("", "Baseline", base)] if base is not None else []) + arms
    size = 1 + max(int(rows[["true", "predicted"]].to_numpy().max()) for _, _, rows in shown)
    size = max(size, 2)
    labels = [names.short(c, 17) for c in inputs.classes(task, size)]
    differences = base is not None and bool(arms)
    rows_of_panels = 2 if differences else 1
    # Cells are square, so the room for class names is added to them, not taken from them.
    cells = 0.46 * max(size, 3)
    names_room = 0.068 * max(map(len, labels)) + 0.1
    below = names_room if _stand_upright(labels) else 0.2
    figure = style.figure(
        0.5 + names_room + (cells + 0.25) * len(shown),
        (cells + below + 0.6) * rows_of_panels + 0.2,
    )
    grid = figure.subplots(rows_of_panels, len(shown), squeeze=False)
    reference = _shares(_counts(base, size)) if base is not None else None
    for column, (group, label, rows) in enumerate(shown):
        counts = _counts(rows, size)
        _matrix(grid[0, column], counts, labels)
        heading = f"{names.short(names.group_label(group), 26)}\n{label}" if group else label
        style.title(grid[0, column], heading, fontsize=9)
        if differences and group:
            _difference(grid[1, column], 100 * (_shares(counts) - reference), labels)
    if differences:
        grid[1, 0].set_axis_off()
        grid[1, 0].set_box_aspect(1)
        # The first column has no difference; its room holds the class names of the second row.
        for place, label in enumerate(labels):
            height = 1 - (place + 0.5) / size
            grid[1, 0].text(
                1.02, height, label, ha="right", va="center", fontsize=7.5,
                transform=grid[1, 0].transAxes,
            )  # fmt: skip
        grid[1, 0].text(
            0.0, 0.5, "Difference to\nthe baseline in\npercentage points",
            ha="left", va="center", transform=grid[1, 0].transAxes, color=style.MUTED,
        )  # fmt: skip
    for row, column in np.ndindex(grid.shape):
        ax = grid[row, column]
        first = column == 0
        if not first:
            ax.set_yticklabels([])
        ax.set_ylabel("true" if first else "")
        ax.set_xlabel("predicted")
    number, count = part
    which = f", part {number} of {count}" if count > 1 else ""
    seeds = int(max(rows["seeds"].max() for _, _, rows in shown))
    accuracy = [
        f"{group or 'baseline'} {names.score(float(np.trace(c) / max(c.sum(), 1)))}"
        for group, _, rows in shown
        for c in [_counts(rows, size)]
    ]
    return Drawing(
        id=figure_id("confusion", variant, task, split, *([str(number)] if count > 1 else [])),
        title=f"{inputs.title(task)}: confusion on {split}{which}" + in_variant_title(variant),
        caption="Each row adds up to 100 %: what became of the examples of one true class. Large: "
        f"per cent; small: examples, summed over {seeds} seed{'s' if seeds > 1 else ''}. Below: "
        "difference to the baseline in percentage points; a positive diagonal is an improvement. "
        "Arms: the best of each grouping on dev. " + split_note(split),
        figure=figure,
        alt=f"Confusion matrices of {task} on {split}; share on the diagonal: "
        f"{', '.join(accuracy)}.",
        variant=variant,
        task=task,
        split=split,
        runs=_runs_behind(inputs, variant, [rows for _, _, rows in shown]),
    )


def _runs_behind(inputs: Inputs, variant: str, shown: list[pd.DataFrame]) -> list[str]:
    """Keys of the runs whose predictions are counted in the matrices, sorted."""
    arm = ["task", "group", "combiner", "alpha"]
    wanted = pd.concat(shown)[arm].drop_duplicates()
    predictions = in_variant(inputs.predictions, variant)
    return sorted(set(predictions.merge(wanted, on=arm)["run"].dropna()))


def _grid(ax: Axes, values: np.ndarray, labels: list[str], **options) -> None:
    sns.heatmap(
        values, mask=~np.isfinite(values), cbar=False, square=True, linewidths=0.8,
        linecolor="white", xticklabels=labels, yticklabels=labels, ax=ax, **options,
    )  # fmt: skip
    for row, column in np.argwhere(~np.isfinite(values)):
        ax.add_patch(style.hatched((column, row)))
    ax.tick_params(length=0, labelsize=7.5)
    ax.tick_params(axis="y", rotation=0)
    ax.tick_params(axis="x", rotation=90 if _stand_upright(labels) else 0)


def _stand_upright(labels: list[str]) -> bool:
    return max(map(len, labels)) > 4


def _matrix(ax: Axes, counts: np.ndarray, labels: list[str]) -> None:
    shares = _shares(counts)
    _grid(ax, shares, labels, cmap=style.SEQUENTIAL, vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if not share > 0:
            continue
        ink = "white" if share > 0.55 else style.INK
        middle = {"ha": "center", "va": "center", "color": ink}
        ax.text(column + 0.5, row + 0.4, f"{100 * share:.0f}", fontsize=8.5, **middle)
        ax.text(column + 0.5, row + 0.76, f"{int(counts[row, column])}", fontsize=6, **middle)


def _difference(ax: Axes, points: np.ndarray, labels: list[str]) -> None:
    finite = np.abs(points[np.isfinite(points)])
    limit = max(10.0, float(finite.max()) if finite.size else 0.0)
    _grid(ax, points, labels, cmap=style.DIVERGING, vmin=-limit, vmax=limit)
    for (row, column), value in np.ndenumerate(points):
        if np.isfinite(value) and value != 0:
            ink = "white" if abs(value) > 0.7 * limit else style.INK
            text = names.number(float(value), 1, signed=True)
            ax.text(
                column + 0.5, row + 0.5, text, ha="center", va="center", color=ink, fontsize=7.5
            )
