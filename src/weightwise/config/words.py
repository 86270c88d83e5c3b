"""What pydantic finds wrong with a study, in the words of a study's file."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from weightwise.errors import nearest

MOST_SHOWN = 20
"""Errors told at once."""
LONGEST_VALUE = 60
NAME_RULE = "letters, digits, _ . and - only, and a letter or digit first"
TEXT, WHOLE, NUMBER, LIST, KEYS, YES_NO = (
    *("a text", "a whole number", "a number"),
    *("a list", "keys with values", "true or false"),
)
WANTED = {
    "string_type": TEXT,
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "int_parsing_size": WHOLE,
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "bool_type": YES_NO,
    "bool_parsing": YES_NO,
    "tuple_type": LIST,
    "list_type": LIST,
    "dict_type": KEYS,
    "mapping_type": KEYS,
    "model_type": KEYS,
    "model_attributes_type": KEYS,
}
"""What is wanted where pydantic found a value of another kind."""
BOUNDS = {
    "greater_than": ("gt", "must be greater than {}"),
    "greater_than_equal": ("ge", "must be at least {}"),
    "less_than": ("lt", "must be less than {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "multiple_of": ("multiple_of", "must be a multiple of {}"),
}
# What keys of a certain name hold, where that says more than their kind.
REMEDIES = {"text": "one text column, or two of a sentence pair; join a third one to them before"}


class Located:
    """An error at the key that the user wrote.

    Attributes:
        path: keys and numbers of entries that are in the user's data.
        alternative: what pydantic calls the form that it tried there, where a key may have
            several forms; empty where it has one.
        rest: how often an error's location went on behind that form.
    """

    def __init__(self, error: ErrorDetails, data: Any):
        self.error = error
        self.path: tuple[Any, ...] = ()
        self.alternative = ""
        self.fork: tuple[Any, ...] = ()
        self.of_a_key = False
        tag_seen = False
        location = error["loc"]
        for number, part in enumerate(location):
            tags = (data.get("type"), data.get("kind")) if isinstance(data, Mapping) else ()
            if not tag_seen and part in tags and part not in data:
                tag_seen = True  # the form that the user's own `type` or `kind` chose
            elif isinstance(data, Mapping) and (key := _key_of(data, part)) is not None:
                self.path += (key[0],)
                data, tag_seen = data[key[0]], False
            elif isinstance(data, Sequence) and isinstance(part, int) and part < len(data):
                self.path += (part,)
                data, tag_seen = data[part], False
            elif part == "[key]":
                self.of_a_key = True
            elif number == len(location) - 1 and error["type"] == "missing":
                self.path += (part,)
            elif isinstance(part, str) and not self.alternative:
                self.alternative, self.fork = part, self.path

    @property
    def key(self) -> str:
        """The last key of the path, for examples."""
        return next((str(part) for part in reversed(self.path) if isinstance(part, str)), "key")


def explain_errors(
    errors: Sequence[ErrorDetails],
    data: Any,
    written: Callable[[tuple], str | None] = lambda path: None,
) -> Iterator[tuple[tuple, str]]:
    """Every error as the path of the key that it is about, and words with a remedy.

    Args:
        errors: what pydantic found (`ValidationError.errors()`).
        data: the plain data that it looked at.
        written: how a value stands in the file (`no` for false), by its path; None: not known.
    """
    located = [Located(error, data) for error in errors]
    told: dict[tuple[tuple, str], None] = {}
    for (fork, several), group in itertools.groupby(
        located, key=lambda one: (one.fork, bool(one.alternative))
    ):
        chosen = list(group)
        if several:
            value = _at(data, fork)
            fitting = [one for one in chosen if _is_form_of(one.alternative, value)]
            deeper = [
                one
                for one in fitting or chosen
                if one.error["type"] not in _KINDS or len(one.path) > len(fork)
            ]
            if not deeper:
                told[fork, _none_of(chosen, value, written(fork))] = None
                continue
            chosen = deeper
        for one in chosen:
            told[one.path, _words(one, None if one.of_a_key else written(one.path))] = None
    yield from itertools.islice(told, MOST_SHOWN)
    if len(told) > MOST_SHOWN:
        yield (), f"and {len(told) - MOST_SHOWN} more errors"


def explain_error(error: ErrorDetails, data: Any) -> str:
    """One error in words, after the key that it is about."""
    path, words = next(explain_errors([error], data))
    return f"{dotted(path)}: {words}" if path else words


def dotted(path: Iterable[Any]) -> str:
    """`tasks.SEN.text.0`, as `--set` takes it."""
    return ".".join(shown(part, quote=False) for part in path)


def shown(value: Any, quote: bool = True) -> str:
    """A value on one line, shortened, with escapes for what cannot be printed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value.isoformat() if hasattr(value, "isoformat") else repr(value)
    if not quote and isinstance(value, str):
        text = text[1:-1]
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


