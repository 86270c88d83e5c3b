"""The variants of a study: named arms of its configuration crossed with swept keys."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from weightwise.combine import read_combiner
from weightwise.config.base import nearest
from weightwise.config.combinations import refuse_groupings, refuse_misfits, refuse_repeats
from weightwise.config.stages import refuse_broken_chains
from weightwise.config.training import ONE_TASK_A_STEP, TrainingConfig
from weightwise.config.words import dotted, explain_errors

if TYPE_CHECKING:
    from weightwise.config.study import StudyConfig

DEFAULT_VARIANT = "default"
MOST_VARIANTS = 1000
"""Arms times all values of all swept keys."""
# Keys of the study that an arm can override beside those of training.
STUDY_KEYS = ("combiners", "groupings", "single_tasks")


@dataclass(frozen=True)
class Variant:
    """The training keys of a variant, the combiners and groupings that are run with them, and
    whether their tasks are trained alone, too."""

    training: TrainingConfig
    combiners: tuple[str, ...]
    groupings: Any
    single_tasks: bool = True


def variants(study: StudyConfig) -> dict[str, Variant]:
    """All variants by name: `default`, the arms, `key=value` of a sweep, or arm and sweep.

    Raises:
        ValueError: an override is unknown or does not fit; two variants are one configuration; a
            schedule cannot have a combiner, or a training key names an unknown task.
    """
    count = math.prod(map(len, study.sweep.values())) * max(1, len(study.arms))
    if count > MOST_VARIANTS:
        raise ValueError(
            f"sweep: {len(study.sweep)} keys (and the arms) make {count:,} variants, and at most "
            f"{MOST_VARIANTS:,} are possible; sweep fewer keys, or list the wanted ones in `arms`"
        )
    found: dict[str, Variant] = {}
    for arm, overrides in (study.arms or {"": {}}).items():
        for swept in _swept(study.sweep):
            keys = ",".join(f"{k}={v}" for k, v in swept.items())
            name = ",".join(part for part in (arm, keys) if part) or DEFAULT_VARIANT
            where = f"arms.{arm}" if arm else f"sweep: {keys}" if keys else "training"
            found[name] = _variant(study, overrides, swept, where)
            _refuse(study, found[name], where)
            for other, one in found.items():
                if other != name and one == found[name]:
                    raise ValueError(f"'{name}' and '{other}' are one configuration")
    return found


def _swept(sweep: Mapping[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*sweep.values()):
        yield dict(zip(sweep, values, strict=True))


def _variant(
    study: StudyConfig, overrides: Mapping[str, Any], swept: Mapping[str, Any], where: str
) -> Variant:
    known = [*STUDY_KEYS, *TrainingConfig.model_fields]
    for key in overrides:
        if key not in known:
            raise ValueError(f"{where}: unknown key '{key}'; {nearest(key, known)}")
        if key in swept:
            raise ValueError(f"{where}: '{key}' is swept, too; give it in one place")
    own = {k: v for k, v in overrides.items() if k in STUDY_KEYS}
    changes = {k: v for k, v in overrides.items() if k not in STUDY_KEYS} | dict(swept)
    place = ""
    try:
        training = TrainingConfig.model_validate(study.training.model_dump() | changes)
        # The study's own fields check what an arm puts in their place.
        checked = {}
        for place, value in own.items():
            checked[place] = _checked(type(study), place, value)
    except ValidationError as error:
        path, reason = next(explain_errors(error.errors(), own[place] if place else changes))
        key = dotted([place, *path] if place else path)
        raise ValueError(f"{where}: {key + ': ' if key else ''}{reason}") from None
    return Variant(
        training,
        checked.get("combiners", study.combiners),
        checked.get("groupings", study.groupings),
        checked.get("single_tasks", study.single_tasks),
    )


def _checked(study: type[StudyConfig], key: str, value: Any) -> Any:
    return TypeAdapter(study.model_fields[key].annotation).validate_python(value)


def _refuse(study: StudyConfig, variant: Variant, where: str) -> None:
    """Refuse what no run of the variant could do."""
    training = variant.training
    if study.arms:
        try:
            refuse_broken_chains(study.stages, training, {})
            refuse_misfits(study.tasks, training, {})
            refuse_groupings(variant.groupings, list(study.tasks))
            refuse_repeats(variant.combiners)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    for key in ("trunk_tasks", "train_rows"):
        for task in getattr(training, key) or ():
            if task not in study.tasks:
                raise ValueError(
                    f"{where}: {key}: unknown task '{task}'; {nearest(task, list(study.tasks))}"
                )
    if not variant.single_tasks and not isinstance(variant.groupings, tuple):
        largest = 2 if variant.groupings == "pairs" else variant.groupings.up_to
        if min(largest, len(study.tasks)) < 2:
            raise ValueError(
                f"{where}: `single_tasks: false` leaves nothing to run; give larger `groupings`, "
                "or list the single tasks in `groupings`"
            )
    if not variant.combiners and not variant.single_tasks:
        raise ValueError(f"{where}: without `combiners` and `single_tasks` it has no run at all")
    for text in variant.combiners:
        kind = read_combiner(text).type
        if training.schedule in ONE_TASK_A_STEP and text != "addition":
            raise ValueError(
                f"{where}: combiner '{text}' needs all tasks in one step, and schedule "
                f"'{training.schedule}' takes one task a step: set `combiners: [addition]`, with "
                "`epoch_surgery: true` if you like, or another schedule"
            )
        if kind.weighted and not kind.fixed and training.trunk_tasks is not None:
            raise ValueError(
                f"{where}: combiner '{text}' weighs all tasks of a grouping; it cannot be had with "
                "`trunk_tasks`"
            )
