"""Stages: trainings of the encoder alone, before the runs that start from their result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from weightwise.config.base import IN_THE_DATA, Aside, Count, Name, nearest
from weightwise.config.filters import RowFilter
from weightwise.config.sources import TableSource
from weightwise.config.tasks import Representation
from weightwise.config.training import OptimiserConfig, Positive, Share, TrainingConfig
from weightwise.config.values import Columns, Spelled


class StageBase(OptimiserConfig):
    """What every kind of stage has: its texts, its place in a chain, its training keys."""

    after: Annotated[Name | None, Aside("the stage before it counts as a whole")] = None
    """Start from the encoder that this stage leaves; null: the study's encoder."""
    source: Annotated[TableSource, IN_THE_DATA]
    """Table of the texts."""
    where: Annotated[tuple[RowFilter, ...], IN_THE_DATA] = ()
    """Row filters, all of which must hold."""
    empty_text: Annotated[Literal["refuse", "drop"], IN_THE_DATA] = "refuse"
    """What to do with rows whose text is empty, holds nothing that can be seen, or leaves the
    tokenizer without a token; dropped rows are counted."""
    known_rows: Annotated[Count | None, IN_THE_DATA] = None
    """Rows that the source is known to have, checked as read, before any filter."""
    limit: Annotated[Count | None, IN_THE_DATA] = None
    """Use at most so many texts (premises), drawn with the study's seed."""
    held_out: Annotated[float, Field(gt=0, lt=1), IN_THE_DATA] = 0.1
    """Share of the texts (of the premises) that the stage is not trained on but measured with."""
    max_length: Annotated[
        Annotated[int, Field(ge=8, le=4096)] | None, Aside("what it comes to counts")
    ] = None
    """Longest sequence in tokens; null: `encoder.max_length`."""
    licence: Annotated[str | None, Aside("shown in the report")] = None
    """Licence and credit of the texts, shown in the report."""
    epochs: Count = 3
    """Passes; the held-out texts are measured before the first and after each."""
    learning_rate: Positive = 5e-5
    """AdamW learning rate."""
    learning_rate_schedule: Literal["constant", "linear"] = "constant"
    """`linear`: falls to zero over the stage, after the warm-up."""
    clip_norm: Positive | None = None
    """Largest norm of the gradient; null: no clipping."""
    dropout: Share | None = None
    """Dropout in the encoder; null: the checkpoint's own."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """Arithmetic of the encoder's products, as `training.precision`. The device is
    `training.device`."""


class MaskedLanguageStage(StageBase):
    """Further pre-training by masked language modelling (Devlin et al. 2019, section 3.1; the mlm
    paper, sections 3.2.4 and 4.3). The paper states no rate; 5e-5 is that of Sun et al. (2019) for
    further pre-training."""

    kind: Literal["mlm"]
    """Kind of stage: `mlm`."""
    text: Annotated[Columns, IN_THE_DATA]
    """Text columns; every column's text stands for itself. Texts longer than `max_length` are
    divided, not cut."""
    batch_size: Count = 128
    """Sequences of a step."""
    accumulate: Count = 32
    """Micro-batches in which a step is processed: with 128 sequences, the paper's 32 of 4."""
    mask_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of a sequence's tokens that are to be predicted, anew in every step; at least one. Of
    them 80 per cent become [MASK], 10 a random token, 10 stay."""


class SimcseStage(StageBase):
    """Intermediate fine-tuning by SimCSE's supervised contrastive loss (Gao et al. 2021, section 4;
    simcse paper, sections 4.3.2 and 5.3)."""

    kind: Literal["simcse"]
    """Kind of stage: `simcse`."""
    text: Annotated[tuple[str, ...], Field(min_length=2, max_length=2), IN_THE_DATA]
    """Columns of the premise and of the hypothesis."""
    label: Annotated[str, IN_THE_DATA]
    """Column that says whether the premise entails or contradicts the hypothesis."""
    entailment: Annotated[Spelled, IN_THE_DATA] = "entailment"
    """Value of `label`: the hypothesis is a positive of the premise."""
    contradiction: Annotated[Spelled, IN_THE_DATA] = "contradiction"
    """Value of `label`: the hypothesis is a hard negative. Rows of other values are left out."""
    batch_size: Annotated[Count, Field(ge=2)] = 32
    """Premises of a step; each one's negatives are the hypotheses of all others."""
    temperature: Positive = 0.05
    """Cosines are divided by it."""
    representation: Representation = "pooler"
    """What stands for a sentence: `pooler` as in the paper, `cls` or `mean`. Best the one that
    `training.representation` reads afterwards."""

    @model_validator(mode="after")
    def _labels_differ(self) -> SimcseStage:
        if self.entailment == self.contradiction:
            raise ValueError("`entailment` and `contradiction` must be different values of `label`")
        return self


StageConfig = Annotated[MaskedLanguageStage | SimcseStage, Field(discriminator="kind")]
STAGE_KINDS = ("mlm", "simcse")
"""All kinds of stages, as `kind` names them; `stages/KIND.py` holds each one's objective."""


def chain_of(stages: Mapping[str, StageBase], name: str) -> tuple[str, ...]:
    """The stages that lead to a stage, the first one first, itself last.

    Raises:
        ValueError: one of them is not configured, or `after` goes round in a circle.
    """
    chain: list[str] = []
    following: str | None = name
    while following is not None:
        if following in chain:
            circle = " -> ".join([*chain[chain.index(following) :], following])
            raise ValueError(f"stages: `after` goes round in a circle: {circle}")
        if following not in stages:
            where = f"stages.{chain[-1]}.after: " if chain else ""
            hint = nearest(following, list(stages)) if stages else "the study has no `stages`"
            raise ValueError(f"{where}unknown stage '{following}'; {hint}")
        chain.append(following)
        following = stages[following].after
    return tuple(reversed(chain))


def refuse_broken_chains(
    stages: Mapping[str, StageBase], training: TrainingConfig, sweep: Mapping[str, tuple[Any, ...]]
) -> None:
    """Refuse stages that lead nowhere and starts that are no stage, naming key and remedy.

    Raises:
        ValueError: names that differ by case only, an unknown stage, a circle of `after`.
    """
    folded: dict[str, str] = {}
    for name in stages:
        other = folded.setdefault(name.lower(), name)
        if other != name:
            # Paths must differ on file systems that ignore case, too.
            raise ValueError(f"stage names '{other}' and '{name}' differ only by case")
        chain_of(stages, name)
    places = [("training.start", training.start)]
    places += [("sweep.start", value) for value in sweep.get("start", ())]
    for place, start in places:
        if start is not None and start not in stages:
            hint = nearest(str(start), list(stages)) if stages else "the study has no `stages`"
            raise ValueError(f"{place}: unknown stage '{start}'; {hint}")
