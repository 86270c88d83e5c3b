"""Change against the task's own weight with the quadratic fit (figures 3 to 5 of the paper)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from weightwise.figures import names, style
from weightwise.figures.drawing import (
    Drawing,
    figure_id,
    in_variant_title,
    places,
    split_note,
)
from weightwise.figures.inputs import Inputs, of

COLUMNS = 2
BOX = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2}


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """One figure per variant, task and split; one panel per pair."""
    for variant, task, split in places(inputs):
        fits = of(inputs.regressions, task, variant, split)
        if len(fits):
            yield _figure(inputs, fits, task, variant, split)


def _figure(inputs: Inputs, fits: pd.DataFrame, task: str, variant: str, split: str) -> Drawing:
    columns = min(COLUMNS, len(fits))
    lines = -(-len(fits) // columns)
    figure = style.figure(4.1 * columns + 0.3, 3.3 * lines + 0.45)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
    curves = of(inputs.curves, task, variant, split)
    points = of(inputs.changes, task, variant, split)
    points = points[(points["combiner"] == "unitary") & points["change"].notna()]
    for panel, fit, colour in zip(panels, fits.itertuples(), _colours(len(fits)), strict=False):
        own = points[points["group"] == fit.group]
        _panel(panel, fit, own, curves[curves["group"] == fit.group], colour, task)
    for panel in list(panels):
        panel.set_visible(False)
    figure.supylabel(f"change in {inputs.metric(task)} on {split}, %", fontsize=9)
    seeds = int(fits["seeds"].max())
    spread = (
        f"Light points: one per seed; dark points: means over {seeds} seeds. The band is the "
        f"{100 * inputs.confidence:g} % t interval over the seeds' own fits, point by point; the "
        "shaded stripe is Fieller's interval of the optimum."
        if seeds > 1
        else "One seed: there is no band and no interval of the optimum."
    )
    texts = [
        f"{f.group}: R² {names.score(f.r_squared)}, "
        + (f"optimum {names.number(f.optimum, 2)}" if np.isfinite(f.optimum) else f.note)
        for f in fits.itertuples()
    ]
    return Drawing(
        id=figure_id("regression", variant, task, split),
        title=f"{inputs.title(task)}: weight and change on {split}" + in_variant_title(variant),
        caption=f"Quadratic regression of the change on the weight of {task}, with the baseline "
        f"as the point (1, 0), drawn as a diamond. {spread} R² is that of the fit to seed means. "
        + split_note(split),
        figure=figure,
        alt=f"Regression of the change of {task} on its weight. {'; '.join(texts)}.",
        variant=variant,
        task=task,
        split=split,
        runs=inputs.run_keys(task, variant, split),
    )


def _colours(count: int) -> list[str]:
    return [style.PALETTE[i % len(style.PALETTE)] for i in range(count)]


def _panel(
    ax: Axes, fit, points: pd.DataFrame, curve: pd.DataFrame, colour: str, task: str
) -> None:
    ax.axhline(0, color=style.MUTED, linewidth=1, zorder=1)
    ax.grid(True, linewidth=0.5)
    curve = curve.sort_values("alpha")
    if curve["low"].notna().any():
        ax.fill_between(
            curve["alpha"], curve["low"], curve["high"], color=colour, alpha=0.16, linewidth=0
        )
    ax.plot(curve["alpha"], curve["change"], color=colour, linewidth=1.8, zorder=3)
    weights = points["alpha"].astype(float)
    if points["seed"].nunique() > 1:
        ax.scatter(weights, points["change"], s=11, color=colour, alpha=0.3, linewidths=0, zorder=2)
    means = points.groupby(weights)["change"].mean()
    ax.scatter(means.index, means, s=34, color=colour, edgecolors="white", linewidths=0.8, zorder=4)
    ax.scatter([1], [0], marker="D", s=38, color=style.INK, edgecolors="white", zorder=5)
    note = f"R² = {names.score(fit.r_squared)}"
    if np.isfinite(fit.optimum):
        low, high = fit.optimum_low, fit.optimum_high
        if np.isfinite(low) and np.isfinite(high):
            ax.axvspan(max(0, low), min(1, high), color=colour, alpha=0.09, linewidth=0, zorder=0)
        ax.axvline(fit.optimum, color=colour, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        word = "optimum" if fit.seeds > 1 else "top of the curve (one seed)"
        note += f"\n{word} α = {names.number(fit.optimum, 2)}"
        if np.isfinite(low) and np.isfinite(high):
            note += f" ({names.number(low, 2)} to {names.number(high, 2)})"
    else:
        note += "\nno interior optimum"
    if np.isfinite(fit.flat_from):
        note += f"\nflat from {fit.flat_from:g} on"
    ax.text(
        0.97,
        0.05,
        note,
        transform=ax.transAxes,
        ha="right",
        va="bottom",
        fontsize=8.5,
        bbox=BOX,
        zorder=6,
    )
    style.title(ax, names.short(names.group_label(fit.group), 40), color=colour)
    ax.set_xlim(-0.02, 1.04)
    ax.set_xticks(np.arange(0, 1.01, 0.2))
    ax.tick_params(labelbottom=True)
    ax.set_xlabel(f"weight α of {names.short(task, 24)}")
