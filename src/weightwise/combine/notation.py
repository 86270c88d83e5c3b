"""How a configuration names a combiner: `NAME` or `NAME(key=value, ...)`. Nothing is evaluated."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from weightwise.combine.base import Combiner
from weightwise.errors import nearest

NOTATION = re.compile(r"\s*(\w+(?::\w+)?)\s*(?:\(([^()]*)\))?\s*", re.ASCII)
KEY_VALUE = re.compile(r"\s*(\w+)\s*=\s*(\S+)\s*", re.ASCII)
WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
CONSTANTS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Named:
    """A combiner as a text names it."""

    name: str
    """Its name in the registry."""
    type: type[Combiner]
    options: Any
    """An instance of the type's `Options`."""

    @property
    def text(self) -> str:
        """The one text of this combiner: options sorted, those at their default left out."""
        told = []
        for field in sorted(fields(self.options), key=lambda field: field.name):
            value = getattr(self.options, field.name)
            if value != field.default:
                told.append(f"{field.name}={_written(value)}")
        return f"{self.name}({', '.join(told)})" if told else self.name


def read(text: str, known: Mapping[str, type[Combiner]]) -> Named:
    """Read a combiner's notation.

    Args:
        text: `NAME`, `NAME(key=value, ...)`; a value is a number, true, false, null or a bare word.
        known: the registry.

    Raises:
        ValueError: no such notation, combiner or option, or a value that it does not take; the
            message names combiner and option, and the nearest known one.
    """
    match = NOTATION.fullmatch(text)
    name = match[1] if match else re.split(r"[(\s]", text.strip(), maxsplit=1)[0]
    if name not in known:
        raise ValueError(f"unknown combiner '{name}'; {nearest(name, known)}")
    if not match:
        raise ValueError(f"combiner '{text}' is not written as NAME or NAME(key=value, ...)")
    kind = known[name].Options
    given = _given(name, match[2] or "", sorted(field.name for field in fields(kind)))
    hints = get_type_hints(kind)
    values = {}
    for field in fields(kind):
        if field.name in given:
            values[field.name] = _fit(name, field.name, given[field.name], hints[field.name])
        elif field.default is MISSING:
            raise ValueError(f"combiner '{name}' needs option {field.name}: {name}({field.name}=…)")
    try:
        return Named(name, known[name], kind(**values))
    except ValueError as error:
        raise ValueError(f"combiner '{name}': {error}") from None


def path_label(text: str) -> str:
    """A canonical text as a part of a path: `cagrad-c=0.4`, `torchjd-UPGrad`. Letters, digits and
    `_-=,.+` only; different texts stay different. Names that are no notation, as tables from
    elsewhere hold, are left as they are."""
    if not NOTATION.fullmatch(text):
        return text
    return text.replace(", ", ",").replace("(", "-").replace(":", "-").replace(")", "")


def _given(name: str, inside: str, known: list[str]) -> dict[str, Any]:
    """The options between the parentheses, values as plain data."""
    given: dict[str, Any] = {}
    for part in inside.split(",") if inside.strip() else []:
        match = KEY_VALUE.fullmatch(part)
        if not match:
            raise ValueError(f"combiner '{name}': '{part.strip()}' is not written as key=value")
        key, value = match.groups()
        if key not in known:
            hint = nearest(key, known) if known else "it has no options"
            raise ValueError(f"combiner '{name}': unknown option '{key}'; {hint}")
        if key in given:
            raise ValueError(f"combiner '{name}': option {key} is given twice")
        given[key] = _scalar(name, key, value)
    return given


def _scalar(name: str, key: str, text: str) -> Any:
    if text in CONSTANTS:
        return CONSTANTS[text]
    if WHOLE.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text):
        return float(text)
    if WORD.fullmatch(text):
        return text
    raise ValueError(
        f"combiner '{name}': option {key}: {text} is no number, true, false, null or plain word"
    )


def _fit(name: str, key: str, value: Any, hint: Any) -> Any:
    """The value as the option's type; 1 is taken for a float, 1.0 for no whole number."""
    for kind in get_args(hint) if get_origin(hint) is not Literal and get_args(hint) else (hint,):
        if get_origin(kind) is Literal and value in get_args(kind):
            return value
        if kind is float and type(value) in (int, float) and math.isfinite(value):
            return float(value)
        if kind in (int, bool, str, NoneType) and type(value) is kind:
            return value
    raise ValueError(
        f"combiner '{name}': option {key} must be {_wanted(hint)}, but is {_written(value)}"
    )


def _wanted(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(str(choice) for choice in get_args(hint))
    if get_args(hint):
        return " or ".join(_wanted(part) for part in get_args(hint))
    names = {float: "a finite number", int: "a whole number", bool: "true or false", str: "a word"}
    return names.get(hint, "null")


def _written(value: Any) -> str:
    """A value as the notation has it."""
    for text, constant in CONSTANTS.items():
        if value is constant:
            return text
    # Adding zero turns -0.0 into 0.0.
    return repr(value + 0.0).removesuffix(".0") if isinstance(value, float) else str(value)
