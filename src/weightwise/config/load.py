"""From a YAML file to a checked study, with messages that name file and key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from weightwise.config.study import StudyConfig
from weightwise.config.words import dotted, explain_errors, shown
from weightwise.config.yaml_text import LARGEST_FILE, Place, YamlText, parse_yaml, read_yaml
from weightwise.errors import UserError

DATA_DIR_VARIABLE = "WEIGHTWISE_DATA_DIR"
LONGEST_CHAIN = 20
"""Files of which each extends the next."""


def read_study_file(path: Path) -> dict[str, Any]:
    """The keys of one file, unchecked, without what it extends.

    Args:
        path: the file.

    Raises:
        UserError: it cannot be read, is not YAML or gives a key twice.
    """
    return _read(path).data


def _read(path: Path) -> YamlText:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:  # a NUL, or half of a surrogate pair
        raise UserError(f"{shown(str(path))}: is no path of a file") from None
    text = read_yaml(content, str(path))
    if not isinstance(text.data, dict):
        raise UserError(f"{path}: must be a mapping of keys, such as `name: my-study`")
    return text


def merge(base: Any, over: Any) -> Any:
    """`over` laid over `base`: mappings key by key, everything else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        if "type" in over and over.get("type") != base.get("type"):
            return over  # a source of another type shares no keys with the old one
        return base | {k: merge(base.get(k), v) for k, v in over.items()}
    return over


@dataclass(frozen=True)
class _Source:
    """A text that keys of a study come from: a file, or the value of `--set`.

    Args:
        name: the file, or the assignment as it was typed.
        text: its YAML.
        prefix: the keys that the text lies under.
    """

    name: str
    text: YamlText
    prefix: tuple[str, ...] = ()

    def place(self, path: tuple[Any, ...]) -> tuple[int, Place | None]:
        if path[: len(self.prefix)] != self.prefix:
            return 0, None
        found, place = self.text.place(path[len(self.prefix) :])
        return found + len(self.prefix), place


def _extended(path: Path) -> tuple[dict[str, Any], list[_Source]]:
    """The keys of a file laid over those of the files it extends, and all these, the last first."""
    chain: list[tuple[Path, YamlText]] = []
    seen: set[Path] = set()
    named: Path | None = path
    while named is not None:
        try:
            file = named.resolve()
        except (OSError, RuntimeError, ValueError):  # a NUL, or links that go round in a circle
            raise UserError(f"{shown(str(named))}: is no path of a file") from None
        if file in seen:
            raise UserError(f"{named}: `extends` goes round in a circle")
        if len(chain) == LONGEST_CHAIN:
            raise UserError(f"{named}: `extends` goes through more than {LONGEST_CHAIN} files")
        seen.add(file)
        text = _read(named)
        chain.append((named, text))
        parent = text.data.get("extends")
        if parent is not None and (not isinstance(parent, str) or not parent.isprintable()):
            raise UserError(f"{named}: extends: {shown(parent)} is no path of a study's file")
        named = None if parent is None else file.parent / parent
    data: Any = {}
    for _, text in reversed(chain):
        data = merge(data, text.data)
    return data, [_Source(str(file), text) for file, text in chain]


def _assign(data: dict[str, Any], assignment: str) -> _Source:
    """Apply `a.b.c=value` (value in YAML)."""
    key, equals, text = assignment.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UserError(f"--set {assignment}: write key=value, such as training.epochs=2")
    read = parse_yaml(text, f"--set {assignment}")
    for part in parts[:-1]:
        child = data.get(part)
        data[part] = dict(child) if isinstance(child, dict) else {}
        data = data[part]
    data[parts[-1]] = read.data
    return _Source(f"--set {assignment}", read, tuple(parts))


def _explain(path: Path, data: Any, error: ValidationError, sources: list[_Source]) -> str:
    lines = []
    found = explain_errors(
        error.errors(include_url=False), data, lambda key: _written(key, sources)
    )
    for key, words in found:
        where = f"{dotted(key)}: " if key else ""
        lines.append(f"{path}: {where}{words}{_told_place(path, key, sources)}")
    return "\n".join(dict.fromkeys(lines))


def _told_place(path: Path, key: tuple[Any, ...], sources: list[_Source]) -> str:
    """The line of a key, in brackets, and its file if it is not the study's own."""
    if not key:
        return ""
    _, place, source = _place(key, sources)
    if source.prefix:
        return f" ({source.name})"
    if place is None:
        return ""
    there = ""
    if place.commented:
        there = ": a comment begins where the value should stand; put a text with # in quotes"
    file = "" if source.name == str(path) else f"{source.name}, "
    return f" ({file}line {place.line}{there})"


def _place(key: tuple[Any, ...], sources: list[_Source]) -> tuple[int, Place | None, _Source]:
    """How many parts of a key a source has, where the last of them stands, and in which source: in
    the last one of those that have most of it."""
    return max(((*source.place(key), source) for source in sources), key=lambda one: one[0])


def _written(key: tuple[Any, ...], sources: list[_Source]) -> str | None:
    """How the value of a key is written; None where it is no scalar."""
    parts, place, _ = _place(key, sources)
    return place.written if place is not None and parts == len(key) else None


def _texts(data: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """All keys and values that are no lists and no mappings, with their paths."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (key,), key
            yield from (((key, *path), one) for path, one in _texts(value))
    elif isinstance(data, list | tuple):
        for number, value in enumerate(data):
            yield from (((number, *path), one) for path, one in _texts(value))
    else:
        yield (), data


def _refuse_broken_texts(path: Path, data: Any, sources: list[_Source]) -> None:
    """Refuse texts that no file, path or page can hold: NUL and halves of surrogate pairs."""
    for key, text in _texts(data):
        wrong = isinstance(text, str) and next(
            (c for c in text if c == "\0" or "\ud800" <= c <= "\udfff"), None
        )
        if wrong:
            what = "a NUL" if wrong == "\0" else "half of a surrogate pair"
            place = _told_place(path, key, sources)
            raise UserError(
                f"{path}: {dotted(key)}: the text {shown(text)} holds U+{ord(wrong):04X}, {what}, "
                f"which is no character; remove it{place}"
            )


def load_study(path: str | Path, assignments: Iterable[str] = ()) -> StudyConfig:
    """Read, extend, override and check a study's file.

    Args:
        path: the YAML file.
        assignments: overrides `key=value` with dotted keys, applied last.

    Raises:
        UserError: the file cannot be read, or a key or value is refused; the message names both.
    """
    path = Path(path)
    data, sources = _extended(path)
    for assignment in assignments:
        sources.insert(0, _assign(data, assignment))
    if os.environ.get(DATA_DIR_VARIABLE):
        data["data_dir"] = os.environ[DATA_DIR_VARIABLE]
    _refuse_broken_texts(path, data, sources)
    try:
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        raise UserError(_explain(path, data, error, sources)) from None
