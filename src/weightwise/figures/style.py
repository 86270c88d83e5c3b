"""One theme for all figures: fonts, colours and the cells and bars of changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

INK, MUTED, GRID = "#1f2733", "#66707f", "#d9dee6"
# Okabe and Ito's colours: told apart under the common kinds of colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7a5195", "#4d4d4d")
GAIN_COLOUR, LOSS_COLOUR = "#0072B2", "#C4500A"
DIVERGING: Colormap = LinearSegmentedColormap.from_list(
    "loss-gain", ["#a63c00", "#e2854a", "#fbe3d2", "#ffffff", "#d3e6f3", "#5ba3d0", "#00568a"]
)
SEQUENTIAL: Colormap = LinearSegmentedColormap.from_list(
    "share", ["#ffffff", "#cfe3f1", "#7fb4d9", "#2a7ab8", "#0b4a78"]
)


@contextmanager
def theme() -> Iterator[None]:
    """Figures are made and saved inside this; global settings stay as they were."""
    rc = sns.axes_style("ticks") | sns.plotting_context("paper", font_scale=1.0)
    rc |= {
        "font.family": "sans-serif",
        # Named first and shipped with matplotlib, so that widths do not depend on the machine.
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.labelsize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "grid.color": GRID,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "figure.dpi": 100,
        "text.parse_math": False,  # names from a configuration are text, never formulas
        "text.usetex": False,
        "hatch.linewidth": 0.6,
        "svg.fonttype": "path",
        "svg.hashsalt": "weightwise",
    }
    with mpl.rc_context(rc):
        yield


def figure(width: float, height: float) -> Figure:
    """A figure of its own: pyplot's list of open figures never sees it."""
    return Figure(figsize=(width, height), layout="constrained")


def squash(change: np.ndarray, largest: float) -> np.ndarray:
    """Changes as -1..1, sign kept, by the square root: one bad arm does not pale all others."""
    if largest <= 0:
        return np.zeros_like(change)
    return np.sign(change) * np.sqrt(np.abs(change) / largest)


def change_cells(ax: Axes, values: np.ndarray, largest: float, **options) -> None:
    """A grid of changes coloured around zero; cells without a value are hatched."""
    sns.heatmap(
        squash(values, largest),
        mask=~np.isfinite(values),
        cmap=DIVERGING,
        vmin=-1,
        vmax=1,
        cbar=False,
        linewidths=1.2,
        linecolor="white",
        ax=ax,
        **options,
    )
    for row, column in np.argwhere(~np.isfinite(values)):
        ax.add_patch(hatched((column, row)))
    ax.tick_params(length=0)


def hatched(corner: tuple[float, float]) -> Rectangle:
    """The look of a cell that has no value."""
    return Rectangle(
        corner, 1, 1, facecolor="#f3f4f6", edgecolor="#b6bcc6", hatch="////", linewidth=0
    )


def change_bar(drawing: Figure, axes: Axes | list[Axes], largest: float, label: str) -> None:
    """The colour bar of `change_cells`, its ticks in per cent."""
    shades = mpl.cm.ScalarMappable(mpl.colors.Normalize(-1, 1), DIVERGING)
    bar = drawing.colorbar(shades, ax=axes, shrink=0.8, aspect=28, pad=0.02)
    ticks = np.array([-1, -0.5, -0.125, 0, 0.125, 0.5, 1]) * largest
    bar.set_ticks(squash(ticks, largest).tolist(), labels=[signed(t) for t in ticks])
    bar.set_label(label)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)


def signed(value: float) -> str:
    """A short signed number for ticks."""
    text = f"{value:+.1f}" if abs(value) >= 1 else f"{value:+.2f}"
    return "0" if value == 0 else text.replace("-", "\N{MINUS SIGN}")


def ink_on(value: float, largest: float) -> str:
    """Black or white, whichever reads better on the colour of that change."""
    if not np.isfinite(value) or largest <= 0:
        return INK
    return "white" if abs(squash(np.array(value), largest)) > 0.72 else INK


def title(ax: Axes, text: str, **options) -> None:
    """A left-aligned title of one panel."""
    ax.set_title(text, loc="left", **options)


def heading(drawing: Figure, text: str) -> None:
    """A title over the whole figure, from its left edge."""
    drawing.suptitle(text, x=0.01, ha="left", fontsize=10, fontweight="bold")
