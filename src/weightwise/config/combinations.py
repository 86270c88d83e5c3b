"""Keys of tasks and of training that only make sense together, checked in every swept variant."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from weightwise.config.base import nearest
from weightwise.config.tasks import COSINE_LOSSES, LARGEST_LABEL_CLASSES, TaskConfig
from weightwise.config.training import TrainingConfig

# The swept keys that the rules below read.
READ = ("pair", "decoder", "similarity_loss", "head", "freeze_trunk")


def refuse_misfits(
    tasks: Mapping[str, TaskConfig], training: TrainingConfig, sweep: Mapping[str, tuple[Any, ...]]
) -> None:
    """Refuse pairing, decoder, loss and head that do not fit, naming task, keys and remedy.

    Args:
        tasks: the study's tasks.
        training: its training keys.
        sweep: training keys with several values each.

    Raises:
        ValueError: a task's loss cannot be computed in one of the variants, or its own decoder
            would be used in none of them; a head that learns nothing would train the encoder; a
            group of keys is swept, or `smart` names an unknown task.
    """
    for key in ("smart", "train_rows"):
        if key in sweep:
            # A variant is named by its swept values, and a mapping is no name.
            raise ValueError(
                f"sweep: `{key}` is a group of keys and cannot be swept; give it in `arms`"
            )
    for name in (training.smart and training.smart.tasks) or ():
        if name not in tasks:
            raise ValueError(
                f"training.smart.tasks: unknown task '{name}'; {nearest(name, list(tasks))}"
            )
    for name, task in tasks.items():
        pairs = {task.pair} if task.pair else {training.pair, *sweep.get("pair", ())}
        if task.decoder not in (None, "concatenate") and pairs == {"joint"}:
            raise ValueError(f"tasks.{name}: decoder '{task.decoder}' needs `pair: siamese`")
        for variant, chosen in _variants(training, sweep):
            if (task.head or chosen.head) == "chance" and not chosen.freeze_trunk:
                raise ValueError(
                    f"tasks.{name}: head 'chance' reads no text, so it has nothing to teach the "
                    f"encoder; set `freeze_trunk: true`{variant}"
                )
            if task.kind == "regression":
                problem = _loss_problem(task, chosen)
                if problem:
                    raise ValueError(f"tasks.{name}: {problem}{variant}")


def refuse_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, none of which stands twice.

    Raises:
        ValueError: one does.
    """
    repeated = sorted({str(v) for v in values if values.count(v) > 1})
    if repeated:
        raise ValueError(f"given twice: {', '.join(repeated)}")
    return values


def refuse_groupings(groupings: Any, tasks: Sequence[str]) -> None:
    """Refuse a list of groupings that is empty, names an unknown task or a task twice; what says
    `pairs` or `up_to` names none.

    Raises:
        ValueError: see above.
    """
    if not isinstance(groupings, tuple):
        return
    if not groupings:
        raise ValueError("groupings: name at least one, or write `pairs`")
    for group in groupings:
        if not group:
            raise ValueError("groupings: a grouping needs at least one task")
        for name in group:
            if name not in tasks:
                hint = nearest(name, list(tasks))
                raise ValueError(f"groupings: unknown task '{name}' in {list(group)}; {hint}")
        if len(set(group)) != len(group):
            raise ValueError(f"groupings: a task stands twice in {list(group)}")


def _variants(
    training: TrainingConfig, sweep: Mapping[str, tuple[Any, ...]]
) -> Iterator[tuple[str, TrainingConfig]]:
    """Every combination of the swept keys that matter here, and how a message calls it."""
    keys = [key for key in READ if key in sweep]
    for values in itertools.product(*(sweep[key] for key in keys)):
        name = ",".join(f"{k}={v}" for k, v in zip(keys, values, strict=True))
        swept = dict(zip(keys, values, strict=True))
        yield f" (sweep: {name})" if name else "", training.model_copy(update=swept)


def _loss_problem(task: TaskConfig, training: TrainingConfig) -> str | None:
    """Why a regression task's loss cannot be computed; None where it can."""
    loss = task.loss or training.similarity_loss
    if loss in COSINE_LOSSES:
        if len(task.text) == 1:
            return f"loss '{loss}' compares the two texts of a pair; set `loss: mse` for this task"
        pair, decoder = task.pair or training.pair, task.decoder or training.decoder
        if pair != "siamese":
            return f"loss '{loss}' needs `pair: siamese`, and `pair` is '{pair}'"
        if decoder != "cosine":
            return f"loss '{loss}' needs `decoder: cosine`, and `decoder` is '{decoder}'"
    if loss == "cross_entropy":
        low, high = task.range
        if not (low.is_integer() and high.is_integer()):
            return (
                "loss 'cross_entropy' rounds labels to whole numbers, so both ends of `range` must "
                f"be whole; [{low:g}, {high:g}] is not"
            )
        if high - low >= LARGEST_LABEL_CLASSES:
            return (
                f"loss 'cross_entropy' over {high - low + 1:,.0f} whole labels is too much "
                f"(at most {LARGEST_LABEL_CLASSES}); use 'mse'"
            )
    return None
