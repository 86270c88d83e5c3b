"""AdamW with decoupled weight decay (Loshchilov and Hutter 2019) on torch's fused kernel.

`torch.optim.AdamW` computes the same (a test holds them together) but costs over a second of
imports, which many short runs would pay each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn


@dataclass
class Group:
    """Parameters that share a learning rate and a weight decay, with their moments."""

    parameters: list[nn.Parameter]
    learning_rate: float
    weight_decay: float
    first: list[torch.Tensor] = field(default_factory=list)
    second: list[torch.Tensor] = field(default_factory=list)
    steps: list[torch.Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        for p in self.parameters:
            self.first.append(torch.zeros_like(p, requires_grad=False))
            self.second.append(torch.zeros_like(p, requires_grad=False))
            self.steps.append(torch.zeros((), dtype=torch.float32, device=p.device))


class AdamW:
    """AdamW over groups of parameters. Parameters without a gradient do not move at all."""

    def __init__(self, beta1: float, beta2: float, epsilon: float):
        """Args: decay of the first and second moment; epsilon in the denominator."""
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.groups: list[Group] = []

    def add(
        self, module_parameters: Iterable[tuple[str, nn.Parameter]], rate: float, decay: float
    ) -> None:
        """Add named parameters; biases and layer norms (one-dimensional) are spared the decay."""
        named = list(module_parameters)
        for matrices in (True, False):
            chosen = [p for _, p in named if (p.ndim > 1) is matrices]
            if chosen:
                self.groups.append(Group(chosen, rate, decay if matrices else 0.0))

    def step(self, rate_factor: float = 1.0) -> None:
        """One update from the parameters' gradients; learning rates times `rate_factor`."""
        for group in self.groups:
            live = [i for i, p in enumerate(group.parameters) if p.grad is not None]
            if not live:
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
                    lr=group.learning_rate * rate_factor,
                    beta1=self.beta1,
                    beta2=self.beta2,
                    weight_decay=group.weight_decay,
                    eps=self.epsilon,
                    maximize=False,
                )

    def zero(self) -> None:
        """Forget all gradients."""
        for group in self.groups:
            for p in group.parameters:
                p.grad = None
