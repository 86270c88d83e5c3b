"""What a task loses when it does not train the encoder, and what the others gain (simcse, section
5.4.2 and table 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from weightwise.analysis.comparisons import differences, simplest_arm, summarise
from weightwise.analysis.labels import BASELINE, largest_group, tasks_of
from weightwise.config.training import TrainingConfig
from weightwise.config.variants import Variant
from weightwise.tables import LeftOut, check, empty


@dataclass(frozen=True)
class LeavingOut:
    """A variant in which one task of a grouping does not train the encoder.

    `full`: the same with all tasks; `probe`: the same with none, where the study has it.
    """

    variant: str
    task: str
    full: str
    probe: str | None = None


def leaving_out(variants: Mapping[str, Variant]) -> list[LeavingOut]:
    """The variants that train the encoder on all tasks of a grouping but one, each with those that
    are the same with all tasks and with none (`freeze_trunk`)."""
    found = []
    for name, one in variants.items():
        kept = one.training.trunk_tasks
        if kept is None or one.training.freeze_trunk or not isinstance(one.groupings, tuple):
            continue
        everything = one.training.model_copy(update={"trunk_tasks": None})
        probing = everything.model_copy(update={"freeze_trunk": True, "probe_epochs": 0})
        full = _trained_so(variants, everything)
        for group in one.groupings:
            missing = set(group) - set(kept)
            if len(missing) == 1 and full is not None:
                found.append(LeavingOut(name, *missing, full, _trained_so(variants, probing)))
    return found


def _trained_so(variants: Mapping[str, Variant], training: TrainingConfig) -> str | None:
    return next((name for name, one in variants.items() if one.training == training), None)


def leave_one_out(
    scores: pd.DataFrame,
    left_out: Sequence[LeavingOut],
    confidence: float = 0.95,
    power: float = 0.8,
) -> pd.DataFrame:
    """`tables.LeftOut` from `tables.Scores`: a cell per measured task and left-out task.

    As in the paper the left-out task, whose head alone was trained, is compared with probing, and
    the others with training all tasks. Differences are those of the scores, paired by seed; a
    family for Holm's correction is one measured task and split, all left-out tasks. A cell whose
    reference the study does not have is `not comparable`. The simplest combiner counts, in the
    largest grouping that holds the left-out task.

    Args:
        scores: of the study.
        left_out: which of its variants leave out what (`leaving_out`).
        confidence, power: see `summarise_arms`.
    """
    rows = scores[scores["alias_of"].isna() & (scores["combiner"] != BASELINE)]
    frames, known = [], {}
    for one in left_out:
        own = rows[rows["variant"] == one.variant]
        groups = [g for g in own["group"].unique() if one.task in tasks_of(g)]
        if not groups:
            continue
        group = largest_group(groups)
        for (task, split), cell in own[own["group"] == group].groupby(
            ["task", "split"], sort=False
        ):
            reference = one.probe if task == one.task else one.full
            same = (rows["variant"] == reference) & (rows["group"] == group)
            same &= (rows["task"] == task) & (rows["split"] == split)
            base = simplest_arm(rows[same]) if same.any() else cell.iloc[:0]
            frames.append(differences(simplest_arm(cell), base, task, split))
            known[one.variant, task] = (one.task, reference if same.any() else None)
    if not frames:
        return empty(LeftOut)
    found = summarise(frames, confidence, power)
    told = [known[key] for key in zip(found["variant"], found["task"], strict=True)]
    found = found.assign(left_out=[one[0] for one in told], reference=[one[1] for one in told])
    return check(found, LeftOut, "leave_one_out")
