"""Seeded choices of rows: dividing a table, drawing a limited number, ordering of tasks."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from weightwise.config.sources import SplitRule
from weightwise.config.tasks import TaskConfig
from weightwise.errors import UserError
from weightwise.seeding import numpy_generator, seed_for


def divide(
    labels: np.ndarray, rule: SplitRule, task: str, classes: bool, study_seed: int
) -> dict[str, np.ndarray]:
    """Divide n rows into splits; each row falls into exactly one, the source's order is kept.

    Args:
        labels: [n] labels, used where the division is stratified.
        rule: shares and seed.
        task: name, part of the seed.
        classes: whether the labels are classes, so that stratifying makes sense.
        study_seed: the study's seed, mixed in.

    Returns:
        Ascending positions of train, dev and (if asked for) test.

    Raises:
        UserError: too few rows, or a class too small to be stratified.
    """
    count = len(labels)
    dev, test = round(count * rule.dev), round(count * rule.test)
    if dev < 1 or (rule.test and test < 1) or count - dev - test < 1:
        raise UserError(f"task '{task}': {count} rows are too few for the shares of `split`")
    seed = seed_for(study_seed, rule.seed, f"split:{task}") % 2**32
    stratify = rule.stratify and classes
    parts = {}
    rest = np.arange(count)
    for name, size in (("test", test), ("dev", dev)):
        if size == 0:
            continue
        try:
            rest, part = train_test_split(
                rest,
                test_size=size,
                random_state=seed,
                stratify=labels[rest] if stratify else None,
            )
        except ValueError as error:
            raise UserError(
                f"task '{task}': the rows cannot be divided with equal shares of every class "
                f"({error}); set `split.stratify: false`"
            ) from None
        parts[name] = np.sort(part)
    parts["train"] = np.sort(rest)
    return {name: parts[name] for name in ("train", "dev", "test") if name in parts}


def draw(count: int, limit: int | None, seed: int, purpose: str, study_seed: int) -> np.ndarray:
    """Ascending positions of at most `limit` of `count` rows, drawn without replacement."""
    if limit is None or limit >= count:
        return np.arange(count)
    generator = numpy_generator(study_seed, seed, purpose)
    return np.sort(generator.choice(count, size=limit, replace=False))


def dependency_order(tasks: dict[str, TaskConfig]) -> list[str]:
    """Task names, each after the tasks that its `disjoint_from` names.

    Raises:
        UserError: `disjoint_from` goes round in a circle.
    """
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise UserError(f"tasks: `disjoint_from` goes round in a circle: {circle}")
        if name not in order:
            for other in tasks[name].data.disjoint_from:
                visit(other, (*path, name))
            order.append(name)

    for name in tasks:
        visit(name, ())
    return order
