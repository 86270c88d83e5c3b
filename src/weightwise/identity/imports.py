"""Which modules of the package a module reaches by its imports. Imports none of them, nor torch."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from weightwise.identity.source import PACKAGE_NAME, for_type_checkers, text_of

# A module's label holds what it says, then what the modules say that it imports, and so on: so that
# an import from another module counts, and a module that moves does not.
ROUNDS = 4


@dataclass(frozen=True)
class Module:
    """A source file of the package."""

    path: Path
    tree: ast.Module = field(repr=False, compare=False)

    @cached_property
    def text(self) -> str:
        """Digest of what it says; see `source.text_of`."""
        return _digest(text_of(self.tree))

    @cached_property
    def imports(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(module, names) of every import statement that can run, in their order, those inside
        functions included. Relative imports are refused: the package has none."""
        found = []
        for node in _running(self.tree):
            if isinstance(node, ast.Import):
                found += [(alias.name, ()) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                if node.level:
                    raise ValueError(f"{self.path}, line {node.lineno}: a relative import")
                found.append((node.module or "", tuple(alias.name for alias in node.names)))
        return tuple(found)

    @cached_property
    def packages(self) -> frozenset[str]:
        """Top-level names of what it imports from elsewhere."""
        names = {module.split(".")[0] for module, _ in self.imports}
        return frozenset(names - {PACKAGE_NAME})

    def constants(self, names: Iterable[str]) -> list[str]:
        """Canonical texts of the assignments to these names at the module's top, with those that
        they rest on; functions and classes are none."""
        assigned: dict[str, ast.stmt] = {}
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            for target in targets:
                if isinstance(target, ast.Name):
                    assigned[target.id] = node
        texts, waiting, seen = [], list(names), set()
        while waiting:
            name = waiting.pop(0)
            if name in assigned and name not in seen:
                texts.append(text_of(assigned[name]))
                used = ast.walk(assigned[name])
                waiting += [node.id for node in used if isinstance(node, ast.Name)]
            seen.add(name)
        return texts


class Imports:
    """The modules of a package folder and what they import from each other."""

    def __init__(self, package: Path, left_out: Callable[[str], bool] = lambda path: False):
        """Start with nothing read.

        Args:
            package: folder of the package.
            left_out: of a path within it, such as `config/study.py`, whether that module is not
                followed.
        """
        self.package = package
        self.left_out = left_out
        self._read: dict[str, Module] = {}

    def reached(self, roots: Iterable[str]) -> list[str]:
        """Paths within the package of all modules that some module reaches, itself included.

        Args:
            roots: paths such as `train/loop.py`.
        """
        found: set[str] = set()
        waiting = list(roots)
        while waiting:
            path = waiting.pop()
            if path in found or self.left_out(path):
                continue
            found.add(path)
            waiting += [target for target, _ in self.targets(path)]
        return sorted(found)

    def digest(self, paths: Iterable[str]) -> str:
        """SHA-256 of what these modules say; where they lie and what they are called is not in it.

        Of modules that are left out, the constants count that a module imports from them.
        """
        labels = {path: self.module(path).text for path in paths}
        targets = {path: self.targets(path) for path in labels}
        for _ in range(ROUNDS):
            labels = {
                path: _digest(
                    label,
                    *(labels.get(other) or self._constants(other, n) for other, n in targets[path]),
                )
                for path, label in labels.items()
            }
        return _digest(*sorted(labels.values()))

    def module(self, path: str) -> Module:
        """A module by its path within the package."""
        if path not in self._read:
            place = self.package / path
            self._read[path] = Module(place, ast.parse(place.read_text("utf-8"), str(place)))
        return self._read[path]

    def targets(self, path: str) -> list[tuple[str, tuple[str, ...]]]:
        """(path, names) of every module of the package that a module imports, in the order of its
        imports; the packages that they lie in run, too."""
        found: list[tuple[str, tuple[str, ...]]] = []
        for module, names in self.module(path).imports:
            first, *inner = module.split(".")
            if first != PACKAGE_NAME:
                continue
            for depth in range(len(inner) + 1):
                last = depth == len(inner)
                own = self._file(inner[:depth])
                if own is not None:
                    found.append((own, names if last else ()))
            for name in names:
                submodule = self._file([*inner, name])
                if submodule is not None:
                    found.append((submodule, ()))
        return found

    def _file(self, parts: list[str]) -> str | None:
        stem = "/".join(parts)
        for path in (f"{stem}.py" if stem else "", f"{stem}/__init__.py".lstrip("/")):
            if path and (self.package / path).is_file():
                return path
        return None

    def _constants(self, path: str, names: tuple[str, ...]) -> str:
        return _digest(*self.module(path).constants(names))


def _running(node: ast.AST) -> Iterable[ast.AST]:
    """All nodes below one but those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if not for_type_checkers(child):
            yield child
            yield from _running(child)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
