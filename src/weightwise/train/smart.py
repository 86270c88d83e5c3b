"""SMART: smoothness-inducing regularisation and proximal steps.

Jiang et al. 2020, "SMART: Robust and Efficient Fine-Tuning for Pre-trained Natural Language Models
through Principled Regularized Optimization", sections 3.1 to 3.3 and algorithm 1; used by bertram,
section 3.2. To the loss L of a task's batch of n examples it adds

    weight    * (1/n) sum_i l(f(x_i + d_i; theta), f(x_i; theta))      smoothness
    proximal  * (1/n) sum_i l(f(x_i; theta), f(x_i; theta_average))    the Bregman divergence

with l the `divergences` below, x the word embeddings, d the worst perturbation within epsilon that
one step finds, and theta_average an exponential moving average of all weights. Every pass sees the
dropout masks of the task's own pass, so that the terms measure d and the weights and nothing else.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import nn

from weightwise.config.training import SmartConfig
from weightwise.data.batches import Batch
from weightwise.model.heads import Target
from weightwise.model.linear import fp32_products, set_product_dtype
from weightwise.model.multitask import MultiTaskModel
from weightwise.seeding import seed_for

TERMS = ("smoothness", "proximal")


class Smart:
    """The losses of a model's tasks with SMART's terms, for the tasks that have them.

    Beyond the parameters it holds the average of the weights and one generator per task, which a
    checkpoint has to hold, too.
    """

    def __init__(
        self, model: MultiTaskModel, keys: SmartConfig, generators: Mapping[str, torch.Generator]
    ):
        """Args: the model with its first weights, where the average starts; the keys; of every task
        that has the terms the source of its perturbations' starts."""
        self.model = model
        self.keys = keys
        self.generators = dict(generators)
        self.average: MultiTaskModel | None = None
        if keys.proximal > 0:
            self.average = copy.deepcopy(model).requires_grad_(False)
            set_product_dtype(self.average.encoder, bf16=False)
        # (rows, terms [2]) of every batch of the step, by task.
        self._found: dict[str, list[tuple[int, torch.Tensor]]] = {}

    @torch.no_grad()
    def start_step(self) -> None:
        """Let the average follow the weights: theta_average <- decay * theta_average + (1 - decay)
        * theta.

        Before a step and not after the last one: whoever moves the weights between two steps need
        not know. Before the first step, and after `restart`, both are equal, and nothing changes.
        """
        self._found = {}
        if self.average is not None:
            weights = list(self.model.parameters())
            torch._foreach_lerp_(list(self.average.parameters()), weights, 1.0 - self.keys.decay)

    @torch.no_grad()
    def restart(self) -> None:
        """Begin the average anew with the weights of now, where steps without SMART came before:
        the proximal term would pull back to weights from before them."""
        if self.average is not None:
            pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for average, weight in pairs:
                average.copy_(weight)

    def loss(
        self,
        task: str,
        batch: Batch,
        generator: torch.Generator,
        words: torch.Tensor,
        detach: bool = False,
    ) -> torch.Tensor:
        """Mean loss of a task's batch with SMART's terms (scalar, fp32).

        The task's own loss is what `MultiTaskModel.loss` gives, dropout included, and the
        generator's state afterwards is the same: of the run's randomness nothing else changes. The
        terms are computed in fp32, in a run in bf16, too: there a perturbation of 1e-5 would be
        rounded away.

        Args:
            task: name of the task; without the terms, this is `MultiTaskModel.loss`.
            batch: n examples.
            generator: source of dropout.
            words: word embeddings [N, H] of the batch's tokens.
            detach: train the head alone, see `MultiTaskModel.outputs`.
        """
        if task not in self.generators:
            return self.model.loss(task, batch, generator, words, detach)
        state, target = generator.get_state(), self.model.targets[task]

        def outputs(model: MultiTaskModel, words: torch.Tensor | None, detach: bool = detach):
            generator.set_state(state)
            return model.outputs(task, batch, generator, words, detach)

        clean = outputs(self.model, words)
        loss = target.loss(clean, batch.labels)
        terms = torch.full((2,), torch.nan, dtype=torch.float64, device=loss.device)
        with fp32_products(self.model.encoder) as narrow:
            if narrow:
                clean = outputs(self.model, words)
            if self.keys.weight > 0:

                def moved_by(d: torch.Tensor) -> torch.Tensor:
                    return divergences(
                        target, outputs(self.model, words.detach() + d, False), clean.detach()
                    )

                d = self._perturbation(task, batch, words, moved_by)
                moved = outputs(self.model, words + d)
                smoothness = divergences(target, moved, clean).mean()
                terms[0] = smoothness.detach()
                loss = loss + self.keys.weight * smoothness.to(loss.dtype)
        if self.average is not None:
            with torch.no_grad():
                # The average has word embeddings of its own.
                before = outputs(self.average, None)
            proximal = divergences(target, clean, before).mean()
            terms[1] = proximal.detach()
            loss = loss + self.keys.proximal * proximal.to(loss.dtype)
        self._found.setdefault(task, []).append((len(batch.labels), terms))
        return loss

    def terms(self, tasks: list[str]) -> dict[str, np.ndarray]:
        """`smoothness` and `proximal` of the step's batches, [K] float64 each, before their
        weights; NaN where a task has none or where its weight is zero."""
        missing = torch.full((2,), torch.nan, dtype=torch.float64)
        means = []
        for task in tasks:
            found = self._found.get(task)
            if not found:
                means.append(missing.to(next(self.model.parameters()).device))
                continue
            rows = sum(count for count, _ in found)
            means.append(sum(terms * (count / rows) for count, terms in found))
        # Rounding can leave the divergence of two equal distributions just below zero.
        values = torch.stack(means).clamp_min(0.0).cpu().numpy()
        return dict(zip(TERMS, values.T, strict=True))

    def state(self) -> dict[str, torch.Tensor]:
        """What its further course depends on, by name: the average, the generators."""
        average = {} if self.average is None else self.average.state_dict()
        return {f"average/{name}": tensor for name, tensor in average.items()} | {
            f"noise/{task}": generator.get_state() for task, generator in self.generators.items()
        }

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on where `state` was taken."""
        if self.average is not None:
            names = self.average.state_dict()
            self.average.load_state_dict({name: state[f"average/{name}"] for name in names})
        for task, generator in self.generators.items():
            generator.set_state(state[f"noise/{task}"].cpu())

    def _perturbation(
        self,
        task: str,
        batch: Batch,
        words: torch.Tensor,
        moved_by: Callable[[torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        """d [N, H] of a batch: one step of `ascend` from N(0, sigma^2), zero at fillers.

        Args:
            words: word embeddings [N, H].
            moved_by: from a perturbation to the divergences [n] of the outputs.
        """
        packed, count = batch.packed, len(batch.labels)
        real = (packed.rows < packed.sequences).unsqueeze(1)
        start = self._start(task, words).mul_(real).requires_grad_()
        # The parameters' gradients would be computed, and thrown away.
        with frozen(self.model):
            (gradient,) = torch.autograd.grad(moved_by(start).sum(), start)
        # The sequences of siamese pairs are all first texts, then all second.
        examples = packed.rows % count
        d = ascend(
            start.detach(), gradient, examples, count, self.keys.step_size, self.keys.epsilon
        )
        return d * real

    def _start(self, task: str, words: torch.Tensor) -> torch.Tensor:
        """Where the search for a batch's perturbation starts, [N, H], drawn from N(0, sigma^2)."""
        start = torch.empty_like(words, requires_grad=False)
        return start.normal_(0.0, self.keys.sigma, generator=self.generators[task])


