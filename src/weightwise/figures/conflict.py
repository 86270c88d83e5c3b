"""Where and when the tasks' gradients conflict: cosine and length ratio by layer block and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from weightwise.analysis.conflicts import ALL
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

PAIRS_PER_FIGURE = 3
PAIR = ["group", "first", "second"]
# Length is not good or bad: other colours than those of gain and loss.
LENGTHS: Colormap = LinearSegmentedColormap.from_list(
    "lengths", ["#00664b", "#5cb99a", "#ffffff", "#c39ad0", "#6b2f86"]
)


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """One figure per variant; many pairs of tasks make several parts."""
    for variant in inputs.variants:
        rows = shown_arms(in_variant(inputs.conflicts, variant))
        pairs = list(rows[PAIR].drop_duplicates().itertuples(index=False, name=None))
        parts = in_parts(pairs, PAIRS_PER_FIGURE)
        for number, part in enumerate(parts, 1):
            chosen = rows[pd.MultiIndex.from_frame(rows[PAIR]).isin(part)]
            yield _figure(inputs, chosen, variant, part, (number, len(parts)))


def shown_arms(conflicts: pd.DataFrame) -> pd.DataFrame:
    """Of every grouping the rows of one arm: addition, which does nothing about a conflict, or
    else the first in the order of the report's tables."""
    chosen = []
    for _, rows in conflicts.groupby("group", sort=False):
        arms = sorted(names.arms_of(rows), key=lambda a: (a[0] != "addition", names.arm_key(*a)))
        chosen.append(rows[names.same_arm(rows, *arms[0])])
    return pd.concat(chosen) if chosen else conflicts


def block_label(block: str) -> str:
    """`whole encoder`, `embeddings`, `layer 1` for the first layer."""
    if block == ALL:
        return "whole encoder"
    kind, _, number = block.partition("_")
    return f"layer {int(number) + 1}" if kind == "layer" and number.isdigit() else block


def _block_order(block: str) -> tuple[int, int, str]:
    kind, _, number = block.partition("_")
    ranks = {ALL: 0, "embeddings": 1, "layer": 2}
    return ranks.get(kind, 3), int(number) if number.isdigit() else 0, block


def _figure(
    inputs: Inputs,
    rows: pd.DataFrame,
    variant: str,
    pairs: list[tuple[str, str, str]],
    part: tuple[int, int],
) -> Drawing:
    by = [*PAIR, "block", "bin", "begin", "end"]
    cells = over_seeds(rows, by, ["cosine", "log_ratio"], inputs.confidence)
    blocks = sorted(cells["block"].unique(), key=_block_order)
    bins = int(cells["bin"].max())
    largest = {
        "cosine": max(0.05, float(cells["cosine"].abs().max())),
        "log_ratio": max(0.1, float(cells["log_ratio"].abs().max())),
    }
    height = 0.62 + 0.21 * len(blocks)
    figure = style.figure(8.6, height * len(pairs) + 0.75)
    panels = figure.subplots(len(pairs), 2, squeeze=False, sharex=True, sharey=True)
    for line, (group, first, second) in zip(panels, pairs, strict=True):
        own = cells[(cells[PAIR] == [group, first, second]).all(axis=1)]
        for ax, column, colours in (
            (line[0], "cosine", style.DIVERGING),
            (line[1], "log_ratio", LENGTHS),
        ):
            _map(ax, own, column, blocks, bins, colours, largest[column])
        pair = f"{names.short(first, 18)} and {names.short(second, 18)}"
        where = "" if group == f"{first}+{second}" else f" in {names.short(group, 24)}"
        style.title(line[0], pair + where, fontsize=9, pad=3)
        lengths = f"|{names.short(first, 18)}| / |{names.short(second, 18)}|"
        style.title(line[1], lengths, fontsize=9, pad=3)
    for ax in panels[-1]:
        ax.set_xticks([0, bins / 2, bins], ["0", "50", "100"])
        ax.set_xlabel("training, % of the steps")
    _bar(figure, list(panels[:, 0]), style.DIVERGING, largest["cosine"], "cosine")
    ratios = ratio_ticks(largest["log_ratio"])
    _bar(figure, list(panels[:, 1]), LENGTHS, largest["log_ratio"], "ratio of lengths", ratios)
    number, count = part
    which = f", part {number} of {count}" if count > 1 else ""
    whole = over_seeds(
        rows[rows["block"] == ALL].groupby([*PAIR, "seed"], sort=False)["cosine"].mean()
        .reset_index(), PAIR, ["cosine"], inputs.confidence,
    )  # fmt: skip
    told = [
        f"{r.first} and {r.second} in {r.group} {names.number(r.cosine, 2, signed=True)}"
        for r in whole.itertuples()
    ]
    return Drawing(
        id=figure_id("conflict", variant, None, *([str(number)] if count > 1 else [])),
        title=f"Conflict of the tasks' gradients{which}" + in_variant_title(variant),
        caption=_caption(inputs, rows, cells["seeds"]),
        figure=figure,
        alt=f"Maps of the cosine and the length ratio of task gradients by layer and training "
        f"time. Mean cosine over the whole encoder: {'; '.join(told)}.",
        variant=variant,
        runs=inputs.step_run_keys(rows),
    )


