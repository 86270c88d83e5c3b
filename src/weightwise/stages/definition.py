"""What decides a stage, as plain data. Imports no torch."""

from __future__ import annotations

from typing import Any

from weightwise.code import stage_code_version, stage_packages
from weightwise.config import StudyConfig
from weightwise.config.stages import StageBase
from weightwise.identity.versions import versions

# How rows became texts is in the checksum of the prepared texts, which joins the stage's key.
_IN_THE_DATA = {
    "source",
    "where",
    "empty_text",
    "known_rows",
    "limit",
    "held_out",
    "licence",
    "text",
    "label",
    "entailment",
    "contradiction",
}


def stage_definition(study: StudyConfig, name: str) -> dict[str, Any]:
    """Everything in configuration and code that decides the encoder which a stage leaves.

    The name is in it, since the stage's random numbers are drawn for it; the definition of the
    stage before it in the chain is in it as a whole.
    """
    stage = study.stages[name]
    keys = stage.model_dump(mode="json", exclude=_IN_THE_DATA | {"after", "max_length"})
    return {
        "name": name,
        "stage": keys,
        "max_length": longest(study, stage),
        "study_seed": study.study_seed,
        # A chain's first stage leaves the layers that are kept; those after it keep them all.
        "encoder": {"layers": study.encoder.layers} if stage.after is None else None,
        "after": None if stage.after is None else stage_definition(study, stage.after),
        "device": study.training.device,
        "threads": study.threads,
        "code": stage_code_version(stage.kind),
        "versions": versions(stage_packages(stage.kind)),
    }


def texts_definition(stage: StageBase) -> dict[str, Any]:
    """What decides a stage's prepared texts, or whether the encoder is refused for it: a change in
    one of these makes the preparation due, and a change in the other keys does not."""
    keys = (_IN_THE_DATA - {"licence"}) | {"kind", "max_length", "representation"}
    return stage.model_dump(mode="json", include=keys)


def longest(study: StudyConfig, stage: StageBase) -> int:
    """Longest sequence of a stage in tokens."""
    return stage.max_length or study.encoder.max_length
