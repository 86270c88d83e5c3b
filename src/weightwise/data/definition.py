"""What prepared data are made of: configuration, content of the sources, code. No torch, no pandas.

Its digest is the name of the prepared data in their store, so that whoever edits any of it, be the
dates of the files what they may, asks for other data than there are.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from weightwise.code import PACKAGE
from weightwise.config import StudyConfig
from weightwise.config.sources import EncoderDirectory, FileSource
from weightwise.config.training import OptimiserConfig
from weightwise.data.encoder_files import encoder_files
from weightwise.files import read_json, write_json
from weightwise.grid import digest
from weightwise.identity.imports import Imports
from weightwise.seal import file_sha256

NOT_OF_THE_STUDY = {
    "name",
    "extends",
    "data_dir",
    "groupings",
    "single_tasks",
    "combiners",
    "alphas",
    "simplex_step",
    "seeds",
    "training",
    "sweep",
    "arms",
    "threads",
    "runs_per_job",
    "runs_side_by_side",
    "checkpoint_minutes",
    "report",
}
"""Keys of a study that leave its data alone; any other key, a new one, too, decides them."""
NOT_OF_A_TASK = {
    "title",
    "licence",
    "id",
    "head",
    "representation",
    "pair",
    "decoder",
    "output",
    "loss",
}
"""Keys of a task that leave its rows alone."""
NOT_OF_A_STAGE = set(OptimiserConfig.model_fields) | {
    "after",
    "epochs",
    "learning_rate",
    "learning_rate_schedule",
    "clip_norm",
    "dropout",
    "precision",
    "batch_size",
    "accumulate",
    "mask_share",
    "temperature",
}
"""Keys of a stage that leave its texts alone."""
ROOT = "data/stage.py"
"""The module that prepares; what it imports counts, too."""
NOT_OF_THE_PREPARATION = {
    "__init__.py": "the version that people read",
    "code.py": "digests of code",
    "config/": "keys are in the definition by value",
    "data/cautions.py": "worked out whenever it is asked",
    "data/definition.py": "says what the data are made of",
    "data/loss_scale.py": "worked out whenever it is asked",
    "data/prepared.py": "finds them",
    "errors.py": "messages",
    "files.py": "writes files whole",
    "grid.py": "the runs of a study",
    "identity/": "the runs of a study",
    "layout.py": "paths",
    "seal.py": "checksums",
    "tables/": "names and types of columns",
}
"""Modules that decide no prepared data, with the reason; of a folder its path with `/`."""
LIBRARIES = ("numpy", "scikit-learn", "tokenizers")
"""Libraries whose version decides which rows are drawn and what their tokens are."""
SLOW = 1 << 20
"""Bytes from which the checksum of a file is kept."""
SETTLED = 2_000_000_000
"""Nanoseconds after which a changed file must have another date: clocks of file systems are
coarse."""


def configuration(study: StudyConfig) -> dict[str, Any]:
    """Everything in a study's file that decides the prepared data, as plain data."""
    found = study.model_dump(
        mode="json",
        exclude=NOT_OF_THE_STUDY | {"tasks", "stages"},
    )
    tasks = {n: t.model_dump(mode="json", exclude=NOT_OF_A_TASK) for n, t in study.tasks.items()}
    stages = {n: s.model_dump(mode="json", exclude=NOT_OF_A_STAGE) for n, s in study.stages.items()}
    return found | {
        "tasks": tasks,
        "stages": stages,
        "order": [*study.tasks],
    }


