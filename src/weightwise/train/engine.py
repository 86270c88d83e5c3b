"""One optimisation step of K tasks: a forward and backward per task, streamed, then combined.

Measured: two backwards on the tasks' own graphs cost 1.02 of a joint one, so
this one engine serves addition and gradient surgery alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from weightwise.combine import Combiner
from weightwise.data.batches import Batch
from weightwise.model.multitask import MultiTaskModel
from weightwise.train.coordinates import CoordinateReader
from weightwise.train.gramian import (
    ALL,
    assemble,
    blocks_of,
    inner_products,
    lowest_cosines,
    update_cosine,
)
from weightwise.train.smart import Smart


class Diverged(Exception):
    """A loss or a gradient is not finite; the message names the task."""


@dataclass(frozen=True)
class StepRecord:
    """What a step did. Arrays are [K] in the order of the tasks.

    `losses`; `weights` of the update; `cosines`, each task's lowest cosine with another task's
    gradient; `update_cosine`, that of the update with the plain sum of the gradients (both NaN in
    steps whose Gramian is not known); `acted`: the gradients gave the tasks unequal weights;
    `gramians` [K, K] by layer block, what is to be recorded of them in this step; `regularisers`
    [K] by name, NaN where a task has none.
    """

    losses: np.ndarray
    weights: np.ndarray
    cosines: np.ndarray
    update_cosine: float
    acted: bool
    gramians: dict[str, np.ndarray] = field(default_factory=dict)
    regularisers: dict[str, np.ndarray] = field(default_factory=dict)


class StepBatches:
    """Every task's batches of a step, and the rows of the word embeddings that they use.

    The rows are a leaf of their own: a dense gradient of the whole table would be written and read
    several times in every step for the few hundred rows that are not zero; on a small encoder that
    is more than half the time.
    """

    def __init__(self, table: torch.nn.Parameter, batches: Mapping[str, Batch | Sequence[Batch]]):
        """Args: the table [V, H]; every task's batch, or its micro-batches."""
        self.parts = {t: [b] if isinstance(b, Batch) else list(b) for t, b in batches.items()}
        ids = [b.packed.ids for own in self.parts.values() for b in own]
        self.used, inverse = torch.unique(torch.cat(ids), return_inverse=True)
        places = iter(inverse.split([len(i) for i in ids]))
        self.places = {t: [next(places) for _ in own] for t, own in self.parts.items()}
        self.rows = table.detach().index_select(0, self.used).requires_grad_()

    def __len__(self) -> int:
        """Number of tasks K."""
        return len(self.parts)

    def of(self, task: str) -> Iterator[tuple[Batch, torch.Tensor, float]]:
        """A task's batches, with the word embeddings [N, H] of their tokens and their share of the
        task's rows."""
        rows = sum(len(batch.labels) for batch in self.parts[task])
        for batch, places in zip(self.parts[task], self.places[task], strict=True):
            words = torch.nn.functional.embedding(places, self.rows)
            yield batch, words, len(batch.labels) / rows


