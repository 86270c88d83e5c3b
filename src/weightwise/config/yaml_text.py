"""The YAML of a study, read as if a stranger had written it: bounded, each key once, with the place
of every value, and refused in one line that says how to mend it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml
from yaml.constructor import ConstructorError

from weightwise.errors import UserError

LARGEST_FILE = 300_000
"""Bytes. A study with a hundred arms takes a tenth of that; PyYAML reads so much in seconds."""
DEEPEST = 40
"""Levels of nesting. The deepest key of a study lies on the sixth."""
MOST_VALUES = 50_000
"""Keys and values after aliases (`*name`) are replaced by what they stand for."""
LONGEST_NUMBER = 300
"""Characters. Python refuses whole numbers of 4,301 digits, and 1:59:59 is one to YAML."""

# What PyYAML says, and what to do about it.
REMEDIES = (
    (r"'\\t'", "indent with spaces, not with tabs"),
    (r"mapping values are not allowed", "a text that holds ': ' needs quotes around it; else see "
     "to the indentation"),
    (r"could not find expected ':'", "a key needs a colon and a space after it"),
    (r"unknown escape character", "write a backslash in single quotes, or / in paths"),
    (r"scanning an? (alias|anchor)|undefined alias", "a text that begins with * or & needs quotes"),
    (r"constructor for the tag|tag handle|scanning a tag", "a text that begins with ! needs "
     "quotes; tags are not read"),
    (r"cannot start any token", "put the text in quotes"),
    (r"expected a single document", "keep one document: what follows the line `---` is another"),
    (r"found unexpected end of stream", "a quote or a bracket is not closed"),
    (r"expected <block end>", "see to the indentation: keys of one level begin in one column"),
)  # fmt: skip
COMMENT = re.compile(r"(?<![^\s\[{,])#")
COMMENT_HINT = 'an unquoted # begins a comment: put such a text in quotes, as in ["#1 String"]'


_BOOL = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which builds nothing but plain values; besides, it refuses what would
    take all memory or all frames, and keys that stand twice, of which PyYAML keeps the last."""

    # In YAML 1.1 yes, no, on and off are truth values, so that classes `[no, yes]` would
    # not be the words that they are; in YAML 1.2 they are text.
    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = 0
        self._made: dict[int, tuple[int, int]] = {}  # of finished nodes: values and levels in them

    def compose_node(self, parent: Any, index: Any) -> yaml.Node:
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._made:
                raise ConstructorError(None, None, "an alias stands inside what it names", mark)
            return node
        self._depth += 1
        if self._depth > DEEPEST:
            raise ConstructorError(None, None, f"more than {DEEPEST} levels of nesting", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        inside = [self._made[id(child)] for child in _children(node)]
        values = 1 + sum(values for values, _ in inside)
        levels = 1 + max((levels for _, levels in inside), default=0)
        if values > MOST_VALUES:
            problem = f"more than {MOST_VALUES:,} values (its aliases counted as what they name)"
            raise ConstructorError(None, None, problem, mark)
        if levels > DEEPEST:
            raise ConstructorError(None, None, f"more than {DEEPEST} levels of nesting", mark)
        self._made[id(node)] = values, levels
        return node

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConstructorError(None, None, "a key must be a text", key_node.start_mark)
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                problem = f"key '{key_node.value}' is given twice"
                raise ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        """A number, date or binary text; PyYAML lets Python's own errors through."""
        construct = yaml.SafeLoader.yaml_constructors[node.tag]
        what = node.tag.rpartition(":")[2]
        try:
            if len(node.value) > LONGEST_NUMBER and what != "binary":
                raise ValueError
            return construct(self, node)
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError):
            start = node.value[:40] + ("…" if len(node.value) > 40 else "")
            problem = f"'{start}' is no {what}; put it in quotes if it is a text"
            raise ConstructorError(None, None, problem, node.start_mark) from None


for _kind in ("int", "float", "bool", "null", "timestamp", "binary"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)


