"""Checkpoints: a run or a stage that was stopped goes on as if it had not been.

A checkpoint is a folder `step-N` with `tensors.safetensors` (weights, moments, generators, best
epochs), tables of the rows so far (Parquet) and `state.json`, written beside and renamed when it is
whole; then older ones go. Nothing in it is unpickled, and one that does not fit the training is
left aside with a word: it then starts at its beginning.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from weightwise.files import read_json, write_json

if TYPE_CHECKING:
    from weightwise.train.resumable import Resumable

# After an epoch a checkpoint is written unless writing would cost more than this share of the time
# that it saves. The first one's cost is guessed from a slow disk.
WORTH = 0.02
BYTES_PER_SECOND = 3e8


class Checkpoints:
    """The checkpoints of one run or stage."""

    def __init__(self, folder: Path, key: str, minutes: float):
        """Args: their folder; the key in the store, which must not change; minutes between two of
        them within an epoch."""
        self.folder = folder
        self.key = key
        self.seconds = 60 * minutes
        self.last = time.monotonic()
        self.cost: float | None = None
        self.size = 0

    def due(self, epoch_ended: bool) -> bool:
        """Whether it is time for one: always after `minutes`; after an epoch if it is worth it."""
        since = time.monotonic() - self.last
        if since >= self.seconds:
            return True
        cost = self.size / BYTES_PER_SECOND if self.cost is None else self.cost
        return epoch_ended and cost <= WORTH * since

    def save(self, training: Resumable) -> None:
        """Write a checkpoint, whole or not at all, and forget the ones before it."""
        started = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self.folder, prefix=".step-"))
        place = self.folder / f"step-{training.step}"
        try:
            tensors, state = training.state()
            tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_file(tensors, scratch / "tensors.safetensors")
            for name in training.kept_tables:
                rows = getattr(training.tables, name)
                if rows:
                    pd.DataFrame(rows).to_parquet(scratch / f"{name}.parquet", index=False)
            write_json(scratch / "state.json", self._identity(training) | state)
            shutil.rmtree(place, ignore_errors=True)  # left by a failed attempt to go on from it
            scratch.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        for other in self.folder.glob("*step-*"):
            if other != place:
                shutil.rmtree(other, ignore_errors=True)
        self.last = time.monotonic()
        self.cost = self.last - started

    def load(self, training: Resumable) -> bool:
        """Put it where its newest fitting checkpoint was; False: it starts from nothing."""
        parameters = training.model.parameters()
        self.size = 3 * sum(p.numel() * p.element_size() for p in parameters)
        for place in sorted(self.folder.glob("step-*"), key=_number, reverse=True):
            try:
                self._load(place, training)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                training.progress.note(f"{place}: cannot be gone on from ({error}); left aside")
                with contextlib.suppress(OSError):
                    place.rename(place.with_name(f"unusable-{place.name}"))
                continue
            return True
        return False

    def _load(self, place: Path, training: Resumable) -> None:
        state = read_json(place / "state.json")
        if not isinstance(state, dict) or state.get("format") != training.format:
            raise ValueError("state.json is missing, broken or of another format")
        if state["key"] != self.key:
            raise ValueError(f"it is another {training.kind}'s")
        if any(state[name] != value for name, value in self._identity(training).items()):
            raise ValueError("it was trained on another kind of device or in another precision")
        device = str(training.inputs.device)
        tensors = load_file(place / "tensors.safetensors", device=device)
        rows = {}
        for name in training.kept_tables:
            path = place / f"{name}.parquet"
            rows[name] = pd.read_parquet(path).to_dict("records") if path.exists() else []
        training.restore(tensors, state)
        for name, found in rows.items():
            setattr(training.tables, name, found)

    def _identity(self, training: Resumable) -> dict[str, object]:
        """What a checkpoint must share with the training that goes on from it."""
        inputs = training.inputs
        return {
            "format": training.format,
            "key": self.key,
            "bf16": inputs.bf16,
            "device": inputs.device.type,
        }


def _number(place: Path) -> int:
    text = place.name.removeprefix("step-")
    return int(text) if text.isdecimal() else -1