class Engine:
    """Computes the combined gradient of a step into the parameters' `.grad`.

    Memory beyond addition: one copy of the trunk's gradient per task, in steps whose combiner needs
    them separate and in recorded ones.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        combiner: Combiner,
        generators: dict[str, torch.Generator],
        record_every: int = 0,
        head_only: frozenset[str] = frozenset(),
        smart: Smart | None = None,
    ):
        """Args: the model; the combiner; every task's source of dropout; record steps 1, 1 + N,
        1 + 2N, ... (0: none); tasks that train their heads and leave the trunk alone; SMART's
        terms, which are part of their tasks' losses."""
        self.model = model
        self.combiner = combiner
        self.generators = generators
        self.record_every = record_every
        self.head_only = head_only
        self.smart = smart
        self.table = model.encoder.word_embeddings.weight
        named = [(n, p) for n, p in model.trunk_parameters() if p is not self.table]
        self.trunk = [p for _, p in named]
        self.blocks = blocks_of(["word_embeddings.weight", *(n for n, _ in named)])
        self.size = self.table.numel() + sum(p.numel() for p in self.trunk)
        # The table's gradient: zero but for the rows of the last step, which are remembered.
        self._table_gradient = torch.zeros_like(self.table, requires_grad=False)
        self._last_used: torch.Tensor | None = None
        self._reader: tuple[np.ndarray, CoordinateReader] | None = None

    def step(self, batches: Mapping[str, Batch | Sequence[Batch]], number: int = 1) -> StepRecord:
        """Set `.grad` of the trunk to sum_k w_k g_k and of each head to its own gradient.

        Args:
            batches: every task's batch, or the micro-batches that it is processed in: g_k is the
                gradient of the mean loss over all their rows.
            number: the step's, from 1; decides whether it is recorded and nothing else.

        Raises:
            Diverged: a loss is NaN or infinite, or a gradient where the Gramian is computed; no
                `.grad` may be used then. What a fixed combiner's gradients hide, the next loss
                shows.
        """
        if self.smart is not None:
            self.smart.start_step()
        given = StepBatches(self.table, batches)
        for parameter in self.model.parameters():
            parameter.grad = None
        recorded = self.record_every > 0 and (number - 1) % self.record_every == 0
        record = (self._fixed if self.combiner.fixed else self._surgery)(given, recorded)
        if given.rows.grad is not None:  # else no task of the step trains the trunk
            if self._last_used is not None:
                self._table_gradient.index_fill_(0, self._last_used, 0.0)
            self._table_gradient.index_copy_(0, given.used, given.rows.grad)
            self._last_used = given.used
            self.table.grad = self._table_gradient
        if self.smart is not None:
            record = replace(record, regularisers=self.smart.terms(list(given.parts)))
        return record

    def heads_step(self, batches: Mapping[str, Batch | Sequence[Batch]]) -> StepRecord:
        """Set `.grad` of each head to its own gradient and leave none in the trunk: `step` for a
        frozen encoder.

        The trunk's graph is not kept, so that a step costs little more than a forward. No gradient
        is shared, so the combiner is not asked; a fixed one's weights reach the heads as ever.

        Args:
            batches: every task's batch, or its micro-batches.

        Raises:
            Diverged: a loss is NaN or infinite.
        """
        given = StepBatches(self.table, batches)
        for parameter in self.model.parameters():
            parameter.grad = None
        tasks = len(given)
        weights = self.combiner.fixed_weights(tasks) if self.combiner.fixed else np.ones(tasks)
        losses = [
            self._backward(given, task, float(weight), frozen=True)
            for task, weight in zip(given.parts, weights, strict=True)
        ]
        values, *_ = self._to_host(given, losses)
        return StepRecord(values, weights, np.full(tasks, np.nan), float("nan"), acted=False)

    def _backward(
        self, given: StepBatches, task: str, weight: float, frozen: bool = False
    ) -> torch.Tensor:
        """Add `weight` times a task's gradient to every `.grad`; the task's mean loss. `frozen`:
        the trunk is not trained at all, and nothing regularises it."""
        total = None
        source = self.model if self.smart is None or frozen else self.smart
        alone = frozen or task in self.head_only
        for batch, words, share in given.of(task):
            loss = source.loss(task, batch, self.generators[task], words, detach=alone)
            # A cosine that is the prediction itself has no head: alone it teaches nothing.
            if loss.requires_grad:
                (loss * (weight * share)).backward()
            mean = loss.detach() * share
            total = mean if total is None else total + mean
        return total

    def _fixed(self, given: StepBatches, recorded: bool) -> StepRecord:
        """Weights known beforehand: the weighted losses accumulate into one gradient.

        Recording only copies the sums on their way, so that a recorded step is the same step to the
        bit; a task's gradient is the difference of two sums, divided by its weight. A task of
        weight zero leaves none: its row of the Gramian is NaN.
        """
        shared = [given.rows, *self.trunk]
        tasks = len(given)
        weights = self.combiner.fixed_weights(tasks)
        losses: list[torch.Tensor] = []
        sums: list[list[torch.Tensor]] = []
        for task, weight in zip(given.parts, weights, strict=True):
            losses.append(self._backward(given, task, float(weight)))
            if recorded:
                final = len(losses) == tasks
                sums.append(gradients_of(shared) if final else copies_of(shared))
        if not recorded:
            values, *_ = self._to_host(given, losses)
            nothing = np.full(tasks, np.nan)
            return StepRecord(values, weights, nothing, float("nan"), acted=False)
        gradients = differences(sums)
        values, products, _ = self._to_host(given, losses, gradients)
        scale = np.outer(weights, weights)
        scale[scale == 0.0] = np.nan
        gramians = {b: g / scale for b, g in self._gramians(products, tasks).items()}
        return self._record(values, weights, gramians[ALL], gramians, acted=False)

    def _surgery(self, given: StepBatches, recorded: bool) -> StepRecord:
        """Weights from the Gramian of the separate gradients; heads keep their own gradient."""
        shared = [given.rows, *self.trunk]
        losses: list[torch.Tensor] = []
        gradients: list[list[torch.Tensor]] = []
        together = [k for k, task in enumerate(given.parts) if task not in self.head_only]
        for task in given.parts:
            losses.append(self._backward(given, task, 1.0))
            if task not in self.head_only:
                gradients.append(gradients_of(shared))
                for tensor in shared:
                    tensor.grad = None
        tasks = len(given)
        if not together:
            values, *_ = self._to_host(given, losses)
            nothing = np.full(tasks, np.nan)
            return StepRecord(values, np.zeros(tasks), nothing, float("nan"), acted=False)
        sample = None
        if self.combiner.reads_gradients:
            reader = self._coordinate_reader()
            sample = torch.stack([reader.read(g, given.used) for g in gradients])
        owners = [task for task in given.parts if task not in self.head_only]
        values, products, sampled = self._to_host(given, losses, gradients, sample, owners)
        gramian = assemble(products, len(together))
        looked_at = () if sampled is None else (sampled,)
        weights = self.combiner(gramian, values[together], *looked_at)
        combined = gradients[0]
        if weights[0] != 1.0:
            torch._foreach_mul_(combined, float(weights[0]))
        for weight, other in zip(weights[1:], gradients[1:], strict=True):
            torch._foreach_add_(combined, other, alpha=float(weight))
        for tensor, gradient in zip(shared, combined, strict=True):
            tensor.grad = gradient
        acted = not np.allclose(weights, weights[0], rtol=1e-12, atol=1e-12)
        gramians = {}
        if self.record_every > 0:
            gramians = self._gramians(products, len(together)) if recorded else {ALL: gramian}
        record = self._record(values, weights, gramian, gramians, acted)
        return record if len(together) == tasks else widened(record, together, tasks)

    def _coordinate_reader(self) -> CoordinateReader:
        """The reader of the coordinates that the combiner chose, or was restored with."""
        coordinates = self.combiner.coordinates(self.size)
        if self._reader is None or self._reader[0] is not coordinates:
            reader = CoordinateReader(coordinates, self.table, self.trunk)
            self._reader = (coordinates, reader)
        return self._reader[1]

    def _to_host(
        self,
        given: StepBatches,
        losses: list[torch.Tensor],
        gradients: list[list[torch.Tensor]] | None = None,
        sample: torch.Tensor | None = None,
        owners: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Losses [K], `inner_products` [pairs, P] and sampled gradients [K, m] as NumPy arrays,
        float64, in one transfer; None for what was not given. `owners` names the tasks of the
        gradients, by default all of them.

        Raises:
            Diverged: a loss or a gradient is not finite. (A gradient whose squared norm is beyond
            fp32 counts as such: Adam's second moment could not hold it either.)
        """
        products = None if gradients is None else inner_products(gradients)
        found = [torch.stack(losses), products, sample]
        sent = [x.double().reshape(-1) for x in found if x is not None]
        parts = iter(torch.cat(sent).cpu().split([len(x) for x in sent]))
        values, products, sample = (
            None if x is None else next(parts).view(x.shape).numpy() for x in found
        )
        for task, value in zip(given.parts, values, strict=True):
            if not np.isfinite(value):
                raise Diverged(f"the loss of task {task} is {value}")
        if products is not None:
            squares = np.diag(assemble(products, len(gradients)))
            for task, square in zip(owners or given.parts, squares, strict=True):
                if not np.isfinite(square):
                    raise Diverged(f"the gradient of task {task} is not finite")
        return values, products, sample

    def _gramians(self, products: np.ndarray, tasks: int) -> dict[str, np.ndarray]:
        blocks = {name: assemble(products, tasks, places) for name, places in self.blocks.items()}
        return {ALL: assemble(products, tasks), **blocks}

    @staticmethod
    def _record(
        losses: np.ndarray,
        weights: np.ndarray,
        gramian: np.ndarray,
        gramians: dict[str, np.ndarray],
        acted: bool,
    ) -> StepRecord:
        cosines = lowest_cosines(gramian)
        return StepRecord(
            losses, weights, cosines, update_cosine(gramian, weights), acted, gramians
        )


def widened(record: StepRecord, places: Sequence[int], tasks: int) -> StepRecord:
    """The record of a step for all of its tasks, from that for those in `places`: the others, which
    train their heads alone, have weight zero and no gradient of the trunk (NaN)."""

    def wide(values: np.ndarray, filling: float) -> np.ndarray:
        found = np.full((tasks,) * values.ndim, filling)
        found[np.ix_(*[places] * values.ndim)] = values
        return found

    return replace(
        record,
        weights=wide(record.weights, 0.0),
        cosines=wide(record.cosines, np.nan),
        gramians={block: wide(gramian, np.nan) for block, gramian in record.gramians.items()},
    )


def gradients_of(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors' gradients themselves; zeros where a tensor has none."""
    return [torch.zeros_like(t) if t.grad is None else t.grad for t in tensors]


def copies_of(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Copies of the tensors' gradients; zeros where a tensor has none."""
    return [torch.zeros_like(t) if t.grad is None else t.grad.clone() for t in tensors]


def differences(sums: list[list[torch.Tensor]]) -> list[list[torch.Tensor]]:
    """From running sums to their terms. The last sum is not touched; the others are used up."""
    if len(sums) == 1:
        return sums
    terms = [*sums[:-1], torch._foreach_sub(sums[-1], sums[-2])]
    for k in range(len(terms) - 2, 0, -1):
        torch._foreach_sub_(terms[k], terms[k - 1])
    return terms
