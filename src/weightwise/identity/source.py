"""What a source file says, in a form that every supported Python gives alike.

`ast.dump` and `tokenize` change with the interpreter: 3.12 added fields and parses f-strings anew,
3.13 leaves empty fields out. Here a module becomes nested lists of the fields that carry meaning,
written as JSON. Comments, layout, docstrings, annotations for type checkers and the names of the
package's own modules in imports are not in it. Imports no torch.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from typing import Any

PACKAGE_NAME = "weightwise"
# Where a text that stands alone is a docstring, of the whole or of an attribute.
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
# Fields that say nothing of what is computed, or that not every Python has.
_SAID_ELSEWHERE = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def text_of(nodes: ast.AST | Iterable[ast.AST]) -> str:
    """Canonical text of a syntax tree, or of several statements.

    Equal code gives equal text on Python 3.11 and later; a docstring, a comment, a line break or a
    block under `if TYPE_CHECKING` makes no difference, and neither does the module from which
    something of this package is imported (`imports.py` follows what that module holds).
    """
    found = _plain(nodes) if isinstance(nodes, ast.AST) else [_plain(node) for node in nodes]
    return json.dumps(found, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def digest_of(source: str) -> str:
    """SHA-256 of the canonical text of a module's source."""
    return hashlib.sha256(text_of(ast.parse(source)).encode()).hexdigest()


def for_type_checkers(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`, whose block never runs."""
    return isinstance(node, ast.If) and (
        (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
        or (isinstance(node.test, ast.Attribute) and node.test.attr == "TYPE_CHECKING")
    )


def of_the_package(node: ast.AST) -> bool:
    """Whether a statement imports something of this package."""
    if isinstance(node, ast.Import):
        return any(_own(alias.name) for alias in node.names)
    return isinstance(node, ast.ImportFrom) and (node.level > 0 or _own(node.module or ""))


def _own(module: str) -> bool:
    return module == PACKAGE_NAME or module.startswith(f"{PACKAGE_NAME}.")


def _plain(value: Any) -> Any:
    """A node as [class, {field: value}], a list of nodes as a list, a constant by type and text."""
    if isinstance(value, list):
        return [_plain(one) for one in value if not for_type_checkers(one)]
    if not isinstance(value, ast.AST):
        return value
    if isinstance(value, ast.Constant):
        return ["Constant", *_constant(value.value)]
    if isinstance(value, ast.JoinedStr):
        return ["JoinedStr", _joined(value.values)]
    if isinstance(value, ast.Import | ast.ImportFrom) and of_the_package(value):
        return ["OwnImport", [[alias.name.split(".")[-1], alias.asname] for alias in value.names]]
    fields = {}
    for name in value._fields:
        field = getattr(value, name, None)
        if field is None or field == [] or name in _SAID_ELSEWHERE:
            continue
        if name == "body" and isinstance(value, _DOCUMENTED):
            field = [one for one in field if not _is_text(one)] or [ast.Pass()]
        fields[name] = _plain(field)
    return [type(value).__name__, fields]


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _constant(value: Any) -> list[str]:
    # `repr` of a text depends on the Unicode tables of the interpreter; JSON's escapes do not.
    return [type(value).__name__, value if isinstance(value, str) else repr(value)]


def _joined(values: list[ast.expr]) -> list[Any]:
    """Parts of an f-string; neighbouring texts are one, as some versions have it, and empty ones
    none."""
    parts: list[Any] = []
    for value in values:
        if isinstance(value, ast.Constant):
            if parts and isinstance(parts[-1], str):
                parts[-1] += value.value
            elif value.value:
                parts.append(value.value)
        else:
            parts.append(_plain(value))
    return parts
