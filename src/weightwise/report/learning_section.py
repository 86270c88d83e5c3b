"""How the arms learned: the figures, and where training ended in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from weightwise.analysis.labels import BASELINE, tasks_of
from weightwise.figures import names
from weightwise.figures.inputs import Inputs, in_variant
from weightwise.report.html import Figure, Table, table


@dataclass(frozen=True)
class LearningSection:
    """The section of one variant."""

    figures: list[Figure]
    table: Table


def learning_section(
    inputs: Inputs, variant: str, figures: Sequence[Figure]
) -> LearningSection | None:
    """The section; None where there is no figure, as without training tables."""
    if not figures:
        return None
    return LearningSection(list(figures), ends(inputs, variant))


def ends(inputs: Inputs, variant: str) -> Table:
    """Per task, grouping and arm without weights: losses after the last epoch, their gap, the
    epoch of the lowest dev loss and of the best dev score, means over seeds."""
    rows = in_variant(inputs.learning, variant)
    rows = rows[rows["alpha"].isna()]
    lines = []
    for task in inputs.tasks(variant):
        of_task = rows[rows["task"] == task]
        groups = sorted(of_task["group"].unique(), key=lambda g: len(tasks_of(g)))
        for group in groups:
            of_group = of_task[of_task["group"] == group]
            combiners = sorted(of_group["combiner"].unique(), key=lambda c: names.arm_key(c, None))
            for combiner in combiners:
                label = "alone" if combiner == BASELINE else names.group_label(group)
                arm = of_group[of_group["combiner"] == combiner]
                lines.append([task, label, names.combiner_label(combiner), *_numbers(arm)])
    head = ["Task", "Trained", "Arm", "Seeds", "Train loss", "Dev loss", "Gap"]
    head += ["Lowest dev loss", "in epoch", "Best dev score in epoch"]
    note = (
        "Losses of the last epoch, means over seeds. Gap: dev loss minus training loss. A lowest "
        "dev loss well before the last epoch is overfitting; epochs are means over seeds. "
        + names.TRAINING_LOSS
    )
    return table("Where training ended", head, lines, note)


def _numbers(arm: pd.DataFrame) -> list[str]:
    last = arm.loc[arm["quantity"] != "step_loss", "position"].max()
    end = arm[arm["position"] == last].groupby("quantity")["value"].mean()
    train, dev = (float(end.get(q, float("nan"))) for q in ("train_loss", "dev_loss"))
    lowest = _per_seed(arm, "dev_loss", "idxmin")
    best = _per_seed(arm, "dev_score", "idxmax")
    return [
        str(arm["seed"].nunique()),
        names.score(train),
        names.score(dev),
        names.number(dev - train, 3, signed=True),
        names.score(float(lowest["value"].mean())),
        names.number(float(lowest["position"].mean()), 1),
        names.number(float(best["position"].mean()), 1),
    ]


def _per_seed(arm: pd.DataFrame, quantity: str, which: str) -> pd.DataFrame:
    """The row of every seed's lowest or highest value, the earliest of equals."""
    rows = arm[(arm["quantity"] == quantity) & arm["value"].notna()]
    return rows.loc[rows.groupby("seed")["value"].agg(which)]
