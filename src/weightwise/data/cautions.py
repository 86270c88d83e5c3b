"""What must be said of a study before it trains, from its configuration and `checks.json` alone.

The warnings in `checks.json` are those of the data. What depends on keys of training and groupings,
too, is worked out here whenever it is asked, since a change in those keys prepares no data again.
Imports neither torch nor pandas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weightwise.config import StudyConfig, TaskConfig
from weightwise.config.variants import variants
from weightwise.data.loss_scale import scale_cautions
from weightwise.grid import Grid
from weightwise.identity.machine import here, slow_bf16
from weightwise.stages.definition import longest as longest_of_stage

CUT_SHARE = 0.05
"""A larger share of rows that are cut is warned of: what is left out of one row in twenty can move
a score by more than the differences that a study looks for."""
UNKNOWN_SHARE = 0.01
"""A larger share of unknown tokens is warned of. WordPiece falls back on single letters, so text in
the encoder's own language has next to none; above a fifth the data are refused
(`tokens.LARGEST_UNKNOWN_SHARE`)."""


@dataclass(frozen=True)
class Fit:
    """How the rows of a split fit into the encoder.

    `framing`: single, joint or siamese; `rows`, `cut`: rows, and how many of them are longer than
    `max_length` tokens; `longest`: tokens of the longest one; `unknown`: share of unknown tokens.
    """

    split: str
    framing: str
    rows: int
    cut: int
    longest: int
    max_length: int
    unknown: float

    @property
    def cut_share(self) -> float:
        """Share of the rows that are cut, 0 to 1."""
        return self.cut / self.rows if self.rows else 0.0


def framing(task: TaskConfig, pair: str) -> str:
    """How a task's texts become sequences where `training.pair` is `pair`: `single`, `joint` or
    `siamese`."""
    return "single" if len(task.text) == 1 else task.pair or pair


def task_fits(checks: Mapping[str, Any], task: str, framing: str) -> list[Fit]:
    """How each split of a task fits into the encoder; empty where the checks do not say.

    Args:
        checks: laid out as `weightwise.data.checks` says.
        task: name of the task.
        framing: see `framing`.
    """
    facts = (checks.get("tasks") or {}).get(task) or {}
    longest = (checks.get("encoder") or {}).get("max_length") or 0
    return list(_fits(facts.get("splits") or {}, framing, longest))


def _fits(splits: Mapping[str, Any], framing: str, longest: int) -> Iterator[Fit]:
    for split, facts in splits.items():
        tokens = (facts or {}).get("tokens") or {}
        if framing in (tokens.get("cut") or {}):
            yield Fit(
                split,
                framing,
                facts["rows"],
                tokens["cut"][framing],
                tokens["longest"][framing],
                longest,
                tokens["unknown"] / max(tokens["tokens"], 1),
            )


def task_framings(study: StudyConfig) -> dict[str, tuple[str, ...]]:
    """How the texts of each task become sequences, in all variants that train it; empty for a task
    that none does."""
    grid = Grid(study)
    found: dict[str, dict[str, None]] = {name: {} for name in study.tasks}
    for variant in grid.variants:
        for name in sorted(set().union(*grid.groups_of(variant))):
            found[name][framing(study.tasks[name], grid.training(variant).pair)] = None
    return {name: tuple(ways) for name, ways in found.items()}


def ungrouped(study: StudyConfig) -> list[str]:
    """Tasks that stand in no grouping of any variant."""
    used = set().union(*Grid(study).groups)
    return [name for name in study.tasks if name not in used]


def ungrouped_caution(study: StudyConfig) -> list[str]:
    """What is said of tasks in no grouping: one line, or none."""
    names = ungrouped(study)
    if not names:
        return []
    one = len(names) == 1
    return [
        f"{', '.join(names)}: in no grouping, so {'it is' if one else 'they are'} neither trained "
        f"nor scored; add {'it' if one else 'them'} to `groupings`, or remove "
        f"{'it' if one else 'them'} from `tasks`"
    ]


def cautions(study: StudyConfig, checks: Mapping[str, Any]) -> list[str]:
    """All of them, a sentence each: tasks in no grouping, rows that are cut, unknown tokens, losses
    of unequal scale.

    Args:
        study: the study.
        checks: laid out as `weightwise.data.checks` says.
    """
    found = ungrouped_caution(study)
    for name, ways in task_framings(study).items():
        for way in ways:
            fits = task_fits(checks, name, way)
            how = f" as {way} pairs" if len(ways) > 1 else ""
            found += _cut(name + how, fits, "`encoder.max_length`", way)
        if ways:
            found += _unknown(name, task_fits(checks, name, ways[0]))
    for name, stage in study.stages.items():
        facts = (checks.get("stages") or {}).get(name) or {}
        # Masked language modelling divides long texts, so there is nothing to cut.
        way = "single" if stage.kind == "mlm" else "siamese"
        fits = list(_fits(_as_splits(facts), way, longest_of_stage(study, stage)))
        if stage.kind != "mlm":
            found += _cut(f"stage {name}", fits, f"`stages.{name}.max_length`", way)
        found += _unknown(f"stage {name}", fits)
    return found + scale_cautions(study, checks)


def machine_cautions(study: StudyConfig) -> list[str]:
    """What must be said of training on the machine that asks: bfloat16 that it only emulates."""
    device = study.training.device
    chosen = {(v.training.precision, v.training.device) for v in variants(study).values()}
    chosen |= {(stage.precision, device) for stage in study.stages.values()}
    found = (slow_bf16(here(*one)) for one in sorted(chosen))
    return list(dict.fromkeys(told for told in found if told))


def _as_splits(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Splits of a stage laid out as those of a task."""
    named = {"train": "train", "dev": "held out"}
    return {named[s]: {"rows": t["rows"], "tokens": t} for s, t in facts.get("splits", {}).items()}


def _cut(whose: str, fits: list[Fit], key: str, way: str) -> list[str]:
    told = [fit for fit in fits if fit.cut]
    if not told or max(fit.cut_share for fit in told) <= CUT_SHARE:
        return []
    shares = ", ".join(f"{fit.cut_share:.1%} of {fit.split} ({fit.cut:,} rows)" for fit in told)
    longest = max(fit.longest for fit in told)
    other = "; two sequences hold more: `pair: siamese`" if way == "joint" else ""
    return [
        f"{whose}: longer than {told[0].max_length} tokens, and so cut: {shares}; the longest row "
        f"has {longest:,} tokens (see {key}{other})"
    ]


def _unknown(whose: str, fits: list[Fit]) -> list[str]:
    if not fits or max(fit.unknown for fit in fits) <= UNKNOWN_SHARE:
        return []
    shares = ", ".join(f"{fit.unknown:.1%} of {fit.split}" for fit in fits)
    return [
        f"{whose}: tokens that the encoder's vocabulary does not know: {shares}; the encoder reads "
        "them all as one and the same. Does it know this language and script?"
    ]
