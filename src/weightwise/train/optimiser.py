"""AdamW with decoupled weight decay (Loshchilov and Hutter 2019) on torch's fused kernel.

`torch.optim.AdamW` computes the same (a test holds them together) but costs over a second of
imports, which many short runs would pay each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

Sampler = Callable[[int], np.ndarray]
"""For a tensor of n elements, the places [m] (int64, ascending) of those that move in a step."""


@dataclass
class Group:
    """Parameters that share a learning rate and a weight decay, with their moments and the number
    of their updates: one per tensor, or, with a sampler, one per element. `probing_rate` takes the
    learning rate's place while the encoder is frozen; None: the same."""

    parameters: list[nn.Parameter]
    learning_rate: float
    weight_decay: float
    sampler: Sampler | None = None
    probing_rate: float | None = None
    first: list[torch.Tensor] = field(default_factory=list)
    second: list[torch.Tensor] = field(default_factory=list)
    steps: list[torch.Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        for p in self.parameters:
            self.first.append(torch.zeros_like(p, requires_grad=False))
            self.second.append(torch.zeros_like(p, requires_grad=False))
            shape = () if self.sampler is None else p.shape
            self.steps.append(torch.zeros(shape, dtype=torch.float32, device=p.device))


class AdamW:
    """AdamW over groups of parameters. Parameters without a gradient do not move at all."""

    def __init__(self, beta1: float, beta2: float, epsilon: float):
        """Args: decay of the first and second moment; epsilon in the denominator."""
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.groups: list[Group] = []

    def add(
        self,
        module_parameters: Iterable[tuple[str, nn.Parameter]],
        rate: float,
        decay: float,
        sampler: Sampler | None = None,
        probing_rate: float | None = None,
    ) -> None:
        """Add named parameters; biases and layer norms (one-dimensional) are spared the decay.

        Args:
            module_parameters: names and parameters.
            rate: learning rate.
            decay: decoupled weight decay.
            sampler: asked in every step and for every tensor which elements move; for the others
                nothing changes, neither value nor moments nor decay. None: all move.
            probing_rate: learning rate while the encoder is frozen; None: `rate`.
        """
        named = list(module_parameters)
        for matrices in (True, False):
            chosen = [p for _, p in named if (p.ndim > 1) is matrices]
            if chosen:
                own_decay = decay if matrices else 0.0
                self.groups.append(Group(chosen, rate, own_decay, sampler, probing_rate))

    def step(self, rate_factor: float = 1.0, probing: bool = False) -> None:
        """One update from the parameters' gradients; learning rates times `rate_factor`; `probing`:
        the encoder is frozen."""
        for group in self.groups:
            rate = group.learning_rate
            if probing and group.probing_rate is not None:
                rate = group.probing_rate
            rate *= rate_factor
            live = [i for i, p in enumerate(group.parameters) if p.grad is not None]
            if not live:
                continue
            if group.sampler is not None:
                for i in live:
                    self._sampled_step(group, i, rate)
                continue
            steps = [group.steps[i] for i in live]
            torch._foreach_add_(steps, 1)
            with torch.no_grad():
                torch._fused_adamw_(
                    [group.parameters[i] for i in live],
                    [group.parameters[i].grad for i in live],
                    [group.first[i] for i in live],
                    [group.second[i] for i in live],
                    [],
                    steps,
                    amsgrad=False,
                    lr=rate,
                    beta1=self.beta1,
                    beta2=self.beta2,
                    weight_decay=group.weight_decay,
                    eps=self.epsilon,
                    maximize=False,
                )

    @torch.no_grad()
    def _sampled_step(self, group: Group, i: int, rate: float) -> None:
        """AdamW on the sampled elements of one tensor, gathered into short vectors.

        An element's bias correction counts its own updates: each moves as if the steps that passed
        it over had not been. (Corrected by the number of all steps, an element's first update would
        be (1 - beta1) / sqrt(1 - beta2) times too long, about three times.)
        """
        whole = [group.parameters[i].data, group.first[i], group.second[i], group.steps[i]]
        flat = [tensor.view(-1) for tensor in whole]
        places = torch.from_numpy(group.sampler(flat[0].numel())).to(flat[0].device)
        value, first, second, count = (tensor.index_select(0, places) for tensor in flat)
        gradient = group.parameters[i].grad.reshape(-1).index_select(0, places)
        count += 1
        value.mul_(1.0 - rate * group.weight_decay)
        first.lerp_(gradient, 1.0 - self.beta1)
        second.mul_(self.beta2).addcmul_(gradient, gradient, value=1.0 - self.beta2)
        scale = (second / _correction(self.beta2, count)).sqrt_().add_(self.epsilon)
        value.addcdiv_(first / _correction(self.beta1, count), scale, value=-rate)
        for tensor, part in zip(flat, (value, first, second, count), strict=True):
            tensor.index_copy_(0, places, part)

    def zero(self) -> None:
        """Forget all gradients."""
        for group in self.groups:
            for p in group.parameters:
                p.grad = None


def moments_of(optimiser: AdamW) -> dict[str, torch.Tensor]:
    """The optimiser's memory, which a checkpoint has to hold: its own tensors, by name."""
    return {
        f"optimiser/{g}/{i}/{name}": getattr(group, name)[i]
        for g, group in enumerate(optimiser.groups)
        for i in range(len(group.parameters))
        for name in ("first", "second", "steps")
    }


def _correction(beta: float, count: torch.Tensor) -> torch.Tensor:
    """Bias correction 1 - beta^count, exact for a beta close to one."""
    return -torch.expm1(count * (math.log(beta) if beta > 0 else -math.inf))
