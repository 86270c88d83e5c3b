"""Which source files decide a run or a stage, and the digest of what they say.

They are found by following imports from the modules that make the numbers: a new file that one of
them imports counts without being named anywhere. What is left out is listed here, with the reason.
Imports no torch.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from pathlib import Path

from weightwise.combine import Combiner, read_combiner
from weightwise.config.stages import STAGE_KINDS
from weightwise.identity.imports import Imports

PACKAGE = Path(__file__).parent
# Where the numbers of a run come from; its combiners are followed beside them.
RUN_ROOTS = ("train/inputs.py", "train/loop.py")
# The same for a stage; the module of its kind is `stages/KIND.py`.
STAGE_ROOTS = ("stages/loop.py", "stages/prepared.py", "stages/save.py")
LEFT_OUT = {
    "__init__.py": "the version that people read",
    "combine/__init__.py": "the list of combiners: those that a run uses are followed",
    "config/": "keys are in the definition by value, and constants imported from here count",
    "data/encoder_source.py": "files are copied as they are, and their checksums count",
    "data/tokenizer.py": "made the token ids, whose checksum is in the key",
    "data/tokenizer_settings.py": "made the token ids, whose checksum is in the key",
    "untrusted.py": "refuses what it reads, or reads it as it is",
    "errors.py": "messages",
    "files.py": "reads and writes whole small files",
    "grid.py": "what it says of a run is in the definition",
    "identity/": "what it settles is in the key by value",
    "layout.py": "paths",
    "runs.py": "lengths of epochs, start and layers are in the key by value",
    "stages/definition.py": "what it says of a stage is in the key by value",
    "tables/": "names and types of the columns that are written and read",
    "train/device.py": "chooses among equal cards; device class and precision are in the key",
}
"""Modules that no number depends on, or only by values that are in every key: path (of a folder
with `/` at its end), reason."""
NO_NUMBERS = {
    "filelock": "locks",
    "pandas": "moves rows and counts them",
    "pydantic": "checks what config.json says",
    "pyarrow": "reads token ids, whose checksum is in the key",
    "safetensors": "reads and writes weights as they are",
    "tokenizers": "made the token ids, whose checksum is in the key",
}
"""Imported packages whose version changes no number. Python itself is none that does: what runs
draw, add and multiply they leave to NumPy and torch (a test sees that no `sum` of plain floats,
which 3.12 rounds differently, is among the code)."""


def training_modules(*combiners: str) -> list[Path]:
    """Source files behind a run with these combiners (`cagrad(c=0.5)`), sorted: whatever its
    training and the combiners' own modules import. Without combiners: what all runs share.

    Other combiners' files are not among them: adding one makes nothing due.
    """
    return [PACKAGE / path for path in _run_paths(combiners)]


@functools.cache
def code_version(*combiners: str) -> str:
    """Digest of the code of a run with these combiners. Comments, docstrings, layout, the names of
    files and the version of Python do not count."""
    return _imports(None).digest(_run_paths(combiners))


@functools.cache
def packages(*combiners: str) -> tuple[str, ...]:
    """Packages whose code makes the numbers of a run with these combiners, sorted."""
    return _packages(_imports(None), _run_paths(combiners))


def stage_modules(kind: str) -> list[Path]:
    """Source files behind a stage of that kind (`mlm`, `simcse`), sorted."""
    return [PACKAGE / path for path in _stage_paths(kind)]


@functools.cache
def stage_code_version(kind: str) -> str:
    """Digest of the code of a stage of that kind; what counts is as for runs."""
    return _imports(kind).digest(_stage_paths(kind))


@functools.cache
def stage_packages(kind: str) -> tuple[str, ...]:
    """Packages whose code makes the numbers of a stage of that kind, sorted."""
    return _packages(_imports(kind), _stage_paths(kind))


def forget() -> None:
    """Read the sources again when they are next asked for: for tests that edit them."""
    for cached in (code_version, packages, stage_code_version, stage_packages, _imports):
        cached.cache_clear()


def left_out(path: str) -> bool:
    """Whether a module is not followed; see LEFT_OUT.

    Args:
        path: within the package, such as `config/study.py`.
    """
    return path in LEFT_OUT or any(
        path.startswith(folder) for folder in LEFT_OUT if folder.endswith("/")
    )


@functools.cache
def _imports(kind: str | None) -> Imports:
    """The package's imports as seen by runs, or by stages of a kind: the loop imports all kinds."""
    others = {f"stages/{other}.py" for other in STAGE_KINDS if kind is not None and other != kind}
    return Imports(PACKAGE, lambda path: left_out(path) or path in others)


def _run_paths(combiners: Iterable[str]) -> list[str]:
    roots = list(RUN_ROOTS)
    for text in combiners:
        for kind in read_combiner(text).type.__mro__:
            if issubclass(kind, Combiner):
                roots.append("/".join(kind.__module__.split(".")[1:]) + ".py")
    return _imports(None).reached(roots)


def _stage_paths(kind: str) -> list[str]:
    return _imports(kind).reached([*STAGE_ROOTS, f"stages/{kind}.py"])


def _packages(imports: Imports, paths: Iterable[str]) -> tuple[str, ...]:
    named = frozenset().union(*(imports.module(path).packages for path in paths))
    return tuple(sorted(named - sys.stdlib_module_names - set(NO_NUMBERS)))