def _map(
    ax: Axes,
    cells: pd.DataFrame,
    column: str,
    blocks: list[str],
    bins: int,
    colours: Colormap,
    largest: float,
) -> None:
    values = np.full((len(blocks), bins), np.nan)
    for cell in cells.itertuples():
        values[blocks.index(cell.block), cell.bin - 1] = getattr(cell, column)
    # One small image: a shape for every cell would make the page heavy.
    ax.imshow(
        np.ma.masked_invalid(values),
        cmap=colours,
        vmin=-largest,
        vmax=largest,
        extent=(0, bins, len(blocks), 0),
        interpolation="none",
        aspect="auto",
    )
    for row, place in np.argwhere(~np.isfinite(values)):
        ax.add_patch(style.hatched((place, row)))
    sure = cells[(cells[f"{column}_low"] > 0) | (cells[f"{column}_high"] < 0)]
    _dots(ax, sure["bin"].to_numpy() - 0.5, [blocks.index(b) + 0.5 for b in sure["block"]])
    if blocks[0] == ALL and len(blocks) > 1:
        ax.axhline(1, color="white", linewidth=2.5)
    ax.set_yticks(np.arange(len(blocks)) + 0.5, [block_label(b) for b in blocks])
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(0, bins), ylim=(len(blocks), 0))
    for spine in ax.spines.values():
        spine.set_visible(False)


def _dots(ax: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    """Dots as the round ends of very short strokes: one path, a tenth of as many markers."""
    strokes = [[(a, b), (a + 0.02, b)] for a, b in zip(x, y, strict=True)]
    if strokes:
        path = Path(np.concatenate(strokes), [Path.MOVETO, Path.LINETO] * len(strokes))
        dots = PathPatch(path, color=style.INK, fill=False, linewidth=2.2, capstyle="round")
        ax.add_patch(dots)


def ratio_ticks(largest: float) -> dict[float, str]:
    """Places on a scale of logarithms that reaches from -largest to largest, and their labels:
    1, and two round ratios to each side where there is room for them."""
    rounds = [1.1, 1.2, 1.5, 2, 3, 5, *(n * 10.0**k for k in range(1, 7) for n in (1, 2, 3, 5))]
    fit = [ratio for ratio in rounds if np.log(ratio) <= largest]
    outer = fit[-1:]
    inner = [ratio for ratio in fit if np.log(ratio) <= 0.6 * largest][-1:]
    ticks = {0.0: "1"}
    for ratio in dict.fromkeys(inner + outer):
        ticks |= {-np.log(ratio): f"1/{ratio:g}", np.log(ratio): f"{ratio:g}"}
    return ticks


def _bar(
    figure: Figure,
    axes: list[Axes],
    colours: Colormap,
    largest: float,
    label: str,
    ticks: dict[float, str] | None = None,
) -> None:
    shades = mpl.cm.ScalarMappable(Normalize(-largest, largest), colours)
    bar = figure.colorbar(shades, ax=axes, shrink=0.9, aspect=22, pad=0.02)
    if ticks is None:
        places = [-largest, -largest / 2, 0, largest / 2, largest]
        ticks = {at: names.number(at, 2, signed=at != 0) for at in places}
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.set_label(label)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)


def _caption(inputs: Inputs, rows: pd.DataFrame, seeds: pd.Series) -> str:
    arms = " or ".join(dict.fromkeys(names.arm_label(*arm) for arm in names.arms_of(rows)))
    level = f"{100 * inputs.confidence:g} %"
    spread = (
        f"Colours: means over {seeds_told(seeds)}; a dot: the {level} t interval over the seeds "
        "lies on one side of zero (of equal lengths), not corrected for the number of cells."
        if seeds.max() > 1
        else "One seed: no interval exists."
    )
    return (
        f"Left: cosine of the two tasks' gradients under {arms}, orange where they conflict. "
        "Right: the length of the first task's gradient divided by the second's; above 1 the "
        f"first is longer. Means over the recorded steps of each stretch of training. {spread}"
    )
