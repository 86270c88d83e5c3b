"""The state of a run in progress, as tensors and JSON values, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from weightwise.train.optimiser import moments_of
from weightwise.train.scoring import Scored

if TYPE_CHECKING:
    from weightwise.train.loop import Training


def state_of(run: Training) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Everything that the run's further course depends on: tensors by name, and JSON values."""
    tensors = {f"model/{name}": tensor for name, tensor in run.model.state_dict().items()}
    tensors |= moments_of(run.optimiser)
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
        "snapshots": list(run.snapshots),
        "best": best,
        "weakest": run.weakest,
        "combiners": memories,
    }
    return tensors, run.place() | state


def restore(run: Training, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Put a fresh run where `state_of` was.

    Raises:
        KeyError, TypeError, ValueError: they do not fit the run; nothing has changed then.
    """
    epoch, taken, seconds = run.checked_place(state)
    model = _model_in(tensors, "model", run)
    moments = [
        (moment, _fitting(tensors, name, moment))
        for name, moment in moments_of(run.optimiser).items()
    ]
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
    _restore_combiners(run, memories)
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


def _restore_combiners(run: Training, memories: dict[str, dict]) -> None:
    """All combiners or none."""
    untouched = {name: combiner.state() for name, combiner in run.combiners.items()}
    try:
        for name, combiner in run.combiners.items():
            combiner.restore(memories[name])
    except Exception:
        for name, combiner in run.combiners.items():
            combiner.restore(untouched[name])
        raise


def _model_in(tensors: dict, prefix: str, run: Training) -> dict[str, torch.Tensor]:
    own = run.model.state_dict()
    return {name: _fitting(tensors, f"{prefix}/{name}", tensor) for name, tensor in own.items()}


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
