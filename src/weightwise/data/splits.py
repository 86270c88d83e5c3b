"""Seeded choices of rows: dividing, balancing and limiting; the order in which tasks are made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import train_test_split

from weightwise.config.rows import SplitRule
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


def draw(
    count: int,
    limit: int | None,
    seed: int,
    purpose: str,
    study_seed: int,
    classes: np.ndarray | None = None,
) -> np.ndarray:
    """Ascending positions of at most `limit` of `count` rows, drawn without replacement.

    Args:
        count: rows there are; with fewer than `limit` all are taken.
        limit: rows wanted; None: all.
        seed: seed of the draw.
        purpose: what it is for, part of the seed.
        study_seed: the study's seed, mixed in.
        classes: [count] class numbers to draw equal shares of, to a row (which classes get the
            row more is drawn); None: rows are drawn whatever their class. Every class must have
            `limit` / classes rows, as after `balance`.
    """
    if limit is None or limit >= count:
        return np.arange(count)
    generator = numpy_generator(study_seed, seed, purpose)
    if classes is None:
        return np.sort(generator.choice(count, size=limit, replace=False))
    present = generator.permutation(np.unique(classes))
    share, more = divmod(limit, len(present))
    parts = [
        generator.choice(np.flatnonzero(classes == one), size=share + (i < more), replace=False)
        for i, one in enumerate(present)
    ]
    return np.sort(np.concatenate(parts))


def balance(
    labels: np.ndarray, class_names: Sequence[str], task: str, seed: int, study_seed: int
) -> np.ndarray:
    """Ascending positions of as many rows of every class as the rarest has, drawn with a seed.

    Args:
        labels: [n] class numbers.
        class_names: names of all classes, in order of their numbers.
        task: name, part of the seed.
        seed: seed of the draw.
        study_seed: the study's seed, mixed in.

    Raises:
        UserError: a class has no row, so that nothing would be left.
    """
    counts = np.bincount(labels.astype(int), minlength=len(class_names))
    if counts.min() == 0:
        raise UserError(
            f"task '{task}': `balance` takes as many training rows of every class as the rarest "
            f"has, and class '{class_names[int(counts.argmin())]}' has none; leave the class out "
            "of `classes`, or set `balance: false`"
        )
    return draw(
        len(labels), int(counts.min()) * len(counts), seed, f"balance:{task}", study_seed, labels
    )


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
