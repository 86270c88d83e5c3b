"""Prediction heads, losses and read-outs of the tasks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from weightwise.model.dropout import dropout
from weightwise.model.similarity import (
    expected_label,
    graded_cosine_loss,
    logits_with_mean,
    rounded_label_loss,
    two_class_cosine_loss,
)

HEADS = ("hidden", "linear", "tanh2")
COSINE_SLOPE = 10.0
"""Of a binary task's first logit over the cosine: a tenth as temperature, as contrastive losses
have it."""


class Head(nn.Module):
    """From a representation [B, width] to outputs [B, classes] or [B, 1].

    `hidden` (pairing, figure 1): dropout, linear to H, ReLU, dropout, linear.
    `linear` (bertram, mlm, simcse): dropout, linear.
    `tanh2` (gradattention "medium"): dropout, linear to H, tanh, linear.

    With `cosine` (bertram, section 3.1) the representations of both sentences, [2B, width], go
    through the same layers but the last, and what the last layer sees is the cosine of the two
    vectors. Where the cosine itself is wanted there is no last layer.
    """

    def __init__(
        self,
        kind: str,
        width: int,
        hidden: int,
        outputs: int | None,
        p: float,
        generator: torch.Generator,
        cosine: bool = False,
    ):
        """Build and initialise.

        Args:
            kind: one of HEADS.
            width: width of the representation.
            hidden: width H between two layers.
            outputs: number of outputs; None, with `cosine` only: the cosine itself.
            p: dropout probability.
            generator: draws the first weights, uniform in +-1/sqrt(width) as `nn.Linear` does.
            cosine: compare the two sentences of a pair. A single output, a binary task's logit,
                starts as COSINE_SLOPE * (cosine - 1/2).
        """
        super().__init__()
        if kind not in HEADS:
            raise ValueError(f"unknown head '{kind}'")
        if outputs is None and not cosine:
            raise ValueError("a head without `cosine` needs a number of outputs")
        self.kind = kind
        self.p = p
        self.cosine = cosine
        self.between = None if kind == "linear" else nn.Linear(width, hidden)
        seen = 1 if cosine else width if kind == "linear" else hidden
        self.last = None if outputs is None else nn.Linear(seen, outputs)
        for layer in (self.between, self.last):
            if layer is not None:
                bound = 1.0 / math.sqrt(layer.in_features)
                for parameter in layer.parameters():
                    with torch.no_grad():
                        parameter.uniform_(-bound, bound, generator=generator)
        if cosine and outputs == 1:
            # A drawn sign could teach the encoder that equal sentences are opposites. A slope of
            # one would keep all probabilities between 0.27 and 0.73: at fine-tuning rates a single
            # weight and bias hardly leave where they start, and one class would always win.
            nn.init.constant_(self.last.weight, COSINE_SLOPE)
            nn.init.constant_(self.last.bias, -COSINE_SLOPE / 2)

    def forward(self, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """[B, width] -> [B, outputs]; `generator=None`: no dropout.

        With `cosine` [2B, width], all first sentences and then all second, -> [B, outputs].
        """
        x = dropout(x, self.p, generator)
        if self.kind == "hidden":
            x = dropout(F.relu(self.between(x)), self.p, generator)
        elif self.kind == "tanh2":
            x = torch.tanh(self.between(x))
        if self.cosine:
            first, second = x.chunk(2)
            x = F.cosine_similarity(first, second, dim=1).unsqueeze(1)
        return x if self.last is None else self.last(x)


class Target:
    """What a head's outputs mean for one kind of task: its loss, its predictions."""

    def __init__(
        self,
        kind: str,
        output: str = "relu",
        low: float = 0.0,
        high: float = 1.0,
        loss: str = "mse",
        cosine: bool = False,
        classes: int | None = None,
    ):
        """Settle how outputs are read.

        Args:
            kind: kind of task.
            output: regression: function of the output; unused where the output is a cosine or
                class logits.
            low, high: regression: the label range.
            loss: regression: `mse`, `mse_normalised` (of labels and predictions as shares of the
                range), `cosine_embedding_graded`, `cosine_embedding_two_class` or `cross_entropy`
                (over the whole labels of the range); see `model.similarity`.
            cosine: the decoder is the cosine of the two sentence vectors.
            classes: classification: number of classes.
        """
        self.kind = kind
        self.output = output
        self.low = low
        self.high = high
        self.similarity_loss = loss if kind == "regression" else None
        self.normalised = self.similarity_loss == "mse_normalised"
        self.by_classes = self.similarity_loss == "cross_entropy"
        self.reads_cosine = cosine and kind == "regression" and not self.by_classes
        self.outputs: int | None = 1
        """Number of outputs that the head needs; None: the cosine itself."""
        if kind == "classification":
            self.outputs = classes
        elif self.by_classes:
            self.outputs = round(high - low) + 1
        elif self.reads_cosine:
            self.outputs = None

    def values(self, outputs: torch.Tensor) -> torch.Tensor:
        """Regression: outputs [B, 1], or logits [B, classes], to labels' units [B].

        A cosine is read as its share of the label range; below 0 it lies below the range.
        """
        if self.by_classes:
            return expected_label(outputs, self.low)
        if self.normalised:
            return self.low + (self.high - self.low) * self.shares(outputs)
        x = outputs.squeeze(-1)
        if self.reads_cosine:
            return self.low + (self.high - self.low) * x
        if self.output == "relu":
            return self.low + F.relu(x)
        if self.output == "sigmoid":
            return self.low + (self.high - self.low) * torch.sigmoid(x)
        return x

    def shares(self, outputs: torch.Tensor) -> torch.Tensor:
        """`mse_normalised`: outputs [B, 1] to places in the label range [B], low at 0, high at 1.

        Labels of another unit have the same places, so the run is the same but for rounding.
        """
        x = outputs.squeeze(-1)
        if self.reads_cosine or self.output == "identity":
            return x
        return F.relu(x) if self.output == "relu" else torch.sigmoid(x)

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch. labels [B]: class numbers or real labels, fp32."""
        if self.kind == "classification":
            return F.cross_entropy(outputs, labels.long())
        if self.kind == "binary":
            return F.binary_cross_entropy_with_logits(outputs.squeeze(-1), labels)
        if self.by_classes:
            return rounded_label_loss(outputs, labels, self.low, self.high)
        if self.similarity_loss == "cosine_embedding_graded":
            return graded_cosine_loss(outputs.squeeze(-1), labels, self.low, self.high)
        if self.similarity_loss == "cosine_embedding_two_class":
            return two_class_cosine_loss(outputs.squeeze(-1), labels, self.low, self.high)
        if self.normalised:
            return F.mse_loss(self.shares(outputs), (labels - self.low) / (self.high - self.low))
        return F.mse_loss(self.values(outputs), labels)

    def predict(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Predictions [B] and, for classes, the probability [B] of the predicted class.

        Cosines and expectations are kept inside the label range.
        """
        if self.kind == "regression":
            values = self.values(outputs)
            if self.reads_cosine or self.by_classes:
                values = values.clamp(self.low, self.high)
            return values, None
        if self.kind == "classification":
            confidence, prediction = outputs.softmax(-1).max(-1)
            return prediction.float(), confidence
        yes = torch.sigmoid(outputs.squeeze(-1))
        return (yes >= 0.5).float(), torch.maximum(yes, 1 - yes)

    def start_at(self, head: Head, mean: float) -> None:
        """Regression: set the last bias so that the first predictions lie at the label mean.

        A ReLU output whose bias starts at zero can start dead and never learn.
        The cosine itself has no bias: its predictions start where the encoder puts the sentences.
        """
        if self.kind != "regression" or head.last is None:
            return
        with torch.no_grad():
            if self.by_classes:
                head.last.bias.copy_(logits_with_mean(self.outputs, mean - self.low))
                if head.cosine:
                    # A higher cosine means a higher label from the start, whatever was drawn.
                    head.last.weight.copy_(torch.linspace(-1, 1, self.outputs).unsqueeze(1))
            else:
                head.last.bias.fill_(self._bias(mean))

    def _bias(self, mean: float) -> float:
        if self.normalised and self.output != "sigmoid":
            return (mean - self.low) / (self.high - self.low)
        if self.output == "relu":
            return mean - self.low
        if self.output == "sigmoid":
            share = min(max((mean - self.low) / (self.high - self.low), 1e-3), 1 - 1e-3)
            return math.log(share / (1 - share))
        return mean
