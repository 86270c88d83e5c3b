"""The run store, results/runs/<key>/, keyed by content, owned by nobody's workflow. Stages have one
of the same make, results/stages/<key>/.

Snakemake deletes the declared outputs of a failed job and of a job it reruns; what took hours must
not depend on that. Jobs declare small markers; the results live here under a key that changes with
everything that decides them. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from weightwise.files import locked, new_folder, read_json, write_json
from weightwise.grid import digest
from weightwise.seal import changed_file, checksums


def run_key(
    definition: dict,
    data: dict[str, str],
    encoder: dict[str, str],
    code: str,
    versions: dict[str, str | None],
) -> str:
    """Key of a run: 32 hexadecimal digits.

    Args:
        definition: what decides the run, settled for data and machine (`identity.run.settled`).
        data: checksum of every task's token cache.
        encoder: checksums of the encoder's files; the key of the stage that the run starts from.
        code: digest of the code that makes its numbers.
        versions: of the libraries that make its numbers.
    """
    content = {
        "definition": definition,
        "data": data,
        "encoder": encoder,
        "code": code,
        "versions": versions,
    }
    return digest(content)[:32]


def stage_key(definition: dict, data: str, encoder: dict[str, str]) -> str:
    """Key of a stage: 32 hexadecimal digits.

    Args:
        definition: what decides the stage, code and versions included, settled for encoder and
            machine (`stages.definition.settled_stage`).
        data: checksum of its texts' token cache.
        encoder: checksums of the encoder's files, or the key of the stage that it starts from.
    """
    return digest({"definition": definition, "data": data, "encoder": encoder})[:32]


class TaskScores(BaseModel):
    """What a run scored in a task, at its best epoch; null where a score is undefined."""

    model_config = ConfigDict(extra="allow")
    metric: str
    epoch: int
    dev: float | None
    test: float | None = None


class Record(BaseModel):
    """What the record of anything finished must say."""

    model_config = ConfigDict(extra="allow")
    status: Literal["done"]
    key: str
    files: dict[str, str] = {}
    """Checksums of the files beside it; records of old versions have none."""


class RunRecord(Record):
    """What `run.json` must say; the rest is for people."""

    id: str
    scores: dict[str, TaskScores]


class StageRecord(Record):
    """What `stage.json` must say."""

    stage: str
    before: dict[str, Any]
    afterwards: dict[str, Any]


RECORDS: dict[str, type[Record]] = {"run.json": RunRecord, "stage.json": StageRecord}


@dataclass(frozen=True)
class RunStore:
    """The folder of all runs, or of all stages."""

    root: Path
    record_name: str = "run.json"
    """The file that says that one is finished."""

    def folder(self, key: str) -> Path:
        """Folder of a run."""
        return self.root / key

    def checkpoints(self, key: str) -> Path:
        """Folder of a run's checkpoints while it is not finished."""
        return self.root / ".checkpoints" / key

    def record(self, key: str) -> dict | None:
        """The record of a finished run; None where it is not finished, or where its record or a
        file beside it is damaged or gone."""
        found = self.look(key)
        return found if isinstance(found, dict) else None

    def look(self, key: str) -> dict | str | None:
        """The record of a finished run; words where it is damaged; None where there is none."""
        path = self.folder(key) / self.record_name
        if not path.exists():
            return f"{path} is gone" if self.folder(key).is_dir() else None
        try:
            record = RECORDS[self.record_name].model_validate(read_json(path))
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            return f"{path} is damaged" + (f" ({where})" if where else "")
        if record.key != key:
            return f"{path} is the record of another key"
        changed = changed_file(self.folder(key), record.files, path)
        if changed is not None:
            return f"{self.folder(key) / changed} is gone or damaged"
        return record.model_dump(exclude_unset=True)

    @contextmanager
    def writing(
        self, key: str, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[Path | None]:
        """Hold the run's lock and give a scratch folder that becomes the run's when left whole.

        Gives None where the run is finished already, by an earlier study or by another process
        that held the lock until now.

        Args:
            key: the run's key.
            waiting: called every second while another process holds the lock; may raise.
        """
        with locked(self.root, key, waiting):
            if self.record(key) is not None:
                yield None
                return
            with new_folder(self.folder(key)) as scratch:
                yield scratch


def write_record(folder: Path, record: dict, name: str = "run.json") -> None:
    """Write a run's or a stage's record last: it is what makes it finished. The checksums of the
    files beside it join it as `files`."""
    write_json(folder / name, record | {"files": checksums(folder)})
