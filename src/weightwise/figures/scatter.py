"""Predicted against true values of a regression task (figure 8 of the pairing paper)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm

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
from weightwise.figures.inputs import Inputs

ARMS_PER_FIGURE = 3
# Labels often stand in steps of a 25th of their range; finer cells would show stripes.
CELLS = 25


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """Per variant, regression task and split: the baseline beside each grouping's best arm."""
    for variant, task, split in places(inputs):
        if inputs.metric(task) == "accuracy":
            continue
        rows = inputs.predictions
        rows = rows[rows["label"].notna()]
        base, arms = looked_into(inputs, rows, task, variant, split)
        if base is None and not arms:
            continue
        parts = in_parts(arms, ARMS_PER_FIGURE) or [[]]
        for number, part in enumerate(parts, 1):
            yield _figure(inputs, base, part, task, variant, split, (number, len(parts)))


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
    everything = pd.concat([rows[["label", "prediction"]] for _, _, rows in shown]).to_numpy()
    low, high = np.nanmin(everything), np.nanmax(everything)
    margin = 0.03 * ((high - low) or 1.0)
    low, high = low - margin, high + margin
    figure = style.figure(0.9 + 2.75 * len(shown), 3.45)
    panels = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
    drawn, texts = [], []
    for ax, (group, label, rows) in zip(panels, shown, strict=True):
        counts, _, _ = np.histogram2d(
            rows["label"], rows["prediction"], bins=CELLS, range=[(low, high)] * 2
        )
        # An image of one pixel per cell stays sharp and small however many rows there are.
        image = ax.imshow(
            np.ma.masked_equal(counts, 0),
            extent=(low, high, low, high),
            origin="lower",
            interpolation="none",
            cmap="viridis_r",
        )
        drawn.append(image)
        ax.axline((low, low), (high, high), color=style.LOSS_COLOUR, linewidth=1.2)
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="predicted")
        r = _mean_correlation(rows)
        ax.text(0.04, 0.95, f"r = {names.score(r)}", transform=ax.transAxes, va="top")
        heading = f"{names.short(names.group_label(group), 28)}\n{label}" if group else label
        style.title(ax, heading, fontsize=9)
        texts.append(f"{group or 'baseline'} r {names.score(r)}")
    panels[0].set_ylabel("true")
    top = max(float(image.get_array().max()) for image in drawn)
    for image in drawn:
        image.set_norm(LogNorm(1, max(top, 2)))
    bar = figure.colorbar(drawn[0], ax=list(panels), shrink=0.75, aspect=28, pad=0.01)
    bar.set_label("predictions in a cell")
    # Powers of ten would be set as formulas, which are switched off.
    ticks = [t for t in (1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if t <= max(top, 2)]
    bar.set_ticks(ticks, labels=[f"{t:,}" for t in ticks])
    bar.minorticks_off()
    bar.outline.set_visible(False)

    number, count = part
    which = f", part {number} of {count}" if count > 1 else ""
    seeds = int(max(rows["seed"].nunique() for _, _, rows in shown))
    return Drawing(
        id=figure_id("scatter", variant, task, split, *([str(number)] if count > 1 else [])),
        title=f"{inputs.title(task)}: predicted and true on {split}{which}"
        + in_variant_title(variant),
        caption="Predicted values horizontally, true values vertically; the line is where they "
        f"are equal. Colour: how many predictions fall into a cell, of {seeds} "
        f"seed{'s' if seeds > 1 else ''} together; r is the mean over seeds. Arms: the best of "
        "each grouping on dev. " + split_note(split),
        figure=figure,
        alt=f"Predicted against true values of {task} on {split}: {', '.join(texts)}.",
        variant=variant,
        task=task,
        split=split,
        runs=sorted({str(run) for _, _, rows in shown for run in rows["run"].dropna()}),
    )


def _mean_correlation(rows: pd.DataFrame) -> float:
    values = []
    for _, one in rows.groupby("seed"):
        if one["label"].std() > 0 and one["prediction"].std() > 0:
            values.append(np.corrcoef(one["label"], one["prediction"])[0, 1])
    return float(np.mean(values)) if values else float("nan")
