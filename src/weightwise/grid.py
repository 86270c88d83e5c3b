"""From a configuration to the table of runs. Imports no torch: every Slurm job re-parses it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from weightwise.code import code_version
from weightwise.combine import path_label, read_combiner
from weightwise.config import StudyConfig, TaskConfig, TrainingConfig
from weightwise.config.stages import chain_of
from weightwise.config.variants import variants
from weightwise.errors import UserError
from weightwise.stages.definition import stage_definition

MOST_CELLS = 200_000
"""Cells of a study: tens of years of one core even for small runs."""
MOST_GROUPS = 10_000
"""Groupings of a study."""
MOST_WEIGHTS = 10_000
"""Weights of one grouping under one combiner."""
NO_RESULT = {"device", "record_every", "trunk_tasks"}
"""Keys of training that change no result by themselves: a recorded step is the same step to the
bit, and `head_only` says what `trunk_tasks` means for a run."""
NOTHING_SAID = {"freeze_trunk", "probe_epochs", "train_rows"}
"""Keys of training that a definition leaves out at their default: such runs keep their keys."""


@dataclass(frozen=True)
class Arm:
    """A way to combine the gradients of a grouping: a combiner and, where it has them, the weights.

    `combiner` is its canonical text (`cagrad(c=0.5)`). `alpha` is the exact text that stands in
    paths: the first task's weight for a pair, all weights joined by commas for larger groupings.
    """

    combiner: str
    alpha: str | None = None

    @property
    def label(self) -> str:
        """What stands in paths: `unitary-0.4`, `pcgrad`, `cagrad-c=0.5`, `torchjd-UPGrad`."""
        name = path_label(self.combiner)
        return name if self.alpha is None else f"{name}-{self.alpha}"

    def weights(self, size: int) -> tuple[str, ...] | None:
        """The weight of every task as exact decimals; None where the combiner has no weights."""
        if self.alpha is None:
            return None
        parts = self.alpha.split(",")
        if size == 2:
            parts = [parts[0], plain(1 - Decimal(parts[0]))]
        if len(parts) != size:
            raise UserError(f"alpha {self.alpha} does not fit a grouping of {size} tasks")
        return tuple(parts)


@dataclass(frozen=True)
class Cell:
    """A place in the study's tables: grouping x arm x variant x seed."""

    group: tuple[str, ...]
    arm: Arm
    variant: str
    seed: int

    @property
    def group_name(self) -> str:
        """`SEN+PAR`."""
        return "+".join(self.group)

    @property
    def id(self) -> str:
        """`SEN+PAR/unitary-0.4/default/seed-1`: the path that people read."""
        return f"{self.group_name}/{self.arm.label}/{self.variant}/seed-{self.seed}"


def plain(number: Decimal) -> str:
    """An exact decimal in fixed notation without trailing zeros."""
    return format(number.normalize(), "f")


