"""How the combiners learn: losses and dev scores over training, and the gap that tells overfitting.

Figures 5, 7 and 8 of the GradAttention paper, with every task on its own and a band over seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from weightwise.analysis.labels import BASELINE, arm_alpha, tasks_of, text_or_none
from weightwise.figures import names, style
from weightwise.figures.drawing import Drawing, figure_id, in_variant_title
from weightwise.figures.inputs import Inputs, in_variant

MOST_GROUPS = 6
"""Of more groupings than these, only those are drawn that are a task's best."""
# Over few epochs the points are told from the lines between them.
FEW_EPOCHS = 15
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))


class Line(NamedTuple):
    """An arm as it is drawn: combiner and weights of the run, how it looks, what it is called."""

    combiner: str
    alpha: str | None
    colour: str
    dashes: object
    width: float
    label: str


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """Two figures per variant and grouping: over steps, and train against dev over epochs."""
    for variant in inputs.variants:
        rows = in_variant(inputs.learning, variant)
        # The name of the whole run, which the own weights of its tasks share.
        named = [
            arm_alpha(task, group, text_or_none(alpha))
            for task, group, alpha in zip(rows["task"], rows["group"], rows["alpha"], strict=True)
        ]
        rows = rows.assign(arm=pd.Series(named, index=rows.index, dtype=object))
        groups = [g for g in rows["group"].unique() if len(tasks_of(g)) > 1]
        shown = _worth_drawing(inputs, variant, groups)
        for group in shown:
            lines = _lines(inputs, rows[rows["group"] == group], variant, group)
            left_out = len(groups) - len(shown)
            yield _over_steps(inputs, rows, variant, group, lines, left_out)
            yield _train_and_dev(inputs, rows, variant, group, lines, left_out)


def _worth_drawing(inputs: Inputs, variant: str, groups: list[str]) -> list[str]:
    if len(groups) <= MOST_GROUPS:
        return groups
    best = in_variant(inputs.best, variant)
    chosen = set(best.loc[best["speaks"].astype(bool), "group"])
    return [g for g in groups if g in chosen]


