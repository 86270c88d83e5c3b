"""Prediction heads, losses and read-outs of the tasks (SPEC sections 1 and 2)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from weightwise.model.dropout import dropout

HEADS = ("hidden", "linear", "tanh2")


class Head(nn.Module):
    """From a representation [B, width] to outputs [B, classes] or [B, 1].

    `hidden` (pairing, figure 1): dropout, linear to H, ReLU, dropout, linear.
    `linear` (bertram, mlm, simcse): dropout, linear.
    `tanh2` (gradattention "medium"): dropout, linear to H, tanh, linear.
    """

    def __init__(
        self,
        kind: str,
        width: int,
        hidden: int,
        outputs: int,
        p: float,
        generator: torch.Generator,
    ):
        """Build and initialise.

        Args:
            kind: one of HEADS.
            width: width of the representation.
            hidden: width H between two layers.
            outputs: number of outputs.
            p: dropout probability.
            generator: draws the first weights, uniform in +-1/sqrt(width) as `nn.Linear` does.
        """
        super().__init__()
        if kind not in HEADS:
            raise ValueError(f"unknown head '{kind}'")
        self.kind = kind
        self.p = p
        self.between = None if kind == "linear" else nn.Linear(width, hidden)
        self.last = nn.Linear(width if kind == "linear" else hidden, outputs)
        for layer in (self.between, self.last):
            if layer is not None:
                bound = 1.0 / math.sqrt(layer.in_features)
                for parameter in layer.parameters():
                    with torch.no_grad():
                        parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """[B, width] -> [B, outputs]; `generator=None`: no dropout."""
        x = dropout(x, self.p, generator)
        if self.kind == "hidden":
            x = dropout(F.relu(self.between(x)), self.p, generator)
        elif self.kind == "tanh2":
            x = torch.tanh(self.between(x))
        return self.last(x)


class Target:
    """What a head's outputs mean for one kind of task: its loss, its predictions."""

    def __init__(self, kind: str, output: str = "relu", low: float = 0.0, high: float = 1.0):
        """Args: kind of task; for regression the output function and the label range."""
        self.kind = kind
        self.output = output
        self.low = low
        self.high = high

    def values(self, outputs: torch.Tensor) -> torch.Tensor:
        """Regression: outputs [B, 1] to labels' units [B]."""
        x = outputs.squeeze(-1)
        if self.output == "relu":
            return self.low + F.relu(x)
        if self.output == "sigmoid":
            return self.low + (self.high - self.low) * torch.sigmoid(x)
        return x

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch. labels [B]: class numbers or real labels, fp32."""
        if self.kind == "classification":
            return F.cross_entropy(outputs, labels.long())
        if self.kind == "binary":
            return F.binary_cross_entropy_with_logits(outputs.squeeze(-1), labels)
        return F.mse_loss(self.values(outputs), labels)

    def predict(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Predictions [B] and, for classes, the probability [B] of the predicted class."""
        if self.kind == "regression":
            return self.values(outputs), None
        if self.kind == "classification":
            confidence, prediction = outputs.softmax(-1).max(-1)
            return prediction.float(), confidence
        yes = torch.sigmoid(outputs.squeeze(-1))
        return (yes >= 0.5).float(), torch.maximum(yes, 1 - yes)

    def start_at(self, head: Head, mean: float) -> None:
        """Regression: set the last bias so that the first predictions lie at the label mean.

        A ReLU output whose bias starts at zero can start dead and never learn (SPEC section 2).
        """
        if self.kind != "regression":
            return
        if self.output == "relu":
            bias = mean - self.low
        elif self.output == "sigmoid":
            share = min(max((mean - self.low) / (self.high - self.low), 1e-3), 1 - 1e-3)
            bias = math.log(share / (1 - share))
        else:
            bias = mean
        with torch.no_grad():
            head.last.bias.fill_(bias)