class Grid:
    """All cells of a study and the runs that fill them.

    Cells whose arms are one method share a run: under AdamW without clipping the scale of a
    gradient cancels, so equal weights and addition are the same method up to epsilon (SPEC
    section 4), and so are PCGrad with equal weights and PCGrad. They are run once and shown in both
    rows.
    """

    def __init__(self, study: StudyConfig):
        self.study = study
        self.variants = variants(study)

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Groupings of any variant, singles first, tasks in the study's order."""
        found = [group for variant in self.variants for group in self.groups_of(variant)]
        return tuple(sorted(dict.fromkeys(found), key=lambda group: len(group) > 1))

    def groups_of(self, variant: str) -> tuple[tuple[str, ...], ...]:
        """Groupings of a variant, singles first, tasks in the study's order."""
        tasks = list(self.study.tasks)
        chosen = self.variants[variant].groupings
        alone = self.variants[variant].single_tasks
        if isinstance(chosen, tuple):
            ordered = [tuple(t for t in tasks if t in group) for group in chosen]
            singles = [(t,) for t in tasks if alone and any(t in group for group in ordered)]
            return tuple(sorted(dict.fromkeys([*singles, *ordered]), key=lambda g: len(g) > 1))
        largest = 2 if chosen == "pairs" else chosen.up_to
        sizes = range(1 if alone else 2, min(largest, len(tasks)) + 1)
        count = sum(math.comb(len(tasks), size) for size in sizes)
        if count > MOST_GROUPS:
            raise UserError(
                f"groupings: {len(tasks)} tasks make {count:,} groupings of up to {largest}, and "
                f"at most {MOST_GROUPS:,} are possible; lessen `up_to`, or list the wanted ones"
            )
        return tuple(g for size in sizes for g in itertools.combinations(tasks, size))

    def arms(self, group: tuple[str, ...], variant: str) -> tuple[Arm, ...]:
        """The arms of a grouping in a variant; a single task has only its baseline."""
        if len(group) == 1:
            return (Arm("baseline"),)
        arms: list[Arm] = []
        for combiner in self.variants[variant].combiners:
            if read_combiner(combiner).type.weighted:
                arms += [Arm(combiner, a) for a in self._alphas(len(group))]
            else:
                arms.append(Arm(combiner))
        return tuple(arms)

    def _alphas(self, size: int) -> list[str]:
        if size == 2:
            return list(self.study.alphas)
        step = Decimal(self.study.simplex_step)
        units = int(1 / step)
        if units < size:
            raise UserError(
                f"simplex_step: {self.study.simplex_step} leaves no weights above zero for a "
                f"grouping of {size} tasks; choose a smaller step, such as 0.1"
            )
        count = math.comb(units - 1, size - 1)
        if count > MOST_WEIGHTS:
            raise UserError(
                f"simplex_step: {self.study.simplex_step} makes {count:,} arms of a grouping of "
                f"{size} tasks, and at most {MOST_WEIGHTS:,} are possible; choose a larger step"
            )
        # Where the units are cut in `size` parts, in the parts' own order.
        cuts = itertools.combinations(range(1, units), size - 1)
        return [
            ",".join(plain(step * (b - a)) for a, b in itertools.pairwise((0, *cut, units)))
            for cut in cuts
        ]

    def runs_as(self, cell: Cell) -> Cell:
        """The cell whose run fills this one: itself, or the equivalent one that is run."""
        weights = cell.arm.weights(len(cell.group)) if len(cell.group) > 1 else None
        if weights is None or len(set(weights)) > 1:
            return cell
        plain_one = read_combiner(cell.arm.combiner).type.equal_weights_as
        if (
            plain_one not in self.variants[cell.variant].combiners
            or self.training(cell.variant).clip_norm is not None
        ):
            return cell
        return Cell(cell.group, Arm(plain_one), cell.variant, cell.seed)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell, seed by seed, so that the first complete picture comes early.

        Raises:
            UserError: there are more than `MOST_CELLS`, or a grouping cannot have an arm.
        """
        count = len(self.study.seeds) * sum(
            len(self.arms(group, variant))
            for variant in self.variants
            for group in self.groups_of(variant)
        )
        if count > MOST_CELLS:
            raise UserError(
                f"study '{self.study.name}' has {count:,} cells (groupings x arms x variants x "
                f"seeds), and at most {MOST_CELLS:,} are possible; lessen `groupings`, `alphas`, "
                "`sweep` or `seeds`"
            )
        return tuple(
            Cell(group, arm, variant, seed)
            for seed in self.study.seeds
            for variant in self.variants
            for group in self.groups_of(variant)
            for arm in self.arms(group, variant)
        )

    @cached_property
    def runs(self) -> tuple[Cell, ...]:
        """The cells that are trained: `cells` without those that share another's run."""
        return tuple(c for c in self.cells if self.runs_as(c) == c)

    @cached_property
    def packs(self) -> tuple[tuple[Cell, ...], ...]:
        """The runs in the packs that jobs train: as many as `runs_per_job`, of one seed and one
        start, so that no run waits for a stage that is none of its own."""
        size = self.study.runs_per_job
        packs = []
        for _, runs in itertools.groupby(
            self.runs, key=lambda run: (run.seed, self.training(run.variant).start)
        ):
            chosen = list(runs)
            packs += [tuple(chosen[i : i + size]) for i in range(0, len(chosen), size)]
        return tuple(packs)

    def run(self, run_id: str) -> Cell:
        """Look a run up by its id.

        Raises:
            UserError: no run of this study has that id.
        """
        for cell in self.cells:
            if cell.id == run_id:
                return self.runs_as(cell)
        raise UserError(
            f"study '{self.study.name}' has no run '{run_id}'; `weightwise plan` lists them"
        )

    def training(self, variant: str) -> TrainingConfig:
        """The training keys of a variant, overrides applied."""
        return self.variants[variant].training

    def head_only(self, run: Cell) -> frozenset[str]:
        """The run's tasks that do not train the trunk."""
        training = self.training(run.variant).trunk_tasks
        return frozenset() if training is None else frozenset(run.group) - frozenset(training)

    def definition(self, run: Cell) -> dict[str, Any]:
        """Everything in the configuration that decides the result of a run, as plain data.

        Labels, resources, titles and the other cells of the study are left out; checksums of
        data, encoder and code join it in the run's key (`store.run_key`).
        """
        study, training = self.study, self.training(run.variant)
        start = {} if training.start is None else {"start": self.stage_fingerprint(training.start)}
        return start | {
            "group": list(run.group),  # weights and random orders follow it; `tasks` gets sorted
            "tasks": {name: _task_definition(study.tasks[name]) for name in run.group},
            "combiner": run.arm.combiner,
            "weights": run.arm.weights(len(run.group)) if len(run.group) > 1 else None,
            "seed": run.seed,
            "study_seed": study.study_seed,
            "encoder": {"layers": study.encoder.layers, "max_length": study.encoder.max_length},
            "training": _training_definition(
                training.meant_for(run.group), bool(self.head_only(run))
            ),
            # What it means for this run, so that runs whose tasks all train the trunk are one.
            "head_only": sorted(self.head_only(run)),
        }

    def stage_fingerprint(self, name: str) -> str:
        """Short digest of a stage's configuration and code, those before it in its chain included:
        part of its marker's name and of the definition of every run that starts from it."""
        return digest(stage_definition(self.study, name))[:16]

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The stages that some run needs, each after the one that it starts from."""
        starts = dict.fromkeys(one.training.start for one in self.variants.values())
        chains = [chain_of(self.study.stages, s) for s in starts if s is not None]
        return tuple(dict.fromkeys(itertools.chain.from_iterable(chains)))

    def fingerprint(self, run: Cell) -> str:
        """Short digest of the run's configuration and of the code behind it: part of the name of
        its marker, so that a change in either makes exactly the runs due that it changes."""
        return digest([self.definition(run), code_version(run.arm.combiner)])[:16]


def _training_definition(training: TrainingConfig, left_out: bool) -> dict[str, Any]:
    """The keys of training that decide a run. The start's own name is a label: its fingerprint
    stands beside. `left_out`: a task of the run trains its head alone, which is probing, too."""
    default = TrainingConfig()
    unsaid = {key for key in NOTHING_SAID if getattr(training, key) == getattr(default, key)}
    if {"freeze_trunk", "probe_epochs"} <= unsaid and not left_out:
        unsaid.add("probe_learning_rate")
    return training.model_dump(mode="json", exclude=NO_RESULT | unsaid | {"start"})


def _task_definition(task: TaskConfig) -> dict[str, Any]:
    """What of a task decides a run. How rows became examples is in the data's checksum."""
    ways = {"kind", "range", "head", "representation", "pair", "decoder", "output"}
    return task.model_dump(mode="json", include=ways) | {
        "metric": task.score_name,
        # Classes have one loss; null, for regression, is `training.similarity_loss`.
        "loss": task.loss if task.kind == "regression" else None,
        "classes": len(task.class_names),
        "texts": len(task.text),
    }


def digest(data: Any) -> str:
    """SHA-256 of canonical JSON."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