def _lines(inputs: Inputs, rows: pd.DataFrame, variant: str, group: str) -> list[Line]:
    """One line per combiner; of a weighted one the run with the best weights on dev."""
    overall = in_variant(inputs.overall, variant)
    overall = overall[(overall["split"] == "dev") & (overall["group"] == group)]
    score = {
        (row.combiner, text_or_none(row.alpha)): row.mean_mapped for row in overall.itertuples()
    }
    arms = {(row.combiner, text_or_none(row.arm)) for row in rows.itertuples()}
    ordered = sorted(arms, key=lambda arm: names.arm_key(*arm))
    found = []
    for combiner, of_combiner in groupby(ordered, key=lambda arm: arm[0]):
        _, alpha = max(of_combiner, key=lambda arm: score.get(arm, -np.inf))
        place = len(found)
        found.append(
            Line(
                combiner,
                alpha,
                style.PALETTE[place % len(style.PALETTE)],
                DASHES[place // len(style.PALETTE) % len(DASHES)],
                # Arms often lie on each other: the ones below are wider, so that none is hidden.
                max(1.0, 3.0 - 0.8 * place),
                _label(combiner, alpha, group),
            )
        )
    return found


def _label(combiner: str, alpha: str | None, group: str) -> str:
    if alpha is None:
        return names.combiner_label(combiner)
    prefix = "" if combiner == "unitary" else f"{names.combiner_label(combiner)}, "
    weight = alpha if "," in alpha else f"{alpha} for {names.short(tasks_of(group)[0], 16)}"
    return f"{prefix}α = {weight} (best on dev)"


def _over_steps(
    inputs: Inputs,
    rows: pd.DataFrame,
    variant: str,
    group: str,
    lines: list[Line],
    left_out: int,
) -> Drawing:
    panels = (("step_loss", "training loss", "step"), ("dev_score", "{metric} on dev", "epoch"))
    figure, alone = _figure(inputs, rows, group, lines, panels)
    steps = rows.loc[rows["quantity"] == "step_loss", "position"]
    per_point = _steps_of_a_point(steps)
    smoothed = (
        f"every point is the mean of {per_point} steps" if per_point > 1 else "every step is shown"
    )
    return Drawing(
        id=figure_id("learning-steps", variant, None, group),
        title=f"{names.group_label(group)}: training loss and dev score"
        + in_variant_title(variant),
        caption=f"Top: each task's own training loss, with dropout, unweighted and without SMART's "
        f"terms ({smoothed}). Bottom: its dev score after every "
        f"epoch. {_bands(rows)}{alone}{_omitted(left_out)} Optimistic: dev chooses the epoch.",
        figure=figure,
        alt=f"Training loss and dev score of {names.group_label(group)}. "
        + _told(inputs, rows, group, lines, "dev_score"),
        variant=variant,
        group=group,
        split="dev",
        runs=_runs(rows, group, lines),
    )


def _train_and_dev(
    inputs: Inputs,
    rows: pd.DataFrame,
    variant: str,
    group: str,
    lines: list[Line],
    left_out: int,
) -> Drawing:
    panels = (
        ("train_loss", "loss on train", "epoch"),
        ("dev_loss", "loss on dev", "epoch"),
        ("gap", "dev loss − train loss", "epoch"),
    )
    figure, alone = _figure(inputs, _with_gap(rows), group, lines, panels, same_scale=2)
    return Drawing(
        id=figure_id("learning-gap", variant, None, group),
        title=f"{names.group_label(group)}: train against dev loss" + in_variant_title(variant),
        caption="Mean training loss of every epoch, dev loss after it on the same scale, and their "
        "difference: a gap that widens while the dev loss rises is overfitting. "
        f"{names.TRAINING_LOSS} "
        f"{_bands(rows)}{alone}{_omitted(left_out)}",
        figure=figure,
        alt=f"Train and dev loss of {names.group_label(group)}. "
        + _told(inputs, _with_gap(rows), group, lines, "gap"),
        variant=variant,
        group=group,
        split="dev",
        runs=_runs(rows, group, lines),
    )


def _with_gap(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows and, as a quantity of its own, dev loss minus training loss of the same run."""
    keys = ["task", "run", "position"]
    dev = rows[rows["quantity"] == "dev_loss"]
    train = rows.loc[rows["quantity"] == "train_loss", [*keys, "value"]]
    both = dev.merge(train, on=keys, suffixes=("", "_train"))
    gap = both.assign(value=both["value"] - both["value_train"], quantity="gap")
    return pd.concat([rows, gap[rows.columns]], ignore_index=True)


def _figure(
    inputs: Inputs,
    rows: pd.DataFrame,
    group: str,
    lines: list[Line],
    panels: Sequence[tuple[str, str, str]],
    same_scale: int = 0,
):
    """A column per task and a row per quantity; the first `same_scale` rows share their scale.
    Gives the figure and what to say of the lines of the tasks alone, if there are any."""
    tasks = tasks_of(group)
    figure = style.figure(3.1 * len(tasks) + 0.4, 2.05 * len(panels) + 0.65)
    axes = figure.subplots(len(panels), len(tasks), squeeze=False)
    baseline = Line(BASELINE, None, style.MUTED, DASHES[1], 1.2, "task alone")
    seen = False
    for column, task in enumerate(tasks):
        alone = rows[(rows["group"] == task) & (rows["task"] == task)]
        seen = seen or len(alone) > 0
        together = rows[(rows["group"] == group) & (rows["task"] == task)]
        for row, (quantity, label, over) in enumerate(panels):
            ax = axes[row, column]
            _curve(ax, alone, quantity, baseline)
            for line in lines:
                _curve(ax, _of_line(together, line), quantity, line)
            if quantity == "gap":
                ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=1)
            if row == 0:
                style.title(ax, names.short(inputs.title(task), 34))
            if column == 0 or "{" in label:
                ax.set_ylabel(label.format(metric=inputs.metric(task)))
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            ax.yaxis.set_major_locator(MaxNLocator(4))
            last = row + 1 == len(panels) or panels[row + 1][2] != over
            ax.tick_params(labelbottom=last)
            if last:
                ax.set_xlabel(over)
            ax.grid(True, linewidth=0.5)
        for one in axes[1:same_scale, column]:
            one.sharey(axes[0, column])
    shown = [*lines, *([baseline] if seen else [])]
    handles = [
        Line2D([], [], color=o.colour, linestyle=o.dashes, linewidth=o.width, label=o.label)
        for o in shown
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(4, len(shown)), frameon=False
    )
    return figure, " Dashed grey: the task trained alone." if seen else ""


def _curve(ax: Axes, rows: pd.DataFrame, quantity: str, line: Line) -> None:
    """Mean over seeds with the range from the lowest to the highest."""
    values = rows[rows["quantity"] == quantity].groupby("position")["value"]
    ends = values.agg(["mean", "min", "max"]).dropna()
    if not len(ends):
        return
    x = ends.index.to_numpy(float)
    ax.fill_between(x, ends["min"], ends["max"], color=line.colour, alpha=0.13, linewidth=0)
    few = quantity != "step_loss" and len(ends) <= FEW_EPOCHS
    ax.plot(
        x, ends["mean"], color=line.colour, linestyle=line.dashes, linewidth=line.width,
        marker="o" if few else None, markersize=line.width + 1.5, markeredgewidth=0,
        zorder=2 if line.combiner == BASELINE else 3,
    )  # fmt: skip


def _of_line(rows: pd.DataFrame, line: Line) -> pd.DataFrame:
    weights = rows["arm"].isna() if line.alpha is None else rows["arm"] == line.alpha
    return rows[(rows["combiner"] == line.combiner) & weights]


def _steps_of_a_point(positions: pd.Series) -> int:
    """Steps in a bin: the distance of neighbouring points, rounded."""
    places = np.unique(positions)
    return max(1, round(float(np.median(np.diff(places))))) if len(places) > 1 else 1


def _bands(rows: pd.DataFrame) -> str:
    seeds = rows["seed"].nunique()
    if seeds < 2:
        return "One seed: there is no band."
    return f"Lines: means over {seeds} seeds; bands: from the lowest to the highest seed."


def _omitted(left_out: int) -> str:
    if not left_out:
        return ""
    return f" {left_out} groupings that are no task's best are not drawn."


def _told(inputs: Inputs, rows: pd.DataFrame, group: str, lines: list[Line], quantity: str) -> str:
    """The last values in words, for those who cannot see the figure."""
    rows = rows[(rows["quantity"] == quantity) & (rows["group"] == group)]
    rows = rows[rows["position"] == rows["position"].max()]
    said = []
    for task in tasks_of(group):
        means = [
            (line.label, _of_line(rows[rows["task"] == task], line)["value"].mean())
            for line in lines
        ]
        numbers = ", ".join(f"{label} {names.number(float(mean), 3)}" for label, mean in means)
        said.append(f"{task}: {numbers}")
    what = "gap between dev and train loss" if quantity == "gap" else "dev score"
    return f"After the last epoch the {what} is: {'; '.join(said)}."


def _runs(rows: pd.DataFrame, group: str, lines: list[Line]) -> list[str]:
    """Keys of the runs that are drawn, sorted."""
    together = rows[rows["group"] == group]
    drawn = [_of_line(together, line) for line in lines]
    drawn.append(rows[rows["group"].isin(tasks_of(group))])
    return sorted(set(pd.concat(drawn)["run"]))
