"""What a figure function hands over, and the pieces that several of them share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pandas as pd
from matplotlib.figure import Figure

from weightwise.figures import names
from weightwise.figures.inputs import Inputs, of

T = TypeVar("T")
OPTIMISTIC = "Optimistic: selected on dev."


@dataclass(frozen=True)
class Drawing:
    """A figure with everything that the report says about it."""

    id: str
    title: str
    caption: str
    figure: Figure
    alt: str
    variant: str
    task: str | None = None
    group: str | None = None
    split: str | None = None
    runs: list[str] = field(default_factory=list)


def figure_id(kind: str, variant: str, task: str | None = None, *more: str) -> str:
    """An id that is safe as a file name and as an anchor."""
    parts = [kind, task, *more, None if variant == "default" else variant]
    return "-".join(names.slug(part) for part in parts if part)


def places(inputs: Inputs) -> Iterator[tuple[str, str, str]]:
    """Every variant, task and split that has scores."""
    for variant in inputs.variants:
        for task in inputs.tasks(variant):
            for split in inputs.splits(task, variant):
                yield variant, task, split


def in_parts(items: Sequence[T], size: int) -> list[list[T]]:
    """The items in parts of nearly equal length, none longer than the size."""
    count = -(-len(items) // size)
    bounds = [round(i * len(items) / count) for i in range(count + 1)] if count else []
    return [list(items[a:b]) for a, b in itertools.pairwise(bounds)]


def split_note(split: str) -> str:
    """What must be said of numbers of that split."""
    return OPTIMISTIC if split == "dev" else "Test scores of the epochs and arms chosen on dev."


def seeds_told(counts: pd.Series) -> str:
    """`3 seeds`, or `2 to 3 seeds` where some runs are missing."""
    ends = dict.fromkeys(str(int(n)) for n in (counts.min(), counts.max()))
    return f"{' to '.join(ends)} seeds"


def in_variant_title(variant: str) -> str:
    """The end of a title: nothing for a study without a sweep."""
    return "" if variant == "default" else f" ({variant})"


def looked_into(inputs: Inputs, frame: pd.DataFrame, task: str, variant: str, split: str):
    """Baseline and best arm of every grouping, as (label, rows), where the frame has rows; in a
    variant without baselines every arm that it has."""
    rows = of(frame, task, variant, split)
    base = rows[rows["combiner"] == "baseline"]
    arms = []
    best = of(inputs.best, task, variant)
    for group in inputs.groups(task, variant):
        of_group = rows[rows["group"] == group]
        for choice in best[best["group"] == group].itertuples():
            found = of_group[names.same_arm(of_group, choice.combiner, choice.alpha)]
            if len(found):
                label = names.arm_label(choice.combiner, choice.alpha)
                arms.append((group, label, found))
    if not inputs.has_baselines(variant):
        # Without single tasks nothing is the best of a grouping: whatever the tables hold.
        for (group, *arm), found in rows.groupby(["group", "combiner", "alpha"], dropna=False):
            arms.append((group, names.arm_label(*arm), found))
    return (base if len(base) else None), arms
