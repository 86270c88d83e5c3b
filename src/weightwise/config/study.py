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
from weightwise.config.base import Name, Strict, nearest
from weightwise.config.combinations import refuse_groupings, refuse_misfits, refuse_repeats
from weightwise.config.report import ReportConfig, refuse_counterparts
from weightwise.config.sources import EncoderConfig
from weightwise.config.stages import StageConfig, refuse_broken_chains
from weightwise.config.tasks import TaskConfig
from weightwise.config.training import TrainingConfig
from weightwise.config.variants import variants


def exact_decimal(value: Any) -> str:
    """A weight as the shortest exact decimal text: 0.40, '0.4' and .4 are all '0.4'.

    Raises ValueError where it is no number in [0, 1].
    """
    try:
        number = Decimal(str(value).strip())
    except ArithmeticError:
        raise ValueError(f"alpha {value!r} is not a number") from None
    if not (number.is_finite() and 0 <= number <= 1):
        raise ValueError(f"alpha {value} is outside [0, 1]")
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
RESERVED = ("downloads", "runs", "slurm", "stages")
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

    up_to: Annotated[int, Field(ge=1)]
    """Largest number of tasks in a grouping."""


class StudyConfig(Strict):
    """One study. Everything that weightwise does follows from this model."""

    name: Name
    """Folder of the study below results/ and reports/."""
    extends: str | None = None
    """Another study's file to start from; keys given here replace or refine its keys."""
    data_dir: str | None = None
    """Folder of the data files. The environment variable WEIGHTWISE_DATA_DIR overrides it."""
    tasks: Annotated[dict[Name, TaskConfig], Field(min_length=1)]
    """The tasks, by name. Their order is the order inside every grouping."""
    groupings: Literal["pairs"] | UpTo | tuple[tuple[Name, ...], ...] = "pairs"
    """`pairs`: all singles and all pairs. `{up_to: k}`: all groupings up to k tasks. Or a list of
    lists of task names."""
    single_tasks: bool = True
    """Every task of a grouping is trained alone, too: the baseline of relative changes. false: only
    what `groupings` lists; arms are then compared with the first one, and changes in per cent have
    nothing to start from."""
    combiners: tuple[Combiner, ...] = ("addition", "unitary", "pcgrad")
    """How the gradients of a grouping become one: `NAME` or `NAME(key=value)`, such as
    `cagrad(c=0.5)` or `torchjd:UPGrad`; docs/combiners.md holds them all."""
    alphas: tuple[Alpha, ...] = tuple(f"0.{i}" for i in range(1, 10))
    """Weights of the first task of a pair under `unitary` and `pcgrad_alpha`; exact decimals."""
    simplex_step: Alpha = "0.25"
    """Step of the weights of larger groupings under `unitary` and `pcgrad_alpha`; every
    weight above zero."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    """Seeds; every arm is run with each of them."""
    study_seed: int = 0
    """Mixed into every generator; change it to repeat the study with other randomness."""
    encoder: EncoderConfig
    """The shared encoder."""
    stages: dict[Name, StageConfig] = Field(default={})
    """Trainings of the encoder alone, by name; runs start from one by `training.start`. Each is a
    job of its own, computed once for all runs and studies that share it."""
    training: TrainingConfig = TrainingConfig()
    """Keys of training."""
    sweep: dict[str, tuple[Any, ...]] = Field(default={})
    """Training keys with several values each; the study is run for every combination."""
    arms: dict[Name, dict[str, Any]] = Field(default={})
    """Named arms: overrides of training keys, of `combiners`, `groupings` and `single_tasks`. The
    study is run for each of them; the first one is what the report compares the others with."""
    threads: Annotated[int, Field(ge=1)] = 1
    """CPU threads of one run. Two runs of one thread are faster than one of two."""
    runs_per_job: Annotated[int, Field(ge=1)] = 1
    """Runs that one job trains one after another; they share its start-up, tokens and batches.
    Changes no result and makes nothing due again."""
    runs_side_by_side: Annotated[int, Field(ge=1)] = 1
    """Runs of a job that train at the same time, each with `threads` threads, all on the job's GPU
    if it has one."""
    checkpoint_minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10
    """Minutes between two checkpoints within an epoch. After an epoch one is written anyway, unless
    training it again would be quicker."""
    report: ReportConfig = ReportConfig()
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

    @field_validator("seeds", "alphas", "combiners")
    @classmethod
    def _no_repeats(cls, values: tuple) -> tuple:
        return refuse_repeats(values)

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
