"""The state of a stage in progress, as tensors and JSON values, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from weightwise.train.optimiser import moments_of

if TYPE_CHECKING:
    from weightwise.stages.loop import StageTraining


def state_of(stage: StageTraining) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights, moments and the state of dropout, and the place in the data."""
    return _tensors(stage), stage.place()


def restore(stage: StageTraining, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Put a fresh stage where `state_of` was.

    Raises:
        KeyError, TypeError, ValueError: they do not fit the stage; nothing has changed then.
    """
    epoch, taken, seconds = stage.checked_place(state)
    own = _tensors(stage)
    if tensors.keys() != own.keys():
        raise ValueError("it holds other tensors than this stage has")
    for name, tensor in own.items():
        if tensors[name].shape != tensor.shape or tensors[name].dtype != tensor.dtype:
            raise ValueError(f"{name} has another shape or type")
    with torch.no_grad():
        for name, tensor in own.items():
            if name != "dropout":
                tensor.copy_(tensors[name])
    stage.generator.set_state(tensors["dropout"].cpu())
    stage.epoch, stage.taken, stage.seconds = epoch, taken, seconds


def _tensors(stage: StageTraining) -> dict[str, torch.Tensor]:
    """All but the last are the stage's own memory."""
    tensors = {f"model/{name}": tensor for name, tensor in stage.model.state_dict().items()}
    return tensors | moments_of(stage.optimiser) | {"dropout": stage.generator.get_state()}