# Pydantic's word that a value is of another kind than one of the forms that a key may have.
_KINDS = {*WANTED, "literal_error"}


def _key_of(data: Mapping, part: Any) -> tuple[Any] | None:
    """The key that pydantic calls `part`: a key `no` is false to YAML and 0 to pydantic."""
    try:
        return next(((key,) for key in data if key == part), None)
    except TypeError:
        return None


def _at(data: Any, path: Iterable[Any]) -> Any:
    for part in path:
        data = data[part]
    return data


def _is_form_of(alternative: str, value: Any) -> bool:
    """Whether a form that pydantic tried is one of the value's kind."""
    if isinstance(value, list | tuple):
        return alternative.startswith(("tuple", "list", "set"))
    if isinstance(value, Mapping):
        return alternative.startswith("dict") or alternative[:1].isupper()
    return not alternative.startswith(("tuple", "list", "set", "dict")) and (
        not alternative[:1].isupper()
    )


def _none_of(errors: Sequence[Located], value: Any, written: str | None) -> str:
    """Words for a value of none of the kinds that its key may have."""
    forms = []
    for one in errors:
        if one.error["type"] == "literal_error":
            forms += [f"`{word}`" for word in _expected(one.error)]
        else:
            forms.append(WANTED[one.error["type"]])
    *others, last = dict.fromkeys(forms)
    wanted = f"{', '.join(others)} or {last}" if others else last
    hint = _quote_hint(value, written) if TEXT in forms else ""
    return f"is {shown(value)}, but must be {wanted}{hint}"


def _words(one: Located, written: str | None) -> str:
    """One error in words, without the key."""
    error, value = one.error, one.error["input"]
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "missing":
        return "is missing"
    if kind in ("value_error", "assertion_error", "unknown_key"):
        return error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if one.of_a_key and kind == "string_type":
        return f"the key {shown(value)} is no text{_quote_hint(value, written)}"
    if kind in ("string_pattern_mismatch", "string_too_long", "string_too_short"):
        return _bad_text(kind, context, value)
    if kind == "literal_error":
        expected = _expected(error)
        if not isinstance(value, str):
            return f"is {shown(value)}, but must be one of: {', '.join(expected)}"
        return f"{shown(value)} is none of: {', '.join(expected)}{_meant(value, expected)}"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _bad_tag(kind, context, value)
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        return f"is {shown(value)}, but {words.format(context.get(name))}"
    if kind in ("too_long", "too_short"):
        return _bad_length(one, kind, context)
    if kind == "finite_number":
        return f"is {shown(value)}, but must be a finite number"
    if kind in WANTED:
        return f"is {_what(value)}, but must be {WANTED[kind]}{_remedy(one, kind, value, written)}"
    # Whatever pydantic invents next, without its own types.
    words = re.sub(r" or instance of \w+", "", error["msg"]).replace("Input should", "must")
    return f"{words} (it is {shown(value)})"


