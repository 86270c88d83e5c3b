"""Labels, predictions and score of a pair task by the words that a pair shares (`overlap`)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from weightwise.figures import names, style
from weightwise.figures.drawing import OPTIMISTIC, Drawing, figure_id
from weightwise.figures.inputs import Inputs
from weightwise.figures.roles import named_roles, role_arm

# Points of a bin stand side by side: labels in the middle would hide under the arms.
STEP = 0.2


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """One figure per pair task of two classes or of values; it is about the whole study."""
    for task in inputs.tasks():
        rows = inputs.overlap[inputs.overlap["task"] == task]
        if rows["label"].notna().any():
            yield _figure(inputs, task, rows)


def _figure(inputs: Inputs, task: str, rows: pd.DataFrame) -> Drawing:
    arms = {role: rows[rows["role"] == role] for role in named_roles(rows)}
    first = next(iter(arms.values()))
    accuracy = first["measure"].iloc[0] == "accuracy"
    name = inputs.classes(task, 2)[1]
    figure = style.figure(8.4, 3.3)
    left, right = figure.subplots(1, 2)
    places = np.arange(len(first))
    left.plot(
        places - STEP, first["label"], color=style.INK, marker="s", markersize=5, linewidth=1.2,
        linestyle=(0, (4, 2)), label="labels", zorder=2,
    )  # fmt: skip
    for number, (role, of_role) in enumerate(arms.items()):
        colour, shift = style.PALETTE[number], STEP * number
        label = f"{names.short(role_arm(inputs, of_role.iloc[0]), 30)} ({_called(arms, role)})"
        _points(left, places + shift, of_role, "prediction", colour, label)
        _points(right, places + shift, of_role, "score", colour)
    said = f"share of “{names.short(name, 20)}”" if accuracy else "mean value"
    for ax, label in ((left, said), (right, first["measure"].iloc[0])):
        ax.set_ylabel(label)
        ticks = [f"{low:g}–{high:g}" for low, high in zip(first["low"], first["high"], strict=True)]
        pairs = [f"{n:,}" for n in first["pairs"]]
        ax.set_xticks(places, [f"{a}\n{b}" for a, b in zip(ticks, pairs, strict=True)])
        ax.set_xlabel("words shared (Jaccard index); pairs")
        ax.grid(True, axis="y", linewidth=0.5)
        if accuracy:
            ax.set_ylim(-0.04, 1.04)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    split = first["split"].iloc[0]
    return Drawing(
        id=figure_id("overlap", "default", task),
        title=f"{inputs.title(task)}: labels and predictions by shared words, {split}",
        caption="Left: what the labels are and what the arms predict, in bins of the share of "
        "words that the two texts have in common. Right: the score in the same bins. "
        f"{_spread(inputs, rows)}" + (f" {OPTIMISTIC}" if split == "dev" else ""),
        figure=figure,
        alt=f"Labels and predictions of {task} by shared words. {_told(first, accuracy)}",
        variant=inputs.variants[0],
        task=task,
        split=split,
        runs=_runs(inputs, task, split, arms),
    )


def _called(arms: dict[str, pd.DataFrame], role: str) -> str:
    if len(arms) == 1 and role == "best":
        return "reference and best"
    return role


def _points(
    ax: Axes, x: np.ndarray, rows: pd.DataFrame, column: str, colour: str, label: str | None = None
) -> None:
    """Means with their intervals, joined by a line; empty bins leave a gap."""
    ax.plot(
        x, rows[column], color=colour, marker="o", markersize=5, linewidth=1.2, label=label,
        zorder=3,
    )  # fmt: skip
    ax.vlines(
        x, rows[f"{column}_low"], rows[f"{column}_high"], color=colour, linewidth=2, alpha=0.5
    )


def _spread(inputs: Inputs, rows: pd.DataFrame) -> str:
    if rows["seeds"].max() < 2:
        return "One seed: no interval exists."
    level = f"{100 * inputs.confidence:g} %"
    return f"Points: means over seeds; bars: {level} t intervals over the seeds."


def _told(rows: pd.DataFrame, accuracy: bool) -> str:
    show = (lambda v: names.number(100 * v, 0) + " %") if accuracy else names.score
    parts = [
        f"{row.low:g} to {row.high:g}: labels {show(row.label)}, predictions {show(row.prediction)}"
        for row in rows[rows["pairs"] > 0].itertuples()
    ]
    return "; ".join(parts) + "."


def _runs(inputs: Inputs, task: str, split: str, arms: dict[str, pd.DataFrame]) -> list[str]:
    """Keys of the runs that are drawn, sorted."""
    rows = inputs.predictions
    rows = rows[(rows["task"] == task) & (rows["split"] == split)]
    found = set()
    for one in (of_role.iloc[0] for of_role in arms.values()):
        same = names.same_arm(rows, one["combiner"], one["alpha"])
        same &= (rows["group"] == one["group"]) & (rows["variant"] == one["variant"])
        found |= set(rows.loc[same, "run"])
    return sorted(found)
