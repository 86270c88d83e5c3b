"""Checkpoints: a run that was stopped goes on as if it had not been.

A checkpoint is a folder `step-N` with `tensors.safetensors` (weights, moments, generators, best
epochs), tables of the rows so far (Parquet) and `state.json`, written beside and renamed when it is
whole; then older ones go. Nothing in it is unpickled, and one that does not fit the run is left
aside with a word: the run then starts at its beginning.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from weightwise.files import read_json, write_json
from weightwise.train.scoring import Scored

if TYPE_CHECKING:
    from weightwise.train.loop import Training

FORMAT = 2
TABLES = ("epochs", "steps", "gramians", "regularisers", "step_times", "timings")
# After an epoch a checkpoint is written unless writing would cost more than this share of the time
# that it saves. The first one's cost is guessed from a slow disk.
WORTH = 0.02
BYTES_PER_SECOND = 3e8


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, folder: Path, key: str, minutes: float):
        """Args: their folder; the run's key, which must not change; minutes between two of them
        within an epoch."""
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

    def save(self, run: Training) -> None:
        """Write a checkpoint, whole or not at all, and forget the ones before it."""
        started = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self.folder, prefix=".step-"))
        try:
            tensors, state = state_of(run)
            save_file(tensors, scratch / "tensors.safetensors")
            for name in TABLES:
                rows = getattr(run.tables, name)
                if rows:
                    pd.DataFrame(rows).to_parquet(scratch / f"{name}.parquet", index=False)
            write_json(scratch / "state.json", {"format": FORMAT, "key": self.key} | state)
            place = self.folder / f"step-{run.step}"
            shutil.rmtree(place, ignore_errors=True)  # left by a failed attempt to go on from it
            scratch.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        for other in self.folder.glob("*step-*"):
            if other != place:
                shutil.rmtree(other, ignore_errors=True)
        self.last = time.monotonic()
        self.cost = self.last - started

    def load(self, run: Training) -> bool:
        """Put the run where its newest fitting checkpoint was; False: it starts from nothing."""
        self.size = 3 * sum(p.numel() * p.element_size() for p in run.model.parameters())
        untouched = {name: combiner.state() for name, combiner in run.combiners.items()}
        for place in sorted(self.folder.glob("step-*"), key=_number, reverse=True):
            try:
                self._load(place, run)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                for name, combiner in run.combiners.items():
                    combiner.restore(untouched[name])
                run.progress.note(f"{place}: cannot be gone on from ({error}); left aside")
                with contextlib.suppress(OSError):
                    place.rename(place.with_name(f"unusable-{place.name}"))
                continue
            return True
        return False

    def delete(self) -> None:
        """Forget all of them: the run is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _load(self, place: Path, run: Training) -> None:
        state = read_json(place / "state.json")
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise ValueError("state.json is missing, broken or of another format")
        if state["key"] != self.key:
            raise ValueError("it is another run's")
        if state["bf16"] != run.inputs.bf16 or state["device"] != run.inputs.device.type:
            raise ValueError("it was trained on another kind of device or in another precision")
        tensors = load_file(place / "tensors.safetensors", device=str(run.inputs.device))
        rows = {}
        for name in TABLES:
            path = place / f"{name}.parquet"
            rows[name] = pd.read_parquet(path).to_dict("records") if path.exists() else []
        restore(run, tensors, state)
        for name in TABLES:
            setattr(run.tables, name, rows[name])


def _number(place: Path) -> int:
    text = place.name.removeprefix("step-")
    return int(text) if text.isdecimal() else -1


def state_of(run: Training) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Everything that the run's further course depends on: tensors by name, and JSON values."""
    tensors = {f"model/{name}": tensor for name, tensor in run.model.state_dict().items()}
    for name, moment in _moments(run):
        tensors[name] = moment
    for epoch, snapshot in run.snapshots.items():
        tensors |= {f"epoch-{epoch}/{name}": tensor for name, tensor in snapshot.items()}
    for task, generator in run.generators.items():
        tensors[f"dropout/{task}"] = generator.get_state()
    if run.smart is not None:
        tensors |= {f"smart/{name}": tensor for name, tensor in run.smart.state().items()}
    best = {}
    for task, splits in run.tables.best.items():
        dev = splits["dev"]
        for part in ("rows", "labels", "predictions", "confidence"):
            if getattr(dev, part) is not None:
                tensors[f"best/{task}/{part}"] = torch.from_numpy(getattr(dev, part))
        numbers = {name: None if np.isnan(x) else float(x) for name, x in _numbers(dev).items()}
        best[task] = numbers | {"epoch": run.tables.best_epoch[task]}
    memories = {}
    for name, combiner in run.combiners.items():
        memory = combiner.state()
        for part, value in memory.items():
            if isinstance(value, np.ndarray):
                tensors[f"combiner/{name}/{part}"] = torch.from_numpy(value)
        memories[name] = {k: v for k, v in memory.items() if not isinstance(v, np.ndarray)}
    state = {
        "epoch": run.epoch,
        "taken": run.taken,
        "seconds": run.seconds,
        "bf16": run.inputs.bf16,
        "device": run.inputs.device.type,
        "snapshots": list(run.snapshots),
        "best": best,
        "weakest": run.weakest,
        "combiners": memories,
    }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, state


