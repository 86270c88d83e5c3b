"""What a combiner costs: the time of a step and the peak memory as ratios to addition."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from weightwise.figures import names, style
from weightwise.figures.drawing import Drawing, figure_id, in_parts, in_variant_title
from weightwise.figures.inputs import Inputs, in_variant

ROWS_PER_FIGURE = 36
PANELS = (("time", "time of a step"), ("memory", "peak memory"))


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """One figure per variant; many groupings make several parts."""
    for variant in inputs.variants:
        rows = compared(in_variant(inputs.cost_ratios, variant))
        parts = in_parts(list(rows.itertuples()), ROWS_PER_FIGURE)
        for number, part in enumerate(parts, 1):
            yield _figure(inputs, rows, variant, part, (number, len(parts)))


def compared(ratios: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a ratio, addition itself left out, in the order of the report."""
    rows = ratios[(ratios["combiner"] != "addition") & ratios["time"].notna()].reset_index()
    groups = list(rows["group"].unique())
    order = sorted(
        rows.index,
        key=lambda i: (
            groups.index(rows.at[i, "group"]),
            names.arm_key(rows.at[i, "combiner"], None),
        ),
    )
    return rows.loc[order].drop(columns="index")


def _figure(
    inputs: Inputs, rows: pd.DataFrame, variant: str, part: list, place: tuple[int, int]
) -> Drawing:
    lines: list[tuple[str, object | None]] = []
    several = len(rows[["hardware", "precision", "threads"]].drop_duplicates()) > 1
    group = None
    for row in part:
        if row.group != group:
            group = row.group
            lines.append((names.short(names.group_label(group), 40), None))
        where = f" ({names.short(machine(row), 26)})" if several else ""
        lines.append((names.short(names.combiner_label(row.combiner), 30) + where, row))
    figure = style.figure(7.6, 1.0 + 0.235 * len(lines))
    panels = figure.subplots(1, 2, sharey=True)
    for ax, (column, label) in zip(panels, PANELS, strict=True):
        _dots(ax, lines, column)
        ax.set_xlabel(f"{label}, × addition")
    panels[0].set_yticks(range(len(lines)), [label for label, _ in lines])
    for tick, (_, row) in zip(panels[0].get_yticklabels(), lines, strict=True):
        if row is None:
            tick.set_fontweight("bold")
    panels[0].set_ylim(len(lines) - 0.4, -0.6)
    number, count = place
    which = f", part {number} of {count}" if count > 1 else ""
    texts = [
        f"{names.combiner_label(r.combiner)} on {r.group} {names.number(r.time, 2)} of the time"
        for r in part
    ]
    shown = rows[rows["group"].isin({r.group for r in part})]
    level = f"{100 * inputs.confidence:g} %"
    spread = (
        f"Points: geometric means over seeds; lines: {level} t intervals over the "
        "seeds, cut at the frame where they are far wider than the points."
        if rows["seeds"].max() > 1
        else "One seed: no interval exists."
    )
    return Drawing(
        id=figure_id("cost", variant, None, *([str(number)] if count > 1 else [])),
        title=f"Cost of the combiners beside addition{which}" + in_variant_title(variant),
        caption="The median time of a step and the peak memory, divided by addition's in the same "
        f"grouping with the same seed on the same hardware. {spread} Runs that share a machine "
        "disturb each other's times.",
        figure=figure,
        alt=f"Dot plot of cost ratios to addition. {'; '.join(texts)}.",
        variant=variant,
        runs=inputs.step_run_keys(shown.drop(columns=["hardware", "precision", "threads"])),
    )


def machine(row) -> str:
    """What a row was measured on: `a laptop, bf16, 2 threads`."""
    parts = [str(v) for v in (row.hardware, row.precision) if names.is_text(v)]
    if np.isfinite(row.threads):
        parts.append(f"{int(row.threads)} thread{'' if row.threads == 1 else 's'}")
    return ", ".join(parts)


def _dots(ax: Axes, lines: list[tuple[str, object | None]], column: str) -> None:
    ax.axvline(1, color=style.INK, linewidth=1.1, zorder=1)
    ax.grid(True, axis="x", linewidth=0.5)
    values, ends = [1.0], [1.0]
    for height, (_, row) in enumerate(lines):
        value = getattr(row, column) if row is not None else np.nan
        if not np.isfinite(value):
            continue
        low, high = getattr(row, f"{column}_low"), getattr(row, f"{column}_high")
        values.append(value)
        if np.isfinite(low) and np.isfinite(high):
            ends += [low, high]
            ax.hlines(height, low, high, style.PALETTE[0], linewidth=2.4, alpha=0.6)
        ax.scatter([value], [height], s=26, color=style.PALETTE[0], zorder=3)
    # Two noisy seeds give an interval that would squeeze all points together: it is cut instead.
    room = max(0.15, 1.5 * (max(values) - min(values)))
    low, high = max(0.0, min(values) - room), max(values) + room
    margin = 0.05 * (high - low)
    ax.set_xlim(max(low, min(ends) - margin), min(high, max(ends) + margin))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
