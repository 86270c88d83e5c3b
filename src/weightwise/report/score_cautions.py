"""What touches a task's scores and stands beside them: texts that are cut, unknown tokens, and rows
to be scored whose texts some training of theirs has seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from weightwise.analysis.labels import tasks_of
from weightwise.config import TrainingConfig
from weightwise.config.stages import chain_of
from weightwise.config.variants import variants
from weightwise.data.cautions import CUT_SHARE, UNKNOWN_SHARE, Fit, framing, task_fits
from weightwise.figures.inputs import Inputs

SCORED = ("dev", "test")


def score_cautions(
    inputs: Inputs, variant: str, task: str, checks: Mapping[str, Any], all_cuts: bool = False
) -> list[str]:
    """Sentences on what touches the scores of a task in a variant; empty without a study.

    Args:
        inputs: the study's tables; its groupings decide whose training rows matter.
        variant: name of the variant.
        task: name of the task.
        checks: laid out as `weightwise.data.checks` says.
        all_cuts: tell of any row that is cut and any unknown token, not of large shares only.
    """
    study = inputs.study
    known = variants(study).get(variant) if study is not None else None
    if known is None or task not in study.tasks:
        return []
    fits = task_fits(checks, task, framing(study.tasks[task], known.training.pair))
    pair = len(study.tasks[task].text) == 2
    told = _cut(fits, pair, 0 if all_cuts else CUT_SHARE)
    told += _unknown(fits, 0 if all_cuts else UNKNOWN_SHARE)
    leaks = [one for one in checks.get("leakage") or [] if one.get("task_b") == task]
    rows = {fit.split: fit.rows for fit in fits}
    told += _shared(leaks, task, "Its own train", rows)
    for partner in _partners(inputs, variant, task, known.training):
        told += _shared(leaks, partner, f"With {partner}: its train", rows)
    if known.training.start is not None:
        for stage in chain_of(study.stages, known.training.start):
            facts = (checks.get("stages") or {}).get(stage) or {}
            told += [
                f"Stage {stage} has seen a text of {one['rows']:,} of the {one['split']} rows "
                f"({share(one['share'])})"
                for one in facts.get("shared") or []
                if one["task"] == task and one["split"] in SCORED
            ]
    return told


def cautions_of_variants(
    inputs: Inputs, names: Iterable[str], task: str, checks: Mapping[str, Any]
) -> list[str]:
    """The same over several variants: what does not hold in all of them names those in which it
    does."""
    names = [name for name in names if len(_rows(inputs, name, task))]
    found: dict[str, list[str]] = {}
    for name in names:
        for line in score_cautions(inputs, name, task, checks):
            found.setdefault(line, []).append(name)
    return [
        line
        if len(holding) == len(names)
        else f"{line} (in {', '.join(f'“{name}”' for name in holding)})"
        for line, holding in found.items()
    ]


def share(part: float) -> str:
    """`62 %`, `0.4 %`; whole only where it is."""
    if 0 < part < 0.0005:
        return "under 0.1 %"
    digits = 1 if part < 0.0995 or 0.995 <= part < 1 else 0
    return f"{100 * part:.{digits}f} %"


def _rows(inputs: Inputs, variant: str, task: str):
    scores = inputs.scores
    return scores[(scores["variant"] == variant) & (scores["task"] == task)]


def _partners(inputs: Inputs, variant: str, task: str, training: TrainingConfig) -> list[str]:
    """The tasks that train the encoder in some grouping of this one, in the study's order."""
    if training.freeze_trunk:
        return []
    seen = {name for group in _rows(inputs, variant, task)["group"] for name in tasks_of(group)}
    kept = training.trunk_tasks
    return [
        name
        for name in inputs.study.tasks
        if name in seen and name != task and (kept is None or name in kept)
    ]


def _cut(fits: list[Fit], pair: bool, least: float) -> list[str]:
    told = [fit for fit in _ordered(fits) if fit.cut]
    if not told or max(fit.cut_share for fit in told) <= least:
        return []
    what = "pairs" if pair else "texts"
    first, *rest = told
    more = "".join(f", {share(fit.cut_share)} of {fit.split}" for fit in rest)
    return [
        f"{share(first.cut_share)} of the {first.split} {what}{more} are cut at "
        f"{first.max_length} tokens"
    ]


def _unknown(fits: list[Fit], least: float) -> list[str]:
    told = [fit for fit in _ordered(fits) if fit.unknown]
    if not told or max(fit.unknown for fit in told) <= least:
        return []
    first, *rest = told
    more = "".join(f", {share(fit.unknown)} of {fit.split}" for fit in rest)
    return [f"{share(first.unknown)} of the {first.split} tokens{more} are unknown to the encoder"]


def _ordered(fits: list[Fit]) -> list[Fit]:
    order = (*SCORED, "train")
    return sorted(fits, key=lambda fit: order.index(fit.split))


def _shared(leaks: list[dict[str, Any]], trained: str, whose: str, rows: dict) -> list[str]:
    """What the training rows of a task hold of the rows to be scored."""
    parts = []
    for split in SCORED:
        place = (trained, "train", split)
        counts = {
            leak["kind"]: leak
            for leak in leaks
            if (leak.get("task_a"), leak.get("split_a"), leak.get("split_b")) == place
        }
        whole, text = counts.get("example"), counts.get("sentence")
        total = f"{rows[split]:,} " if split in rows else ""
        said = []
        if whole and whole["count"]:
            said.append(
                f"{whole['count']:,} of the {total}{split} rows ({share(whole['share_of_b'])})"
            )
        # Sentences come again within one corpus of pairs; across tasks they are the partner's.
        if text and whose.startswith("With") and text["count"] > (whole or {}).get("count", 0):
            of = "" if said else f" of the {total}{split} rows"
            said.append(f"a text of {text['count']:,}{of} ({share(text['share_of_b'])})")
        if said:
            parts.append(" and ".join(said))
    return [f"{whose} holds {', '.join(parts)}"] if parts else []
