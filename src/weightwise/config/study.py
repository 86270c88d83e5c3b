"""The whole of a study: what is compared with what, on which data, how it is reported."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from weightwise.combine import COMBINERS, read_combiner
from weightwise.config.base import Aside, Count, Name, Seed, Strict, nearest
from weightwise.config.combinations import refuse_groupings, refuse_misfits, refuse_repeats
from weightwise.config.report import ReportConfig, refuse_counterparts
from weightwise.config.sources import EncoderConfig
from weightwise.config.stages import StageConfig, refuse_broken_chains
from weightwise.config.tasks import TaskConfig
from weightwise.config.training import TrainingConfig
from weightwise.config.variants import variants
from weightwise.config.words import shown

MOST_DECIMALS = 20
"""Of a weight. A float has 17; written out in full, 1e-999999999 would fill the memory."""


def exact_decimal(value: Any) -> str:
    """A weight as the shortest exact decimal text: 0.40, '0.4' and .4 are all '0.4'.

    Args:
        value: a number, or a text that is one.

    Raises:
        ValueError: it is no number in [0, 1], or has more than `MOST_DECIMALS` decimals.
    """
    try:
        number = Decimal(str(value).strip())
    except ArithmeticError:
        raise ValueError(f"alpha {shown(value)} is not a number") from None
    if not (number.is_finite() and 0 <= number <= 1):
        raise ValueError(f"alpha {shown(value, quote=False)} is outside [0, 1]")
    small = number and number.adjusted() < -MOST_DECIMALS  # normalised, it would become zero
    if small or number.normalize().as_tuple().exponent < -MOST_DECIMALS:
        raise ValueError(
            f"alpha {shown(value, quote=False)} has more than {MOST_DECIMALS} decimals"
        )
    text = format(number.normalize(), "f")
    return text if text not in ("-0", "") else "0"


def canonical_combiner(text: str) -> str:
    """The one text of a combiner: `cagrad(c=.40)` and `cagrad` are both `cagrad`.

    Raises ValueError naming combiner and option, and the nearest known one.
    """
    named = read_combiner(text)
    if named.name == "baseline":
        raise ValueError("'baseline' is no combiner to choose: single tasks are always run")
    return named.text


# A single task's baseline is no combiner to choose: it is always run.
STUDY_COMBINERS = sorted(set(COMBINERS) - {"baseline"})
Alpha = Annotated[str, BeforeValidator(exact_decimal)]
RESERVED = ("data", "downloads", "encoders", "runs", "slurm", "stages")
Combiner = Annotated[
    str,
    AfterValidator(canonical_combiner),
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [
                {"enum": STUDY_COMBINERS},
                {"pattern": rf"^({'|'.join(STUDY_COMBINERS)})\(.*\)$"},
            ],
        }
    ),
]


class UpTo(Strict):
    """All groupings of the configured tasks up to a size."""

    up_to: Count
    """Largest number of tasks in a grouping."""


class StudyConfig(Strict):
    """One study. Everything that weightwise does follows from this model."""

    name: Annotated[Name, Aside("where files lie")]
    """Folder of the study below results/ and reports/."""
    extends: Annotated[str | None, Aside("merged before")] = None
    """Another study's file to start from; keys given here replace or refine its keys."""
    data_dir: Annotated[str | None, Aside("where files lie")] = None
    """Folder of the data files. The environment variable WEIGHTWISE_DATA_DIR overrides it."""
    tasks: Annotated[
        dict[Name, TaskConfig], Field(min_length=1), Aside("those of the run itself count")
    ]
    """The tasks, by name. Their order is the order inside every grouping."""
    groupings: Annotated[
        Literal["pairs"] | UpTo | tuple[tuple[Name, ...], ...],
        Aside("which runs there are, not what they compute"),
    ] = "pairs"
    """`pairs`: all singles and all pairs. `{up_to: k}`: all groupings up to k tasks. Or a list of
    lists of task names."""
    single_tasks: Annotated[bool, Aside("which runs there are, not what they compute")] = True
    """Every task of a grouping is trained alone, too: the baseline of relative changes. false: only
    what `groupings` lists; arms are then compared with the first one, and changes in per cent have
    nothing to start from."""
    combiners: Annotated[
        tuple[Combiner, ...], Aside("which runs there are, not what they compute")
    ] = ("addition", "unitary", "pcgrad")
    """How the gradients of a grouping become one: `NAME` or `NAME(key=value)`, such as
    `cagrad(c=0.5)` or `torchjd:UPGrad`; docs/combiners.md holds them all."""
    alphas: Annotated[tuple[Alpha, ...], Aside("which runs there are, not what they compute")] = (
        tuple(f"0.{i}" for i in range(1, 10))
    )
    """Weights of the first task of a pair under `unitary` and `pcgrad_alpha`; exact decimals
    between 0 and 1."""
    simplex_step: Annotated[Alpha, Aside("which runs there are, not what they compute")] = "0.25"
    """Step of the weights of larger groupings under `unitary` and `pcgrad_alpha`; every
    weight above zero."""
    seeds: Annotated[
        tuple[Seed, ...],
        Field(json_schema_extra={"minItems": 1}),
        Aside("which runs there are, not what they compute"),
    ] = (1, 2, 3, 4, 5)
    """Seeds, whole numbers from -2^63 to 2^63 - 1; every arm is run with each of them."""
    study_seed: Seed = 0
    """Mixed into every generator; change it to repeat the study with other randomness."""
    encoder: Annotated[EncoderConfig, Aside("its own keys count")]
    """The shared encoder."""
    stages: Annotated[dict[Name, StageConfig], Aside("the chain that a run starts from counts")] = (
        Field(default={})
    )
    """Trainings of the encoder alone, by name; runs start from one by `training.start`. Each is a
    job of its own, computed once for all runs and studies that share it."""
    training: Annotated[TrainingConfig, Aside("the variant's own keys count")] = TrainingConfig()
    """Keys of training."""
    sweep: Annotated[
        dict[str, tuple[Any, ...]], Aside("which runs there are, not what they compute")
    ] = Field(default={})
    """Training keys with several values each; the study is run for every combination."""
    arms: Annotated[
        dict[Name, dict[str, Any]], Aside("which runs there are, not what they compute")
    ] = Field(default={})
    """Named arms: overrides of training keys, of `combiners`, `groupings` and `single_tasks`. The
    study is run for each of them; the first one is what the report compares the others with."""
    threads: Count = 1
    """CPU threads of one run. Two runs of one thread are faster than one of two."""
    runs_per_job: Annotated[Count, Aside("how jobs are run")] = 1
    """Runs that one job trains one after another; they share its start-up, tokens and batches.
    Changes no result and makes nothing due again."""
    runs_side_by_side: Annotated[Count, Aside("how jobs are run")] = 1
    """Runs of a job that train at the same time, each with `threads` threads, all on the job's GPU
    if it has one."""
    checkpoint_minutes: Annotated[
        float, Field(gt=0, allow_inf_nan=False), Aside("how jobs are run")
    ] = 10
    """Minutes between two checkpoints within an epoch. After an epoch one is written anyway, unless
    training it again would be quicker."""
    report: Annotated[ReportConfig, Aside("the report")] = ReportConfig()
    """The report."""

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name.lower() in RESERVED:
            # Their folders below results/ are shared by all studies.
            raise ValueError(f"a study cannot be called '{name}'; choose another name")
        return name

    @field_validator("tasks")
    @classmethod
    def _names_can_be_joined(cls, tasks: dict[str, TaskConfig]) -> dict[str, TaskConfig]:
        folded: dict[str, str] = {}
        for name in tasks:
            if name.lower() == "dropped":
                # Its rows would lie where those that no task has are listed.
                raise ValueError(f"a task cannot be called '{name}'; choose another name")
            other = folded.setdefault(name.lower(), name)
            if other != name:
                # Paths must differ on file systems that ignore case, too.
                raise ValueError(f"task names '{other}' and '{name}' differ only by case")
        return tasks

    @field_validator("seeds")
    @classmethod
    def _some_seed(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        # Not by `min_length`: that would say of a single seed that is refused that there is none.
        if not seeds:
            raise ValueError("name at least one seed, such as [1]")
        return seeds

    @field_validator("seeds", "alphas", "combiners")
    @classmethod
    def _no_repeats(cls, values: tuple) -> tuple:
        return refuse_repeats(values)

    @field_validator("alphas")
    @classmethod
    def _both_tasks_have_weight(cls, alphas: tuple[str, ...]) -> tuple[str, ...]:
        for alpha in alphas:
            if alpha in ("0", "1"):
                raise ValueError(
                    f"alpha {alpha} leaves one task of a pair without weight: the other is then "
                    "trained alone, which the single tasks' baselines are, and the head of the "
                    "first never learns; give weights between 0 and 1"
                )
        return alphas

    @model_validator(mode="after")
    def _hangs_together(self) -> StudyConfig:
        refuse_groupings(self.groupings, list(self.tasks))
        for name, task in self.tasks.items():
            for other in task.data.disjoint_from:
                if other not in self.tasks:
                    raise ValueError(
                        f"tasks.{name}.data.disjoint_from: unknown task '{other}'; "
                        + nearest(other, list(self.tasks))
                    )
                if other == name or name in self.tasks[other].data.disjoint_from:
                    raise ValueError(
                        f"tasks.{name}.data.disjoint_from: '{other}' and '{name}' cannot each "
                        "leave the other's rows out; name it on one side only"
                    )
        for key, values in self.sweep.items():
            if key not in TrainingConfig.model_fields:
                hint = nearest(key, list(TrainingConfig.model_fields))
                raise ValueError(f"sweep: unknown training key '{key}'; {hint}")
            if not values or len({str(v) for v in values}) != len(values):
                raise ValueError(f"sweep.{key}: needs values that differ from each other")
        refuse_misfits(self.tasks, self.training, self.sweep)
        refuse_broken_chains(self.stages, self.training, self.sweep)
        for text in self.combiners:
            if read_combiner(text).type.weighted and not self.alphas:
                raise ValueError(f"combiner '{text}' needs `alphas`")
        if "default" in self.arms:
            raise ValueError("arms: an arm cannot be called 'default'; choose another name")
        made = variants(self)
        refuse_counterparts(self.report, {name: one.single_tasks for name, one in made.items()})
        if Decimal(self.simplex_step) == 0 or Decimal(1) % Decimal(self.simplex_step) != 0:
            raise ValueError("simplex_step must divide 1, such as 0.25 or 0.2")
        return self
