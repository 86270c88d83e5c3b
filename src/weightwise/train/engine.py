"""One optimisation step of K tasks: a forward and backward per task, streamed, then combined.

Measured (DESIGN, cost facts): two backwards on the tasks' own graphs cost 1.02 of a joint one, so
this one engine serves addition and gradient surgery alike.
"""

from __future__ import annotations

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


class StepWords:
    """The rows of the word embeddings that a step uses, as a leaf of its own.

    A dense gradient of the whole table would be written and read several times in every step for
    the few hundred rows that are not zero; on a small encoder that is more than half the time.
    """

    def __init__(self, table: torch.nn.Parameter, ids: list[torch.Tensor]):
        """Args: the table [V, H]; the token ids [N_k] of every task's batch."""
        self.used, inverse = torch.unique(torch.cat(ids), return_inverse=True)
        self.places = inverse.split([len(i) for i in ids])
        self.rows = table.detach().index_select(0, self.used).requires_grad_()

    def embed(self, k: int) -> torch.Tensor:
        """Word embeddings [N_k, H] of the tokens of batch k."""
        return torch.nn.functional.embedding(self.places[k], self.rows)


class Engine:
    """Computes the combined gradient of a step into the parameters' `.grad`."""

    def __init__(
        self,
        model: MultiTaskModel,
        combiner: Combiner,
        generators: dict[str, torch.Generator],
    ):
        """Args: the model; the combiner; every task's source of dropout."""
        self.model = model
        self.combiner = combiner
        self.generators = generators
        self.table = model.encoder.word_embeddings.weight
        self.trunk = [p for _, p in model.trunk_parameters() if p is not self.table]
        # The table's gradient: zero but for the rows of the last step, which are remembered.
        self._table_gradient = torch.zeros_like(self.table, requires_grad=False)
        self._last_used: torch.Tensor | None = None

    def step(self, batches: dict[str, Batch]) -> StepRecord:
        """Set `.grad` of the trunk to sum_k w_k g_k and of each head to its own gradient.

        Raises:
            Diverged: a loss is NaN or infinite, or a gradient where they are separate; no `.grad`
                may be used then. What a fixed combiner's gradients hide, the next loss shows.
        """
        words = StepWords(self.table, [b.packed.ids for b in batches.values()])
        separate = self._fixed if self.combiner.fixed else self._surgery
        record, rows_gradient = separate(list(batches.items()), words)
        if self._last_used is not None:
            self._table_gradient.index_fill_(0, self._last_used, 0.0)
        self._table_gradient.index_copy_(0, words.used, rows_gradient)
        self._last_used = words.used
        self.table.grad = self._table_gradient
        return record

    def _loss(self, k: int, task: str, batch: Batch, words: StepWords) -> torch.Tensor:
        return self.model.loss(task, batch, self.generators[task], words.embed(k))

    def _fixed(
        self, items: list[tuple[str, Batch]], words: StepWords
    ) -> tuple[StepRecord, torch.Tensor]:
        """Weights known beforehand: the weighted losses accumulate into one gradient."""
        weights = self.combiner.fixed_weights(len(items))
        losses = []
        for k, (task, batch) in enumerate(items):
            loss = self._loss(k, task, batch, words)
            (loss * float(weights[k])).backward()
            losses.append(loss.detach())
        values = self._finite(losses, items)
        nothing = np.full(len(items), np.nan)
        return StepRecord(values, weights, nothing, acted=False), words.rows.grad

    def _surgery(
        self, items: list[tuple[str, Batch]], words: StepWords
    ) -> tuple[StepRecord, torch.Tensor]:
        """Weights from the Gramian of the separate gradients; heads keep their own gradient."""
        shared = [words.rows, *self.trunk]
        gradients: list[list[torch.Tensor]] = []
        losses = []
        for k, (task, batch) in enumerate(items):
            head = list(self.model.heads[task].parameters())
            loss = self._loss(k, task, batch, words)
            grads = torch.autograd.grad(loss, shared + head, materialize_grads=True)
            gradients.append(list(grads[: len(shared)]))
            for parameter, gradient in zip(head, grads[len(shared) :], strict=True):
                parameter.grad = gradient
            losses.append(loss.detach())
        values = self._finite(losses, items)
        gramian = gramian_of(gradients)
        for k, (task, _) in enumerate(items):
            if not np.isfinite(gramian[k, k]):
                raise Diverged(f"the gradient of task {task} is not finite")
        weights = self.combiner(gramian, values)
        combined = gradients[0]
        torch._foreach_mul_(combined, float(weights[0]))
        for weight, other in zip(weights[1:], gradients[1:], strict=True):
            torch._foreach_add_(combined, other, alpha=float(weight))
        for parameter, gradient in zip(self.trunk, combined[1:], strict=True):
            parameter.grad = gradient
        acted = not np.allclose(weights, 1.0, rtol=0, atol=1e-12)
        return StepRecord(values, weights, lowest_cosines(gramian), acted), combined[0]

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