def _what(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, Mapping):
        return "keys with values"
    if isinstance(value, list | tuple):
        return "a list"
    return shown(value)


def _remedy(one: Located, kind: str, value: Any, written: str | None) -> str:
    wanted = WANTED[kind]
    if wanted == TEXT:
        if isinstance(value, list | tuple) and len(value) == 1:
            return f": leave the brackets out, {one.key}: {shown(value[0], quote=False)}"
        return _quote_hint(value, written)
    if wanted == LIST and isinstance(value, str | int | float) and not isinstance(value, bool):
        name = "" if isinstance(one.path[-1], int) else f"{one.key}: "
        return f": write it as a list, {name}[{shown(value, quote=False)}]"
    if wanted == KEYS and one.key in ("train", "dev", "test", "source"):
        return f": write a source's keys below it, such as `{one.key}: {{type: file, path: …}}`"
    if kind == "int_parsing_size":
        return " of fewer digits"
    return ""


def _quote_hint(value: Any, written: str | None) -> str:
    """To put a value in quotes, and why it is no text though it looks like one."""
    if value is None or isinstance(value, list | tuple | Mapping):
        return ""
    read = "a date" if hasattr(value, "isoformat") else "a number"
    if isinstance(value, bool):
        read = "true" if value else "false"
    elif isinstance(value, bytes):
        read = "binary data"
    if not written or not written.isprintable() or len(written) > LONGEST_VALUE:
        return f": put it in quotes, since YAML reads it as {read}"
    return f': put it in quotes, "{written}", since YAML reads {written} as {read}'


def _bad_text(kind: str, context: Mapping, value: Any) -> str:
    if kind == "string_too_long":
        return f"{shown(value)} is longer than {context['max_length']} characters"
    if kind == "string_too_short":
        return "must not be empty"
    if "0-9a-f]{" in context["pattern"]:
        length = re.findall(r"\{(\d+)\}", context["pattern"])
        return f"{shown(value)} is no checksum: {length[0]} digits or letters a to f, in lower case"
    if "A-Za-z0-9_.-" in context["pattern"]:
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(value)).strip("_.-")
        such = f", such as {safe[:64]}" if safe else ""
        plus = "; + joins the tasks of a grouping" if "+" in str(value) else ""
        return f"{shown(value)} is no name: {NAME_RULE}{such}{plus}"
    return f"{shown(value)} does not have the form {context['pattern']}"


def _bad_tag(kind: str, context: Mapping, value: Any) -> str:
    name = str(context["discriminator"]).strip("'")
    known = re.findall(r"'([^']*)'", str(context.get("expected_tags", "")))
    if kind == "union_tag_not_found":
        of = f" ({', '.join(known)})" if known else ""
        return f"needs the key `{name}`{of}, which says what else it holds"
    tag = value.get(name) if isinstance(value, Mapping) else context["tag"]
    if not isinstance(tag, str):
        return f"{name} is {shown(tag)}, but must be one of: {', '.join(known)}"
    return f"{name} {shown(tag)} is none of: {', '.join(known)}{_meant(tag, known)}"


def _bad_length(one: Located, kind: str, context: Mapping) -> str:
    have = context.get("actual_length")
    if kind == "too_long":
        said = f"has {have} entries, and at most {context.get('max_length')} are possible"
    elif context.get("min_length") == 1:
        said = "is empty; give at least one entry"
    else:
        said = f"has {have} entries, and needs at least {context.get('min_length')}"
    return f"{said}: {REMEDIES[one.key]}" if one.key in REMEDIES else said


def _expected(error: ErrorDetails) -> list[str]:
    text = str((error.get("ctx") or {}).get("expected", ""))
    return re.findall(r"'([^']*)'", text) or [text]


def _meant(word: str, known: Sequence[str]) -> str:
    hint = nearest(word, known)
    return f"; {hint}" if hint.startswith("did you mean") else ""
