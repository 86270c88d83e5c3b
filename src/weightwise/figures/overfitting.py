"""Train against dev loss of every named arm, side by side (mlm, figure 1)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from weightwise.analysis.comparisons import main_arm
from weightwise.figures import names, style
from weightwise.figures.drawing import Drawing, figure_id
from weightwise.figures.inputs import Inputs

COLUMNS = 5


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """One figure per task of a study of named arms: a panel for every arm, of weighted combiners
    none."""
    if inputs.study is None or not inputs.study.arms:
        return
    rows = inputs.learning[inputs.learning["quantity"].isin(("train_loss", "dev_loss"))]
    for task in inputs.tasks():
        arms = {}
        for variant in inputs.variants:
            own = rows[(rows["task"] == task) & (rows["variant"] == variant)]
            own = main_arm(own[own["alpha"].isna()])
            if own["value"].notna().any():
                arms[variant] = own
        if len(arms) > 1:
            yield _figure(inputs, task, arms)


def _figure(inputs: Inputs, task: str, arms: dict[str, pd.DataFrame]) -> Drawing:
    columns = min(COLUMNS, len(arms))
    lines = -(-len(arms) // columns)
    figure = style.figure(0.6 + 1.9 * columns, 0.9 + 1.55 * lines)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=_alike(arms)).ravel()
    gaps = {}
    for ax, (variant, rows) in zip(panels, arms.items(), strict=False):
        gaps[variant] = _panel(ax, rows)
        ax.set_title(names.short(variant, 24), fontsize=8.5)
    for ax in panels[len(arms) :]:
        ax.set_visible(False)
    shown = panels[0].get_legend_handles_labels()
    figure.legend(*shown, loc="upper right", ncols=2, fontsize=8, frameon=False)
    figure.supxlabel("epoch", fontsize=9)
    style.heading(figure, f"{names.short(inputs.title(task), 40)}: loss by epoch, train and dev")
    widest = max(gaps, key=lambda v: np.nan_to_num(gaps[v], nan=-np.inf))
    same = "one scale" if _alike(arms) else "scales of their own, as their losses are not one"
    return Drawing(
        id=figure_id("overfitting", "default", task),
        title=f"{inputs.title(task)}: train against dev loss of every arm",
        caption="Mean over seeds of the training loss of every epoch and of the dev loss after it; "
        f"shaded, their gap where dev is the higher one. A gap that widens while the dev loss "
        f"rises is overfitting. {names.TRAINING_LOSS} "
        f"Panels have {same}. Optimistic: dev chooses the epoch.",
        figure=figure,
        alt=f"Train and dev loss of {task} by epoch for {len(arms)} arms; the widest gap at the "
        f"end is that of {widest}, {names.number(gaps[widest], 3, signed=True)}.",
        variant="default",
        task=task,
        split="dev",
        runs=sorted({run for rows in arms.values() for run in rows["run"]}),
    )


def _alike(arms: dict[str, pd.DataFrame]) -> bool:
    """Whether one scale serves all: different losses have different units."""
    highest = [float(rows["value"].max()) for rows in arms.values()]
    return max(highest) <= 5 * min(highest)


def _panel(ax: Axes, rows: pd.DataFrame) -> float:
    """Both curves; the gap, dev minus train, after the last epoch."""
    wide = rows.pivot_table(index="position", columns="quantity", values="value")
    wide = wide.reindex(columns=["train_loss", "dev_loss"])
    epochs = wide.index.to_numpy()
    for quantity, label, colour in (
        ("train_loss", "train", style.MUTED),
        ("dev_loss", "dev", style.PALETTE[0]),
    ):
        ax.plot(epochs, wide[quantity], color=colour, label=label, marker="o", markersize=2.5)
    ax.fill_between(
        epochs,
        wide["train_loss"],
        wide["dev_loss"],
        where=(wide["dev_loss"] > wide["train_loss"]).to_numpy(),
        color=style.PALETTE[0],
        alpha=0.15,
        linewidth=0,
    )
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.grid(True, linewidth=0.5)
    last = wide.iloc[-1]
    return float(last["dev_loss"] - last["train_loss"])
