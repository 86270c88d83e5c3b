"""Which source files decide a run, and the digest of what they say. Imports no torch."""

from __future__ import annotations

import ast
import functools
import hashlib
from pathlib import Path

from weightwise.combine import Combiner, read_combiner

PACKAGE = Path(__file__).parent
# Whatever decides the numbers of a run. Orchestration, analysis and plotting are not among them.
TRAINING_MODULES = (
    "combine/base.py",
    "data/batches.py",
    "data/tokens.py",
    "model/*.py",
    "seeding.py",
    "train/coordinates.py",
    "train/device.py",
    "train/engine.py",
    "train/gramian.py",
    "train/inputs.py",
    "train/loop.py",
    "train/optimiser.py",
    "train/outcome.py",
    "train/probing.py",
    "train/recording.py",
    "train/resumable.py",
    "train/schedule.py",
    "train/scoring.py",
    "train/smart.py",
)
# Whatever decides the encoder that a stage leaves, by the kind of the stage.
STAGE_MODULES = (
    "data/tokens.py",
    "model/architecture.py",
    "model/checkpoint.py",
    "model/dropout.py",
    "model/encoder.py",
    "model/linear.py",
    "model/packed.py",
    "model/weights.py",
    "seeding.py",
    "stages/inputs.py",
    "stages/loop.py",
    "stages/save.py",
    "train/device.py",
    "train/optimiser.py",
    "train/resumable.py",
    "train/schedule.py",
)
STAGE_KINDS = {
    "mlm": ("stages/masking.py", "stages/mlm.py"),
    "simcse": ("stages/pairs.py", "stages/simcse.py"),
}


def shared_modules() -> list[Path]:
    """Source files behind every run, sorted."""
    return sorted(path for pattern in TRAINING_MODULES for path in PACKAGE.glob(pattern))


def training_modules(combiner: str) -> list[Path]:
    """Source files behind a run with that combiner (`cagrad(c=0.5)`), sorted: its own file, those
    of its base classes and its `extra_modules`. Other combiners' files are not among them: adding
    one makes nothing due."""
    found = set(shared_modules())
    for kind in read_combiner(combiner).type.__mro__:
        if issubclass(kind, Combiner):
            found.add(PACKAGE.joinpath(*kind.__module__.split(".")[1:]).with_suffix(".py"))
            found |= {PACKAGE / module for module in kind.extra_modules}
    return sorted(found)


@functools.cache
def code_version(combiner: str) -> str:
    """Digest of the code of a run with that combiner. Comments, docstrings and layout do not
    count."""
    return _digest(training_modules(combiner))


def stage_modules(kind: str) -> list[Path]:
    """Source files behind a stage of that kind (`mlm`, `simcse`), sorted."""
    return sorted(PACKAGE / module for module in (*STAGE_MODULES, *STAGE_KINDS[kind]))


@functools.cache
def stage_code_version(kind: str) -> str:
    """Digest of the code of a stage of that kind; what counts is as for runs."""
    return _digest(stage_modules(kind))


def _digest(paths: list[Path]) -> str:
    state = hashlib.sha256()
    for path in paths:
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if (
                isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                and body
                and isinstance(body[0], ast.Expr)
                and isinstance(body[0].value, ast.Constant)
                and isinstance(body[0].value.value, str)
            ):
                node.body = body[1:] or [ast.Pass()]
        state.update(f"{path.name}\n{ast.dump(tree)}\n".encode())
    return state.hexdigest()