@dataclass(frozen=True)
class Place:
    """Where a value stands.

    Args:
        line: the line, from 1.
        written: the scalar as it is written (`no`, `0x1F`, `""`); None for lists and mappings.
        commented: the value is empty, since a comment begins in its place.
    """

    line: int
    written: str | None
    commented: bool


@dataclass(frozen=True)
class YamlText:
    """A text of YAML, its plain data, and where each value of them stands."""

    text: str
    data: Any
    root: yaml.Node | None

    def place(self, location: tuple[Any, ...]) -> tuple[int, Place | None]:
        """How many parts of a location this text has, and where the last of them stands."""
        node, found = self.root, 0
        mark = None if node is None or location else node.start_mark
        for part in location:
            pair = _child(node, part)
            if pair is None:
                break
            mark, node = pair
            found += 1
        if mark is None:
            return 0, None
        written = node.value if isinstance(node, yaml.ScalarNode) else None
        line = self.text.splitlines()[mark.line] if mark.line < self.text.count("\n") + 1 else ""
        commented = written == "" and bool(COMMENT.search(line))
        return found, Place(mark.line + 1, written, commented)


_Loader.add_implicit_resolver(_BOOL, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))


def parse_yaml(text: str, where: str) -> YamlText:
    """Read a text of YAML.

    Args:
        text: the text.
        where: what a message calls it, such as the file's path.

    Raises:
        UserError: it is no YAML, gives a key twice, is nested too deep or becomes too large; the
            message has line and column, and what to do.
    """
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        raise UserError(f"{where}: is not valid YAML: {_words(error, text)}") from None
    finally:
        if loader is not None:
            loader.dispose()
    return YamlText(text, data, root)


def read_yaml(content: bytes, where: str) -> YamlText:
    """Read a file of YAML.

    Args:
        content: its bytes, `LARGEST_FILE` of them and one more at most.
        where: what a message calls it.

    Raises:
        UserError: as `parse_yaml`; it is too large, or no UTF-8.
    """
    if len(content) > LARGEST_FILE:
        raise UserError(
            f"{where}: is larger than {LARGEST_FILE // 1000} kB, so it can hardly be a study's "
            "file; give the YAML file that describes the study"
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{where}: is UTF-16; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = content[error.start]
        raise UserError(
            f"{where}: is not UTF-8 text (byte 0x{byte:02x} in line {line}); save it as UTF-8"
        ) from None
    return parse_yaml(text, where)


def _words(error: yaml.YAMLError, text: str) -> str:
    """PyYAML's error in one line, with what to do about it."""
    if isinstance(error, yaml.reader.ReaderError):
        number = error.character if isinstance(error.character, int) else ord(error.character)
        line = text[: error.position].count("\n") + 1
        return f"line {line}: the character U+{number:04X} may not stand in YAML; remove it"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark = error.problem_mark
    problem = ": ".join(part for part in (error.context, error.problem) if part)
    first = error.context_mark.line if error.context_mark else mark.line
    lines = text.splitlines()[max(0, first - 3) : mark.line + 1]
    said = f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
    if "flow" in problem and any(COMMENT.search(line) for line in lines):
        return f"{said}; {COMMENT_HINT}"
    hint = next((hint for pattern, hint in REMEDIES if re.search(pattern, problem)), None)
    return f"{said}; {hint}" if hint else said


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [one for pair in node.value for one in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _child(node: yaml.Node | None, part: Any) -> tuple[yaml.Mark, yaml.Node] | None:
    """The value of a key, or the entry of a number, and where it begins."""
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # merged keys come first, own ones win
            if isinstance(key, yaml.ScalarNode) and _is_key(key.value, part):
                return key.start_mark, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark, node.value[part]
    return None


def _is_key(written: str, part: Any) -> bool:
    if isinstance(part, bool):  # `no` is a key of that kind to YAML
        return yaml.SafeLoader.bool_values.get(written.lower()) is part
    return written == str(part)
