"""What every configuration model shares: no unknown keys, nothing mutable."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from weightwise.config.words import shown
from weightwise.errors import nearest

# Names travel into paths, wildcards and HTML ids, so only what is safe in all three.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
# Seeds stand in tables of 64-bit integers; generators take any text that they are mixed into.
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
# A number of rows, epochs, threads: what tables, NumPy and PyTorch hold alike.
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Aside:
    """Marks a key that does not decide what a run computes, or not by itself, and says why.

    Written beside the field: `title: Annotated[str | None, Aside("shown in reports")] = None`. Keys
    without it are part of every run's definition, so a new one decides until someone marks it.
    """

    why: str


IN_THE_DATA = Aside("in the checksum of the prepared data")


def asides(model: type[BaseModel], one: Aside | None = None) -> set[str]:
    """Names of a model's keys that are marked with `Aside`.

    Args:
        model: a configuration model.
        one: the mark that counts; None: any.
    """
    return set(_asides(model, one))


@functools.cache
def _asides(model: type[BaseModel], one: Aside | None) -> frozenset[str]:
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(m, Aside) and one in (None, m) for m in field.metadata)
    )


class Strict(BaseModel):
    """Base of all configuration models. Unknown keys are refused with the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if not isinstance(key, str):
                    raise PydanticCustomError(
                        "unknown_key",
                        "the key {key} is no text; put it in quotes (YAML reads yes, no, on and "
                        "off as truth values, digits as numbers)",
                        {"key": shown(key)},
                    )
                if key not in cls.model_fields:
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key '{key}'; {hint}",
                        {"key": str(key), "hint": nearest(str(key), list(cls.model_fields))},
                    )
        return data
