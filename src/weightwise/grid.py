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

from weightwise.code import code_version, packages
from weightwise.combine import SURGERY, path_label, read_combiner
from weightwise.config import StudyConfig, TrainingConfig
from weightwise.config.stages import chain_of
from weightwise.config.variants import variants
from weightwise.errors import UserError
from weightwise.identity.run import head_only_tasks, run_definition
from weightwise.identity.versions import versions
from weightwise.stages.definition import stage_definition

MOST_CELLS = 200_000
"""Cells of a study: tens of years of one core even for small runs."""
MOST_GROUPS = 10_000
"""Groupings of a study."""
MOST_WEIGHTS = 10_000
"""Weights of one grouping under one combiner."""
SMALL_EPSILON = 1e-8
"""Largest epsilon of AdamW beside which the scale of the gradients is taken to cancel."""


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


def scale_cancels(training: TrainingConfig) -> bool:
    """Whether training is the same, but for rounding, when all gradients are halved.

    AdamW divides the mean of a parameter's gradients by the root of their mean square plus epsilon,
    so a common factor cancels as far as epsilon is small against the gradients. Trained both ways,
    runs stayed one at 1e-8: equal scores, and weights within 1 % of the way that they had moved,
    after 80 epochs, too. At 1e-6 they part once training has converged and gradients are small, and
    from 1e-4 on at once (scores by 0.08). Clipping compares lengths and does not cancel; bfloat16
    and micro-batches round each run in its own way. Factors other than halves are not exact either,
    which in fp32 is rounding alone.
    """
    return (
        training.epsilon <= SMALL_EPSILON
        and training.clip_norm is None
        and training.precision == "fp32"
        and training.accumulate == 1
    )


class Grid:
    """All cells of a study and the runs that fill them.

    Equal weights share the run of addition, and weighted PCGrad with equal weights that of PCGrad,
    where the scale of a gradient plays no part (`scale_cancels`); elsewhere both are run.
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
        if plain_one not in self.variants[cell.variant].combiners or not scale_cancels(
            self.training(cell.variant)
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
        return head_only_tasks(self.training(run.variant), run.group)

    def definition(self, run: Cell) -> dict[str, Any]:
        """Everything in the configuration that decides the result of a run; see
        `identity.run.run_definition`. What joins it in the run's key: `store.run_key`."""
        training = self.training(run.variant)
        return run_definition(
            self.study,
            training,
            run.group,
            run.seed,
            run.arm.combiner,
            run.arm.weights(len(run.group)) if len(run.group) > 1 else None,
            None if training.start is None else self.stage_fingerprint(training.start),
        )

    def combiners(self, run: Cell) -> tuple[str, ...]:
        """Every combiner that a run uses: its arm's, and PCGrad where epochs end with surgery."""
        surgery = self.training(run.variant).epoch_surgery and len(run.group) > 1
        return (run.arm.combiner, SURGERY) if surgery else (run.arm.combiner,)

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
        combiners = self.combiners(run)
        found = [self.definition(run), code_version(*combiners), versions(packages(*combiners))]
        return digest(found)[:16]


def digest(data: Any) -> str:
    """SHA-256 of canonical JSON."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