def make_smart(
    model: MultiTaskModel, keys: SmartConfig | None, study_seed: int, seed: int
) -> Smart | None:
    """SMART for a run's model as the configuration has it; None where no task of the run has it.

    Args:
        model: the model with its first weights, on its device.
        keys: `training.smart`.
        study_seed, seed: a task's perturbations start the same in every arm with these seeds.
    """
    tasks = [t for t in model.heads if keys is not None and (not keys.tasks or t in keys.tasks)]
    if not tasks:
        return None
    device = next(model.parameters()).device
    generators = {
        task: torch.Generator(device).manual_seed(seed_for(study_seed, seed, f"smart:{task}"))
        for task in tasks
    }
    return Smart(model, keys, generators)


def divergences(target: Target, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """l(one, other) of every example, [n], in double precision.

    Classes: the symmetrised Kullback-Leibler divergence KL(p|q) + KL(q|p) = sum (p - q)(log p -
    log q); for a binary task, of the two classes. Regression: the squared difference in the
    labels' units. A perturbation of 1e-5 gives values far below the rounding of fp32's logarithms,
    hence the double precision; in this form nothing cancels.

    Args:
        target: what the outputs mean.
        one, other: outputs [n, outputs] of a head.
    """
    a, b = one.double(), other.double()
    if target.kind == "binary":
        return ((torch.sigmoid(a) - torch.sigmoid(b)) * (a - b)).squeeze(-1)
    if target.kind == "classification" or target.by_classes:
        return ((a.softmax(-1) - b.softmax(-1)) * (a.log_softmax(-1) - b.log_softmax(-1))).sum(-1)
    return (target.values(a) - target.values(b)).square()


def ascend(
    start: torch.Tensor,
    gradient: torch.Tensor,
    examples: torch.Tensor,
    count: int,
    step_size: float,
    epsilon: float,
) -> torch.Tensor:
    """One projected step upwards (Jiang et al. 2020, algorithm 1, inner loop).

    The gradient of an example is divided by its largest absolute element, as in the paper; raw, it
    is proportional to the start and would move nothing. The projection onto the ball of the maximum
    norm is a clamp of every element: it leaves the directions that lie inside as they are, whereas
    dividing by the norm, as widespread code does, puts d far outside of any small ball.

    Args:
        start: where the step starts [N, H].
        gradient: at the start [N, H].
        examples: the example of every token [N], 0 to count - 1.
        count: number of examples.
        step_size: length of the step in the maximum norm.
        epsilon: radius of the ball.

    Returns:
        [N, H], every element within [-epsilon, epsilon].
    """
    largest = gradient.new_zeros(count)
    largest.scatter_reduce_(0, examples, gradient.abs().amax(dim=1), "amax")
    # An example whose outputs do not depend on d (a ReLU output at rest) stays where it is.
    largest.clamp_(min=torch.finfo(gradient.dtype).tiny)
    direction = gradient / largest.index_select(0, examples).unsqueeze(1)
    return (start + step_size * direction).clamp_(-epsilon, epsilon)


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Passes inside leave the parameters without gradients; graphs from outside keep theirs."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
