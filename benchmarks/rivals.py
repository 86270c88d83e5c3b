"""PCGrad steps as others compute them, on our model: what `benchmarks/combiners.py` compares with.

A module, not a script: its figures are two rows of what combiners.py prints.

Both get the rows of the word embeddings that a step uses (engine.StepBatches) in place of the whole
table, so that only the way of combining differs; with the table they would be slower still.
"""

from __future__ import annotations

import copy
import random

import torch

from weightwise.data.batches import Batch
from weightwise.model.multitask import MultiTaskModel
from weightwise.train.engine import StepBatches


class Rival:
    """Computes every task's loss with the features that its head reads."""

    def __init__(self, model: MultiTaskModel, generators: dict[str, torch.Generator]):
        """Args: the model; every task's source of dropout."""
        self.model = model
        self.generators = generators
        self.table = model.encoder.word_embeddings.weight
        self.trunk = [p for _, p in model.trunk_parameters() if p is not self.table]
        self.features: list[torch.Tensor] = []
        represent = model.encoder.represent

        def watched(*arguments):
            self.features.append(represent(*arguments))
            return self.features[-1]

        model.encoder.represent = watched

    def losses(self, given: StepBatches) -> list[torch.Tensor]:
        """One loss per task; `features` holds what the heads read."""
        self.features.clear()
        found = []
        for task in given.parts:
            ((batch, words, _),) = given.of(task)
            found.append(self.model.loss(task, batch, self.generators[task], words))
        return found

    def step(self, batches: dict[str, Batch]) -> None:
        """Set every parameter's `.grad`."""
        given = StepBatches(self.table, batches)
        self.combine(given, [given.rows, *self.trunk])
        self.table.grad = torch.zeros_like(self.table)
        self.table.grad.index_copy_(0, given.used, given.rows.grad)

    def combine(self, given: StepBatches, shared: list[torch.Tensor]) -> None:
        """Set `.grad` of the shared tensors and of the heads."""
        raise NotImplementedError


class TorchJD(Rival):
    """torchjd's engine: Jacobians through the shared features, one task at a time (in parallel it
    would need vmap, which measured slower)."""

    def combine(self, given: StepBatches, shared: list[torch.Tensor]) -> None:
        """`mtl_backward`, then its PCGrad."""
        from torchjd.aggregation import PCGrad
        from torchjd.autojac import jac_to_grad, mtl_backward

        losses = self.losses(given)
        mtl_backward(
            losses,
            features=self.features,
            tasks_params=[list(self.model.heads[task].parameters()) for task in given.parts],
            shared_params=shared,
            parallel_chunk_size=1,
        )
        jac_to_grad(shared, PCGrad())


class Port(Rival):
    """The bookkeeping of the popular port (Wei-Cheng Tseng, Pytorch-PCGrad), faults included: every
    loss's gradient of every parameter, heads among them, copied into one flat vector with a mask;
    projections on whole vectors, also of a gradient on itself; shared entries averaged."""

    def combine(self, given: StepBatches, shared: list[torch.Tensor]) -> None:
        """Flatten, project, merge, unflatten."""
        everything = shared + [p for head in self.model.heads.values() for p in head.parameters()]
        flat, present = [], []
        for loss in self.losses(given):
            for parameter in everything:
                parameter.grad = None
            loss.backward(retain_graph=True)
            gradients, masks = [], []
            for parameter in everything:
                if parameter.grad is None:
                    gradients.append(torch.zeros_like(parameter))
                    masks.append(torch.zeros_like(parameter))
                else:
                    gradients.append(parameter.grad.clone())
                    masks.append(torch.ones_like(parameter))
            flat.append(torch.cat([g.detach().flatten() for g in gradients]))
            present.append(torch.cat([m.detach().flatten() for m in masks]))
        common = torch.stack(present).prod(0).bool()
        projected = copy.deepcopy(flat)
        for one in projected:
            random.shuffle(flat)
            for other in flat:
                product = torch.dot(one, other)
                if product < 0:
                    one -= product * other / other.norm() ** 2
        merged = torch.zeros_like(flat[0])
        merged[common] = torch.stack([g[common] for g in projected]).mean(dim=0)
        merged[~common] = torch.stack([g[~common] for g in projected]).sum(dim=0)
        place = 0
        for parameter in everything:
            parameter.grad = merged[place : place + parameter.numel()].view(parameter.shape)
            place += parameter.numel()
