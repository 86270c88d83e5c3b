"""From a YAML file to a checked study, with messages that name file and key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import ValidationError

from weightwise.config.study import StudyConfig
from weightwise.errors import UserError

DATA_DIR_VARIABLE = "WEIGHTWISE_DATA_DIR"


_BOOL = "tag:yaml.org,2002:bool"


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader for which equal keys are an error and only true and false are truth values.

    PyYAML keeps the last of two equal keys in silence. And as YAML 1.1 has it, it reads yes, no, on
    and off as truth values, so that classes `[no, yes]` would not be the words that they are; in
    YAML 1.2 they are text. Keys that are true or false take yes and no all the same.
    """

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=deep)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key}' is given twice", key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


_UniqueKeyLoader.add_implicit_resolver(
    _BOOL, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF")
)


def read_study_file(path: Path) -> dict[str, Any]:
    """The keys of one file, unchecked, without what it extends.

    Raises:
        UserError: it cannot be read, is not YAML or gives a key twice.
    """
    try:
        data = yaml.load(path.read_text("utf-8"), Loader=_UniqueKeyLoader)  # a safe loader
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: must be a mapping of keys, such as `name: my-study`")
    return data


def merge(base: Any, over: Any) -> Any:
    """`over` laid over `base`: mappings key by key, everything else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        if "type" in over and over.get("type") != base.get("type"):
            return over  # a source of another type shares no keys with the old one
        return base | {k: merge(base.get(k), v) for k, v in over.items()}
    return over


def _extended(path: Path, chain: tuple[Path, ...] = ()) -> dict[str, Any]:
    path = path.resolve()
    if path in chain:
        raise UserError(f"{path}: `extends` goes round in a circle")
    data = read_study_file(path)
    parent = data.get("extends")
    if parent is None:
        return data
    if not isinstance(parent, str):
        raise UserError(f"{path}: `extends` must be the path of a study's file")
    return merge(_extended(path.parent / parent, (*chain, path)), data)


def _assign(data: dict[str, Any], assignment: str) -> None:
    """Apply `a.b.c=value` (value in YAML)."""
    key, equals, text = assignment.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"--set {assignment}: write key=value, such as training.epochs=2")
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)  # a safe loader
    except yaml.YAMLError:
        raise UserError(f"--set {assignment}: the value is not valid YAML") from None
    for part in parts[:-1]:
        child = data.get(part)
        data[part] = dict(child) if isinstance(child, dict) else {}
        data = data[part]
    data[parts[-1]] = value


def _place(data: Any, location: tuple[str | int, ...], missing: bool) -> str:
    """The dotted key that an error is about. Parts that are pydantic's own, such as the tag of a
    union, are not in the user's data and left out."""
    where = []
    tag_seen = False
    for number, part in enumerate(location):
        tags = (data.get("type"), data.get("kind")) if isinstance(data, dict) else ()
        if not tag_seen and part in tags and part not in data:
            tag_seen = True
        elif (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int)
        ):
            where.append(str(part))
            data = data[part]
            tag_seen = False
        elif missing and number == len(location) - 1:
            where.append(str(part))
    return ".".join(where)


def _explain(path: Path, data: dict[str, Any], error: ValidationError) -> str:
    lines = []
    for one in error.errors(include_url=False, include_input=False):
        where = _place(data, one["loc"], one["type"] == "missing")
        message = one["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
        lines.append(f"{path}: {where + ': ' if where else ''}{message}")
    return "\n".join(dict.fromkeys(lines))


def load_study(path: str | Path, assignments: Iterable[str] = ()) -> StudyConfig:
    """Read, extend, override and check a study's file.

    Args:
        path: the YAML file.
        assignments: overrides `key=value` with dotted keys, applied last.

    Raises:
        UserError: the file cannot be read, or a key or value is refused; the message names both.
    """
    path = Path(path)
    data = _extended(path)
    for assignment in assignments:
        _assign(data, assignment)
    if os.environ.get(DATA_DIR_VARIABLE):
        data["data_dir"] = os.environ[DATA_DIR_VARIABLE]
    try:
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        raise UserError(_explain(path, data, error)) from None