def restore(run: Training, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Put a fresh run where `state_of` was.

    Raises:
        KeyError, TypeError, ValueError: they do not fit the run. Nothing but its combiners may have
            changed then.
    """
    epoch, taken = int(state["epoch"]), int(state["taken"])
    if not (1 <= epoch <= run.inputs.training.epochs and 0 <= taken <= run.per_epoch):
        raise ValueError(f"epoch {epoch}, step {taken} does not exist in this run")
    model = {
        name: _fitting(tensors, f"model/{name}", t) for name, t in run.model.state_dict().items()
    }
    moments = [(moment, _fitting(tensors, name, moment)) for name, moment in _moments(run)]
    snapshots = {int(n): _model_in(tensors, f"epoch-{n}", run) for n in state["snapshots"]}
    generators = {
        task: _fitting(tensors, f"dropout/{task}", generator.get_state()).cpu()
        for task, generator in run.generators.items()
    }
    smart = {
        name: _fitting(tensors, f"smart/{name}", tensor)
        for name, tensor in (run.smart.state() if run.smart is not None else {}).items()
    }
    best = {task: _scored(tensors, task, found) for task, found in state["best"].items()}
    memories = {}
    for name in run.combiners:
        prefix = f"combiner/{name}/"
        arrays = {k: t.cpu().numpy() for k, t in tensors.items() if k.startswith(prefix)}
        memories[name] = state["combiners"][name] | {
            key.removeprefix(prefix): array for key, array in arrays.items()
        }
    weakest = state["weakest"]
    if weakest is not None and weakest not in run.inputs.tasks:
        raise ValueError(f"{weakest!r} is no task of this run")
    best_epoch = {task: int(found["epoch"]) for task, found in state["best"].items()}
    seconds = float(state["seconds"])
    for name, combiner in run.combiners.items():
        combiner.restore(memories[name])
    run.model.load_state_dict(model)
    with torch.no_grad():
        for moment, kept in moments:
            moment.copy_(kept)
    for task, generator in run.generators.items():
        generator.set_state(generators[task])
    if run.smart is not None:
        run.smart.restore(smart)
    run.snapshots = snapshots
    run.tables.best = {task: {"dev": scored} for task, scored in best.items()}
    run.tables.best_epoch = best_epoch
    run.epoch, run.taken, run.seconds, run.weakest = epoch, taken, seconds, weakest


def _model_in(tensors: dict, prefix: str, run: Training) -> dict[str, torch.Tensor]:
    own = run.model.state_dict()
    return {name: _fitting(tensors, f"{prefix}/{name}", tensor) for name, tensor in own.items()}


def _moments(run: Training) -> list[tuple[str, torch.Tensor]]:
    return [
        (f"optimiser/{g}/{i}/{name}", getattr(group, name)[i])
        for g, group in enumerate(run.optimiser.groups)
        for i in range(len(group.parameters))
        for name in ("first", "second", "steps")
    ]


def _fitting(tensors: dict[str, torch.Tensor], name: str, like: torch.Tensor) -> torch.Tensor:
    found = tensors[name]
    if found.shape != like.shape or found.dtype != like.dtype:
        raise ValueError(
            f"{name} is {found.dtype} {list(found.shape)}, not {like.dtype} {list(like.shape)}"
        )
    return found


def _numbers(scored: Scored) -> dict[str, float]:
    return {"score": scored.score, "loss": scored.loss}


def _scored(tensors: dict[str, torch.Tensor], task: str, found: dict) -> Scored:
    parts = {
        part: tensors[f"best/{task}/{part}"].cpu().numpy()
        for part in ("rows", "labels", "predictions")
    }
    confidence = tensors.get(f"best/{task}/confidence")
    numbers = {
        name: float("nan") if found[name] is None else float(found[name])
        for name in ("score", "loss")
    }
    return Scored(
        **parts, confidence=None if confidence is None else confidence.cpu().numpy(), **numbers
    )
