"""The run store, results/runs/<key>/, keyed by content, owned by nobody's workflow. Stages have one
of the same make, results/stages/<key>/.

Snakemake deletes the declared outputs of a failed job and of a job it reruns; what took hours must
not depend on that. Jobs declare small markers; the results live here under a key that changes with
everything that decides them. Imports no torch.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from weightwise.files import read_json, write_json
from weightwise.grid import digest


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
        """The record of a finished run; None where it is not finished."""
        record = read_json(self.folder(key) / self.record_name)
        return record if isinstance(record, dict) and record.get("status") == "done" else None

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
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / f".{key}.lock")
        while True:
            try:
                lock.acquire(timeout=1)
                break
            except Timeout:
                waiting()
        with lock:
            lock.release()  # of the two holds, one is left
            if self.record(key) is not None:
                yield None
                return
            for debris in self.root.glob(f".{key}.*/"):  # of a run that was killed
                shutil.rmtree(debris, ignore_errors=True)
            scratch = Path(tempfile.mkdtemp(dir=self.root, prefix=f".{key}."))
            try:
                yield scratch
                scratch.chmod(0o755)
                # An unfinished folder of that key can only be debris.
                shutil.rmtree(self.folder(key), ignore_errors=True)
                scratch.replace(self.folder(key))
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


def write_record(folder: Path, record: dict) -> None:
    """Write `run.json` last: it is what makes a run finished."""
    write_json(folder / "run.json", record)
