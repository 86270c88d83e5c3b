"""Signs of life of a run, for `weightwise status` in another shell."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from weightwise.files import write_json
from weightwise.train.resumable import Progress

EVERY = 10.0


class Heartbeat(Progress):
    """Writes a small file every ten seconds while the run is trained, and passes on what it hears.

    A thread of its own writes it: scoring a large split must not look like death.
    """

    def __init__(self, path: Path, run_id: str, progress: Progress):
        """Args: the file; the run's id; who else is told of the progress."""
        self.path = path
        self.progress = progress
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self.facts: dict[str, Any] = {
            "id": run_id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "created": psutil.Process().create_time(),
            "slurm_job": os.environ.get("SLURM_JOB_ID"),
            "snakemake": os.environ.get("WEIGHTWISE_SNAKEMAKE"),
            "started": time.time(),
            "start_step": 0,
            "step": 0,
            "steps": None,
            "epoch": 1,
        }

    def __enter__(self) -> Heartbeat:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self.path.unlink(missing_ok=True)

    def start(self, steps: int, done: int = 0) -> None:
        """The run takes so many steps, and so many are done."""
        self.facts |= {"steps": steps, "step": done, "start_step": done}
        self._write()
        self.progress.start(steps, done)

    def step(self, number: int, epoch: int, record) -> None:
        """One step is done."""
        self.facts["step"], self.facts["epoch"] = number, epoch
        self.progress.step(number, epoch, record)

    def epoch(self, number: int, scores, best) -> None:
        """An epoch is scored."""
        self.progress.epoch(number, scores, best)

    def note(self, text: str) -> None:
        """Something to know."""
        self.progress.note(text)

    def _beat(self) -> None:
        while not self._done.wait(EVERY):
            with contextlib.suppress(OSError):  # a full disk must not end the run by this
                self._write()

    def _write(self) -> None:
        write_json(self.path, self.facts | {"written": time.time()})
