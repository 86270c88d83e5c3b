"""Checkpoints of a stage, of the same make as a run's: one that was stopped goes on as if it had
not been. Nothing in them is unpickled."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from weightwise.files import read_json, write_json
from weightwise.train.checkpoint import Checkpoints

if TYPE_CHECKING:
    from weightwise.stages.loop import StageTraining

FORMAT = "stage-1"
TABLES = ("epochs", "steps", "timings")


class StageCheckpoints(Checkpoints):
    """The checkpoints of one stage; when one is due, a run's rule decides."""

    def save(self, stage: StageTraining) -> None:
        """Write a checkpoint, whole or not at all, and forget the ones before it."""
        started = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self.folder, prefix=".step-"))
        place = self.folder / f"step-{stage.step}"
        try:
            save_file(_tensors(stage), scratch / "tensors.safetensors")
            for name in TABLES:
                rows = getattr(stage.tables, name)
                if rows:
                    pd.DataFrame(rows).to_parquet(scratch / f"{name}.parquet", index=False)
            state = {"format": FORMAT, "key": self.key, **_place(stage), **_kind(stage)}
            write_json(scratch / "state.json", state)
            shutil.rmtree(place, ignore_errors=True)  # left by a failed attempt to go on from it
            scratch.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        for other in self.folder.glob("*step-*"):
            if other != place:
                shutil.rmtree(other, ignore_errors=True)
        self.last = time.monotonic()
        self.cost = self.last - started

    def load(self, stage: StageTraining) -> bool:
        """Put the stage where its newest fitting checkpoint was; False: it starts from nothing."""
        self.size = 3 * sum(p.numel() * p.element_size() for p in stage.model.parameters())
        places = [p for p in self.folder.glob("step-*") if p.name[5:].isdecimal()]
        for place in sorted(places, key=lambda p: int(p.name[5:]), reverse=True):
            try:
                self._load(place, stage)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                stage.progress.note(f"{place}: cannot be gone on from ({error}); left aside")
                with contextlib.suppress(OSError):
                    place.rename(place.with_name(f"unusable-{place.name}"))
                continue
            return True
        return False

    def _load(self, place: Path, stage: StageTraining) -> None:
        state = read_json(place / "state.json")
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise ValueError("state.json is missing, broken or of another format")
        if state["key"] != self.key:
            raise ValueError("it is another stage's")
        if any(state[name] != value for name, value in _kind(stage).items()):
            raise ValueError("it was trained on another kind of device or in another precision")
        epoch, taken, seconds = int(state["epoch"]), int(state["taken"]), float(state["seconds"])
        if not (1 <= epoch <= stage.inputs.stage.epochs and 0 <= taken <= stage.per_epoch):
            raise ValueError(f"epoch {epoch}, step {taken} does not exist in this stage")
        kept = load_file(place / "tensors.safetensors", device=str(stage.inputs.device))
        own = _tensors(stage)
        if kept.keys() != own.keys():
            raise ValueError("it holds other tensors than this stage has")
        for name, tensor in own.items():
            if kept[name].shape != tensor.shape or kept[name].dtype != tensor.dtype:
                raise ValueError(f"{name} has another shape or type")
        rows = {
            name: pd.read_parquet(place / f"{name}.parquet").to_dict("records")
            for name in TABLES
            if (place / f"{name}.parquet").exists()
        }
        # Everything fits; from here on nothing can fail.
        with torch.no_grad():
            for name, tensor in own.items():
                if name != "dropout":
                    tensor.copy_(kept[name])
        stage.generator.set_state(kept["dropout"].cpu())
        for name in TABLES:
            setattr(stage.tables, name, rows.get(name, []))
        stage.epoch, stage.taken, stage.seconds = epoch, taken, seconds


def _tensors(stage: StageTraining) -> dict[str, torch.Tensor]:
    """Weights, moments and the state of dropout; all but the last are the stage's own memory."""
    tensors = {f"model/{name}": tensor for name, tensor in stage.model.state_dict().items()}
    for g, group in enumerate(stage.optimiser.groups):
        for i in range(len(group.parameters)):
            for name in ("first", "second", "steps"):
                tensors[f"optimiser/{g}/{i}/{name}"] = getattr(group, name)[i]
    return tensors | {"dropout": stage.generator.get_state()}


def _place(stage: StageTraining) -> dict[str, float]:
    return {"epoch": stage.epoch, "taken": stage.taken, "seconds": stage.seconds}


def _kind(stage: StageTraining) -> dict[str, object]:
    return {"bf16": stage.inputs.bf16, "device": stage.inputs.device.type}
