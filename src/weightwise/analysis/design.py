"""What a study will be able to see, from its configuration: before anything runs. Imports no
torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from weightwise.analysis.intervals import table_error
from weightwise.analysis.power import visible_effect
from weightwise.grid import Grid


@dataclass(frozen=True)
class Sight:
    """What is seen of one task in one variant.

    Attributes:
        task: its name.
        variant: its name.
        arms: arms that are compared with the task alone (named arms: with the first arm).
        seeds: of every arm.
        effect: smallest true change that is found, in standard deviations of the paired changes.
        change: the same in per cent, where the spread is known; else nan.
        power: with which it is found, (0, 1).
    """

    task: str
    variant: str
    arms: int
    seeds: int
    effect: float
    change: float
    power: float

    def __str__(self) -> str:
        """`SEN: 3 seeds and 12 arms see changes of 13 times their noise or more`."""
        what = f"{self.seeds} seed{'s' * (self.seeds > 1)} and {self.arms} arms"
        if math.isnan(self.effect):
            return f"{self.task}: {what} see nothing: an interval needs two seeds"
        seen = f"{self.effect:.2g} times the noise of a paired change"
        if not math.isnan(self.change):
            seen = f"{self.change:.2g} %"
        return f"{self.task}: {what} see changes of {seen} or more ({100 * self.power:g} % power)"


def sights(grid: Grid, noise: pd.DataFrame | None = None) -> list[Sight]:
    """What a study sees of each of its tasks and variants, at Holm's first step.

    Args:
        grid: the study's runs.
        noise: `tables.Noise` of finished runs, for the spread of paired changes; None: not known.
    """
    report, seeds = grid.study.report, len(set(grid.study.seeds))
    families = list(_families(grid))
    error = table_error(len(families), 1 - report.confidence)
    found = []
    for variant, task, arms in families:
        effect = visible_effect(seeds, error / arms, report.power)
        spread = _spread(noise, task, variant)
        change = effect * spread
        found.append(Sight(task, variant, arms, seeds, effect, change, report.power))
    return found


def _families(grid: Grid) -> Iterator[tuple[str, str, int]]:
    """Variant, task and number of arms of every family of comparisons."""
    runs = [run for run in grid.runs if run.seed == grid.study.seeds[0] and len(run.group) > 1]
    if grid.study.arms:
        for task in grid.study.tasks:
            arms = len({run.variant for run in runs if task in run.group}) - 1
            if arms > 0:
                yield "", task, arms
        return
    for variant in grid.variants:
        for task in grid.study.tasks:
            arms = sum(run.variant == variant and task in run.group for run in runs)
            if arms and (task,) in grid.groups_of(variant):
                yield variant, task, arms


def _spread(noise: pd.DataFrame | None, task: str, variant: str) -> float:
    """Standard deviation of a task's paired changes, per cent: on test where it is known."""
    if noise is None:
        return math.nan
    rows = noise[(noise["task"] == task) & (noise["variant"] == variant)]
    rows = rows[rows["paired_sd"].notna()].sort_values("split", ascending=False)
    return float(rows["paired_sd"].iloc[0]) if len(rows) else math.nan
