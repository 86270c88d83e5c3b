"""The JSON schema and the table of keys, generated from the typed models."""

from __future__ import annotations

import json
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from weightwise.config.study import StudyConfig

HEADER = """# Every key of a study

Generated from the typed models (`python -m weightwise.config.document`); a test keeps it in step.
Keys are nested as the dots say; `NAME` stands for a name of your own. Unknown keys are refused.

| key | type | default | meaning |
|---|---|---|---|
"""


def json_schema() -> str:
    """The JSON schema of a study's file."""
    return json.dumps(StudyConfig.model_json_schema(), indent=1, sort_keys=True) + "\n"


def key_table() -> str:
    """A Markdown table of all keys with types, defaults and meanings."""
    return HEADER + "\n".join(_rows(StudyConfig, "", {})) + "\n"


def _rows(model: type[BaseModel], prefix: str, seen: dict[type[BaseModel], str]) -> list[str]:
    """Rows of a model's keys; a model that was shown before is referred to."""
    if model in seen:
        return [f"| `{prefix}...` | | | as `{seen[model]}...` |"]
    seen[model] = prefix
    rows = []
    for name, field in model.model_fields.items():
        key = prefix + name
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{key}` | {_type(field.annotation)} | {_default(field)} | {meaning} |")
        for inner, where in _models(field.annotation, key):
            rows += _rows(inner, where + ".", seen)
    return rows


def _models(annotation: Any, key: str) -> list[tuple[type[BaseModel], str]]:
    """The configuration models inside an annotation, with the key that they stand under."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        where = key
        for tag in ("type", "kind"):
            # Models that are told apart by a word, which is then their only one.
            words = (
                get_args(annotation.model_fields[tag].annotation) if _has(annotation, tag) else ()
            )
            if len(words) == 1:
                where = f"{key} ({words[0]})"
        return [(annotation, where)]
    if get_origin(annotation) is dict:
        return _models(get_args(annotation)[1], f"{key}.NAME")
    if get_origin(annotation) is tuple:
        return _models(get_args(annotation)[0], f"{key}[]")
    return [found for part in get_args(annotation) for found in _models(part, key)]


def _has(model: type[BaseModel], field: str) -> bool:
    return field in model.model_fields


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type(get_args(annotation)[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, UnionType):
        parts = [_type(part) for part in get_args(annotation)]
        return " or ".join(dict.fromkeys(parts))
    if origin is tuple:
        return "list of " + _type(get_args(annotation)[0])
    if origin is dict:
        return "mapping"
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names.get(annotation, "any")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, tuple):
        value = list(value)
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    print(key_table(), end="")
