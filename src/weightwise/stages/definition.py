"""What decides a stage, as plain data. Imports no torch."""

from __future__ import annotations

from typing import Any

from weightwise.code import stage_code_version, stage_packages
from weightwise.config import StudyConfig
from weightwise.config.base import asides
from weightwise.config.stages import StageBase
from weightwise.identity.machine import Arithmetic
from weightwise.identity.run import layer_numbers
from weightwise.identity.versions import versions


def stage_definition(study: StudyConfig, name: str) -> dict[str, Any]:
    """Everything in configuration and code that decides the encoder which a stage leaves.

    The name is in it, since the stage's random numbers are drawn for it; the definition of the
    stage before it in the chain is in it as a whole.
    """
    stage = study.stages[name]
    keys = stage.model_dump(mode="json", exclude=asides(type(stage)))
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


def settled_stage(
    definition: dict[str, Any], arithmetic: Arithmetic, layers: int | None
) -> dict[str, Any]:
    """A stage's definition with what the machine and the encoder make of it, for its key, which
    holds the key of the stage before it.

    Args:
        definition: see `stage_definition`.
        arithmetic: the device class and precision of the training.
        layers: layers of the checkpoint; None: unknown.
    """
    kept = {k: v for k, v in definition.items() if k not in ("after", "device")}
    kept["stage"] = {k: v for k, v in definition["stage"].items() if k != "precision"}
    if kept["encoder"] is not None and layers is not None:
        kept["encoder"] = {"layers": layer_numbers(definition["encoder"]["layers"], layers)}
    return kept | {"arithmetic": arithmetic.told()}


def longest(study: StudyConfig, stage: StageBase) -> int:
    """Longest sequence of a stage in tokens."""
    return stage.max_length or study.encoder.max_length
