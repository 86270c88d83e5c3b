"""One optimisation step of K tasks: a forward and backward per task, streamed, then combined.

Measured (DESIGN, cost facts): two backwards on the tasks' own graphs cost 1.02 of a joint one, so
this one engine serves addition and gradient surgery alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from weightwise.combine import Combiner
from weightwise.data.batches import Batch
from weightwise.model.multitask import MultiTaskModel


class Diverged(Exception):
    """A loss or a gradient is not finite; the message names the task."""


@dataclass(frozen=True)
class StepRecord:
    """What a step did. All arrays [K] in the order of the tasks.

    `losses`; `weights` of the update; `cosines`, each task's lowest cosine with another task's
    gradient (NaN where gradients were not separated); `acted`: the gradients moved the weights
    away from the plain sum's.
    """

    losses: np.ndarray
    weights: np.ndarray
    cosines: np.ndarray
    acted: bool


class Engine:
    """Computes the combined gradient of a step into the parameters' `.grad`."""

    def __init__(
        self,
        model: MultiTaskModel,
        combiner: Combiner,
        generators: dict[str, torch.Generator],
        bf16: bool = False,
    ):
        """Args: the model; the combiner; every task's source of dropout; bf16 products."""
        self.model = model
        self.combiner = combiner
        self.generators = generators
        self.bf16 = bf16
        self.trunk = [p for _, p in model.trunk_parameters()]

    def step(self, batches: dict[str, Batch] | Iterator[tuple[str, Batch]]) -> StepRecord:
        """Set `.grad` of the trunk to sum_k w_k g_k and of each head to its own gradient.

        Raises:
            Diverged: a loss or gradient is NaN or infinite; no `.grad` may be used then.
        """
        items = list(batches.items()) if isinstance(batches, dict) else list(batches)
        if self.combiner.fixed:
            return self._fixed(items)
        return self._surgery(items)

    def _loss(self, task: str, batch: Batch) -> torch.Tensor:
        return self.model.loss(task, batch, self.generators[task], self.bf16)

    def _fixed(self, items: list[tuple[str, Batch]]) -> StepRecord:
        weights = self.combiner.fixed_weights(len(items))
        losses = []
        for weight, (task, batch) in zip(weights, items, strict=True):
            loss = self._loss(task, batch)
            (loss * float(weight)).backward()
            losses.append(loss.detach())
        values = self._finite(losses, items)
        return StepRecord(values, weights, np.full(len(items), np.nan), acted=False)

    def _surgery(self, items: list[tuple[str, Batch]]) -> StepRecord:
        gradients: list[list[torch.Tensor]] = []
        losses = []
        for task, batch in items:
            head = list(self.model.heads[task].parameters())
            loss = self._loss(task, batch)
            grads = torch.autograd.grad(loss, self.trunk + head)
            gradients.append(list(grads[: len(self.trunk)]))
            for parameter, gradient in zip(head, grads[len(self.trunk) :], strict=True):
                parameter.grad = gradient
            losses.append(loss.detach())
        values = self._finite(losses, items)
        gramian = gramian_of(gradients)
        for k, (task, _) in enumerate(items):
            if not np.isfinite(gramian[k]).all():
                raise Diverged(f"the gradient of task {task} is not finite")
        weights = self.combiner(gramian, values)
        combined = gradients[0]
        torch._foreach_mul_(combined, float(weights[0]))
        for weight, other in zip(weights[1:], gradients[1:], strict=True):
            torch._foreach_add_(combined, other, alpha=float(weight))
        for parameter, gradient in zip(self.trunk, combined, strict=True):
            parameter.grad = gradient
        if self.combiner.weights_heads:
            for weight, (task, _) in zip(weights, items, strict=True):
                heads = [p.grad for p in self.model.heads[task].parameters()]
                torch._foreach_mul_(heads, float(weight))
        acted = not np.allclose(weights, 1.0, rtol=0, atol=1e-12)
        return StepRecord(values, weights, lowest_cosines(gramian), acted)

    @staticmethod
    def _finite(losses: list[torch.Tensor], items: list[tuple[str, Batch]]) -> np.ndarray:
        values = torch.stack(losses).double().cpu().numpy()
        for (task, _), value in zip(items, values, strict=True):
            if not np.isfinite(value):
                raise Diverged(f"the loss of task {task} is {value}")
        return values


def gramian_of(gradients: list[list[torch.Tensor]]) -> np.ndarray:
    """G_ij = g_i . g_j in fp32 over lists of tensors, [K, K] float64."""
    tasks = len(gradients)
    squares = [
        torch.stack(torch._foreach_norm(g, dtype=torch.float32)).square().sum() for g in gradients
    ]
    products = {}
    for i in range(tasks):
        for j in range(i + 1, tasks):
            parts = [
                torch.dot(a.reshape(-1), b.reshape(-1))
                for a, b in zip(gradients[i], gradients[j], strict=True)
            ]
            products[i, j] = torch.stack(parts).sum()
    values = torch.stack([*squares, *products.values()]).double().cpu().numpy()
    gramian = np.diag(values[:tasks])
    for (i, j), value in zip(products, values[tasks:], strict=True):
        gramian[i, j] = gramian[j, i] = value
    return gramian


def lowest_cosines(gramian: np.ndarray) -> np.ndarray:
    """For each task the lowest cosine of its gradient with another's; NaN for one task or a zero
    gradient."""
    norms = np.sqrt(np.diag(gramian))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = gramian / np.outer(norms, norms)
    np.fill_diagonal(cosines, np.nan)
    if len(gramian) == 1:
        return np.full(1, np.nan)
    return np.array([np.nan if np.isnan(row).all() else np.nanmin(row) for row in cosines])