def data_definition(study: StudyConfig, kept: Path | None = None) -> dict[str, Any]:
    """Everything that decides the prepared data of a study.

    Args:
        study: the study.
        kept: file of the checksums of large sources, which are read once; None: keep none.

    Returns:
        Plain data: {"configuration": ..., "files": {what: checksum, or null of a missing file},
        "code": digest, "libraries": {name: version}}.
    """
    return {
        "configuration": configuration(study),
        "files": _checksums(source_files(study), kept),
        "code": code_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def data_digest(definition: Mapping[str, Any]) -> str:
    """Name of the prepared data in their store: 32 hexadecimal digits."""
    return digest(definition)[:32]


@functools.cache
def code_version() -> str:
    """Digest of the code of the preparation; comments and docstrings do not count."""
    imports = Imports(
        PACKAGE,
        lambda path: any(
            path.startswith(one) if one.endswith("/") else path == one
            for one in NOT_OF_THE_PREPARATION
        ),
    )
    return imports.digest(imports.reached([ROOT]))


def source_files(study: StudyConfig) -> dict[str, Path]:
    """Files on this machine that data and encoder come from, by their place in the configuration;
    they need not be there."""
    folder = Path(study.data_dir).expanduser() if study.data_dir else Path()
    found = {
        place: folder / Path(source.path).expanduser() for place, source in _file_sources(study)
    }
    source = study.encoder.source
    if isinstance(source, EncoderDirectory):
        checkpoint = Path(source.path).expanduser()
        for path in encoder_files(checkpoint):
            found[f"encoder.source: {path.relative_to(checkpoint)}"] = path
    return found


def _file_sources(study: StudyConfig) -> Iterator[tuple[str, FileSource]]:
    for name, task in study.tasks.items():
        for split in ("train", "dev", "test"):
            source = getattr(task.data, split)
            if isinstance(source, FileSource):
                yield f"tasks.{name}.data.{split}", source
    for name, stage in study.stages.items():
        if isinstance(stage.source, FileSource):
            yield f"stages.{name}.source", stage.source


def _checksums(files: Mapping[str, Path], kept: Path | None) -> dict[str, str | None]:
    known = read_json(kept) if kept is not None else None
    known = known if isinstance(known, dict) else {}
    fresh: dict[str, list] = {}
    found: dict[str, str | None] = {}
    for place, path in files.items():
        try:
            state = os.stat(path)
            place_on_disk = os.path.realpath(path)
            facts = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
            entry = known.get(place_on_disk)
            if isinstance(entry, list) and entry[:-1] == facts and isinstance(entry[-1], str):
                found[place] = entry[-1]
                continue
            found[place] = file_sha256(path)
            if state.st_size >= SLOW and time.time_ns() - state.st_ctime_ns > SETTLED:
                fresh[place_on_disk] = [*facts, found[place]]
        except OSError:
            found[place] = None
    if fresh and kept is not None:
        there = {path: entry for path, entry in known.items() if os.path.exists(path)}
        with suppress(OSError):  # they are read again next time
            write_json(kept, there | fresh)
    return found


def differences(prepared: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """What two definitions differ in, each in words: `encoder.max_length 16, asked for 24`."""
    have, want = _leaves(prepared), _leaves(asked)
    told = []
    for key in sorted({*have, *want}, key=_order):
        if have.get(key) == want.get(key):
            continue
        kind, _, rest = key.partition(".")
        if kind == "configuration":
            told.append(f"{rest} {_shown(have, key)}, asked for {_shown(want, key)}")
        elif kind == "files" and want.get(key) is None:
            told.append(f"the file of {rest}, which is gone")
        elif kind == "files":
            told.append(f"other content of the file of {rest}")
        elif kind == "code":
            told.append("another version of the code that prepares data")
        else:
            told.append(f"{rest} {_shown(have, key)}, this is {_shown(want, key)}")
    return told


def _order(key: str) -> tuple[int, str]:
    kinds = ("configuration", "files", "code", "libraries")
    return kinds.index(key.partition(".")[0]), key


def _shown(leaves: Mapping[str, Any], key: str) -> str:
    text = json.dumps(leaves[key], ensure_ascii=False) if key in leaves else "not there"
    return text if len(text) <= 60 else text[:57] + "..."


def _leaves(data: Any, place: str = "") -> dict[str, Any]:
    """Every value by its dotted place; lists are values."""
    if not isinstance(data, dict):
        return {place: data}
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= _leaves(value, f"{place}.{key}" if place else str(key))
    return found
