"""What the columns `group`, `combiner` and `alpha` of the tables mean together."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pandas as pd

from weightwise.grid import Arm, plain

BASELINE = "baseline"
SIMPLEST_FIRST = ("baseline", "addition", "unitary", "pcgrad")


def tasks_of(group: str) -> tuple[str, ...]:
    """The tasks of a grouping: `SEN+PAR` -> (SEN, PAR)."""
    return tuple(group.split("+"))


def largest_group(groups: Iterable[str]) -> str:
    """The grouping of most tasks, of equals the first.

    Raises:
        ValueError: there is none.
    """
    return max(groups, key=lambda group: len(tasks_of(group)))


def text_or_none(value: object) -> str | None:
    """A text cell as Python has it: null becomes None."""
    return None if pd.isna(value) else str(value)


def arm_alpha(task: str, group: str, alpha: str | None) -> str | None:
    """The weight by which the whole run is named (`grid.Arm.alpha`).

    For a pair that is the weight of the FIRST task, while tables hold each task's own weight: the
    own weight 0.6 of PAR in SEN+PAR is the run 0.4. For larger groupings all weights joined by
    commas name the run, and a single own weight names none: None.
    """
    tasks = tasks_of(group)
    if alpha is None:
        return None
    if len(tasks) == 2 and task in tasks:
        return alpha if task == tasks[0] else plain(1 - Decimal(alpha))
    return alpha if "," in alpha or len(tasks) == 1 else None


def arm_label(task: str, group: str, combiner: str, alpha: str | None) -> str:
    """The label of the arm that was run (`grid.Arm.label`), as `alias_of` names it."""
    named = arm_alpha(task, group, alpha)
    return Arm(combiner, alpha if named is None else named).label


def own_weight(task: str, group: str, alpha: str | None) -> float | None:
    """The weight of the task itself as a number, from its own weight or from all weights."""
    if alpha is None:
        return None
    tasks, parts = tasks_of(group), alpha.split(",")
    if len(parts) == 1:
        return float(parts[0])
    return float(parts[tasks.index(task)]) if task in tasks else None


def is_equal_weights(group: str, alpha: str | None) -> bool:
    """Whether these weights are all equal, which makes `unitary` one method with `addition`."""
    if alpha is None:
        return False
    parts = [Decimal(p) for p in alpha.split(",")]
    if len(parts) > 1:
        return len(set(parts)) == 1
    return len(tasks_of(group)) == 2 and parts[0] == Decimal("0.5")


def combiner_rank(combiner: str) -> int:
    """Simpler methods first: addition, unitary, pcgrad, then all others."""
    if combiner in SIMPLEST_FIRST:
        return SIMPLEST_FIRST.index(combiner)
    return len(SIMPLEST_FIRST)


def ordered(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows in the order of every table: variant, split, task, grouping, arm, seed.

    Variants, tasks and groupings keep the order in which they first appear (the study's order),
    smaller groupings and simpler methods come first, alphas rise. Ties keep their order.
    """
    keys = pd.DataFrame(index=scores.index)
    for column in ("variant", "split", "task", "group", "combiner"):
        keys[column] = pd.factorize(scores[column])[0]
    keys["split"] = (scores["split"] != "dev").astype(int)
    keys["size"] = [len(tasks_of(g)) for g in scores["group"]]
    keys["rank"] = [combiner_rank(c) for c in scores["combiner"]]
    weights = [
        own_weight(t, g, text_or_none(a))
        for t, g, a in zip(scores["task"], scores["group"], scores["alpha"], strict=True)
    ]
    keys["weight"] = pd.Series(weights, index=scores.index, dtype=float).fillna(-1)
    keys["alpha"] = scores["alpha"].fillna("")
    keys["seed"] = scores["seed"]
    by = ["variant", "split", "task", "size", "group", "rank", "combiner", "weight", "alpha"]
    order = keys.sort_values([*by, "seed"], kind="stable").index
    return scores.loc[order].reset_index(drop=True)


def original_rows(frame: pd.DataFrame) -> pd.Series:
    """For every row of an arms table the index of the arm that was run in its place, or -1.

    -1: the row is a run of its own. An alias whose original is not in the table stands for
    itself, so that a method is counted once and not lost.
    """
    where: dict[tuple, int] = {}
    keys = ["variant", "split", "task", "group"]
    rows = list(frame[[*keys, "combiner", "alpha", "alias_of"]].itertuples(name=None))
    for index, variant, split, task, group, combiner, alpha, alias in rows:
        if pd.isna(alias):
            label = arm_label(task, group, combiner, text_or_none(alpha))
            where[(variant, split, task, group, label)] = index
    found = [
        -1 if pd.isna(alias) else where.get((variant, split, task, group, alias), -1)
        for _, variant, split, task, group, _, _, alias in rows
    ]
    return pd.Series(found, index=frame.index, dtype=int)
