"""Who helps whom: the change of every task with every partner, at the arm that speaks for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from weightwise.figures import names, style
from weightwise.figures.drawing import OPTIMISTIC, Drawing, figure_id, in_variant_title
from weightwise.figures.inputs import Inputs, in_variant


def draw(inputs: Inputs) -> Iterator[Drawing]:
    """One overview per variant."""
    for variant in inputs.variants:
        best = in_variant(inputs.best, variant)
        if len(best) and inputs.has_baselines(variant):
            yield _figure(inputs, best, variant)


def _partners(best: pd.DataFrame, tasks: list[str]) -> list[str]:
    found = {names.partners(row.group, row.task) for row in best.itertuples()}
    single = [t for t in tasks if t in found]
    return single + sorted(found - set(single), key=lambda p: (p.count(" + "), p))


def _figure(inputs: Inputs, best: pd.DataFrame, variant: str) -> Drawing:
    tasks = [t for t in inputs.tasks(variant) if (best["task"] == t).any()]
    columns = _partners(best, tasks)
    on_test = {t: (best.loc[best["task"] == t, "judged"] == "test").any() for t in tasks}
    values = np.full((len(tasks), len(columns)), np.nan)
    texts: dict[tuple[int, int], tuple[str, str, bool]] = {}
    for row in best.itertuples():
        change = row.test_change if on_test[row.task] else row.dev_change
        place = tasks.index(row.task), columns.index(names.partners(row.group, row.task))
        values[place] = change
        sign = names.sign_of(row.verdict)
        value = names.number(change, 2, signed=True) + (f" {sign}" if sign else "")
        texts[place] = (value, names.arm_label(row.combiner, row.alpha), bool(sign))
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max()) if finite.size and finite.max() > 0 else 1.0

    wide = max(1.05, min(1.7, 7.0 / len(columns)))
    figure = style.figure(2.6 + wide * len(columns), 1.35 + 0.62 * len(tasks))
    ax = figure.add_subplot()
    style.change_cells(ax, values, largest)
    for (row, column), (value, arm, strong) in texts.items():
        if not np.isfinite(values[row, column]):
            continue
        ink = style.ink_on(values[row, column], largest)
        middle = {"ha": "center", "va": "center", "color": ink}
        weight = "bold" if strong else "normal"
        ax.text(column + 0.5, row + 0.4, value, fontsize=10, fontweight=weight, **middle)
        ax.text(column + 0.5, row + 0.72, names.short(arm, 18), fontsize=7, **middle)
    splits = [f"{names.short(t, 20)} ({'test' if on_test[t] else 'dev'})" for t in tasks]
    ax.set_yticks(np.arange(len(tasks)) + 0.5, splits, rotation=0)
    heads = ["+\n".join(names.short(p, 14) for p in c.split(" + ")) for c in columns]
    crowded = len(columns) > 4 and max(map(len, heads)) > 9
    ax.set_xticks(np.arange(len(columns)) + 0.5, heads, rotation=40 if crowded else 0)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set_xlabel("trained together with", labelpad=8)
    ax.set_ylabel("the score of")
    style.change_bar(figure, ax, largest, "change, %")

    gains = best[best["verdict"] == "gain"]
    said = [f"{r.task} gains with {names.partners(r.group, r.task)}" for r in gains.itertuples()]
    known = [t for t, row in zip(tasks, values, strict=True) if np.isfinite(row).any()]
    dev_only = [t for t in known if not on_test[t]]
    return Drawing(
        id=figure_id("pairings", variant),
        title="Who helps whom" + in_variant_title(variant),
        caption="How the task of a row changes when it is trained together with the partner of a "
        "column, against training alone; the arm (small) is the best on dev of those whose gain is "
        f"shown, else of all. {names.GAIN} the pairing is shown to gain, {names.LOSS} all of its "
        "arms to lose; other numbers are no evidence. Hatched: not run, or the task itself."
        + (f" {OPTIMISTIC[:-1]}: {', '.join(dev_only)}." if dev_only else ""),
        figure=figure,
        alt="Matrix of tasks and partners. "
        + ("; ".join(said) + "." if said else "No pairing is shown to gain."),
        variant=variant,
        runs=inputs.run_keys(None, variant),
    )
