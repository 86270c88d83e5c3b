"""The attention of GradAttention: from one token per task to one score per task."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

WIDTH = 64
HEADS = 4
FEED_FORWARD = 2 * WIDTH
LAYERS = 2
SCALARS = 2
"""Features of a token beside its coordinates: log|g_k| and L_k."""


def tensor_of(values: np.ndarray) -> torch.Tensor:
    """A copy, fp32, row by row and in torch's own memory: the last bit of a product depends on the
    layout of its factors (and may on their alignment), and a run that was stopped must go on to the
    bit."""
    rows = np.ascontiguousarray(values, dtype=np.float32)
    return torch.from_numpy(rows).clone()


def _shapes(features: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters, in the order in which they lie in one vector."""
    shapes: dict[str, tuple[int, ...]] = {
        "embed.weight": (WIDTH, features),
        "embed.bias": (WIDTH,),
    }
    for k in range(LAYERS):
        shapes |= {
            f"{k}.query_key_value.weight": (3 * WIDTH, WIDTH),
            f"{k}.output.weight": (WIDTH, WIDTH),
            f"{k}.output.bias": (WIDTH,),
            f"{k}.attention_norm.weight": (WIDTH,),
            f"{k}.attention_norm.bias": (WIDTH,),
            f"{k}.expand.weight": (FEED_FORWARD, WIDTH),
            f"{k}.expand.bias": (FEED_FORWARD,),
            f"{k}.contract.weight": (WIDTH, FEED_FORWARD),
            f"{k}.contract.bias": (WIDTH,),
            f"{k}.feed_forward_norm.weight": (WIDTH,),
            f"{k}.feed_forward_norm.bias": (WIDTH,),
        }
    return shapes | {"score.weight": (1, WIDTH)}


class Attention:
    """Two transformer-encoder layers over K tokens (gradattention, section 4.2).

    A linear map to width 64, then twice self-attention and feed-forward, each with its residual and
    layer norm after it; one scalar per token. Tasks are told apart by their gradients alone: the
    tokens have no positions. All parameters lie in one vector, so that an update of Adam is a
    handful of operations, and so that a checkpoint is three arrays.
    """

    def __init__(self, coordinates: int, generator: np.random.Generator):
        """Args: m coordinates of a token; draws the first weights. The last map starts at zero, so
        that all scores start equal."""
        self.coordinates = coordinates
        self.shapes = _shapes(coordinates + SCALARS)
        drawn = [self._first(name, shape, generator) for name, shape in self.shapes.items()]
        flat = np.concatenate([values.reshape(-1) for values in drawn]).astype(np.float32)
        self.parameters = tensor_of(flat).requires_grad_()
        self.first = torch.zeros(len(flat))
        self.second = torch.zeros(len(flat))
        self.updates = 0

    def _first(
        self, name: str, shape: tuple[int, ...], generator: np.random.Generator
    ) -> np.ndarray:
        if name == "score.weight" or name.endswith(".bias"):
            return np.zeros(shape)
        if name.endswith("norm.weight"):
            return np.ones(shape)
        weights = generator.standard_normal(shape) / math.sqrt(shape[1])
        if name == "embed.weight":
            # Coordinates have a root mean square of one: all of them together, log|g_k| and L_k
            # each move the embedding by about as much.
            weights[:, -SCALARS:] *= math.sqrt(shape[1])
        return weights

    def scores(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens [K, m + 2] to scores [K]."""
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        pieces = self.parameters.split(sizes)
        w = {n: p.view(s) for (n, s), p in zip(self.shapes.items(), pieces, strict=True)}
        x = F.linear(tokens, w["embed.weight"], w["embed.bias"])
        for k in range(LAYERS):

            def affine(part: str, x: torch.Tensor, k: int = k) -> torch.Tensor:
                return F.linear(x, w[f"{k}.{part}.weight"], w[f"{k}.{part}.bias"])

            def norm(part: str, x: torch.Tensor, k: int = k) -> torch.Tensor:
                return F.layer_norm(x, (WIDTH,), w[f"{k}.{part}.weight"], w[f"{k}.{part}.bias"])

            # Without biases: that of the keys shifts all scores of a query alike, so its gradient
            # would be rounding alone, which Adam scales up.
            grouped = F.linear(x, w[f"{k}.query_key_value.weight"]).view(
                len(x), 3, HEADS, WIDTH // HEADS
            )
            query, key, value = grouped.permute(1, 2, 0, 3)
            match = (query @ key.transpose(1, 2) / math.sqrt(WIDTH // HEADS)).softmax(-1)
            mixed = (match @ value).transpose(0, 1).reshape(len(x), WIDTH)
            x = norm("attention_norm", x + affine("output", mixed))
            fed = affine("contract", F.gelu(affine("expand", x)))
            x = norm("feed_forward_norm", x + fed)
        return F.linear(x, w["score.weight"]).squeeze(-1)

    def weights(self, tokens: torch.Tensor) -> torch.Tensor:
        """alpha [K], softmax of the scores."""
        return self.scores(tokens).softmax(0)

    @torch.no_grad()
    def weights_of(self, tokens: np.ndarray) -> np.ndarray:
        """alpha [K] (float64) of tokens [K, m + 2]."""
        return self.weights(tensor_of(tokens)).double().numpy()

    def learn(self, tokens: np.ndarray, slope: np.ndarray, rate: float) -> None:
        """One update of Adam (Kingma and Ba 2015; betas 0.9, 0.999, epsilon 1e-8).

        Args:
            tokens: those that gave alpha, [K, m + 2].
            slope: dL/dalpha, [K].
            rate: learning rate.
        """
        with torch.enable_grad():
            gain = self.weights(tensor_of(tokens)) @ tensor_of(slope)
            (gradient,) = torch.autograd.grad(gain, self.parameters)
        self.updates += 1
        self.first.lerp_(gradient, 0.1)
        self.second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        scale = (self.second / (1.0 - 0.999**self.updates)).sqrt_().add_(1e-8)
        step = rate / (1.0 - 0.9**self.updates)
        with torch.no_grad():
            self.parameters.addcdiv_(self.first, scale, value=-step)

    def state(self) -> dict[str, np.ndarray | int]:
        """Parameters, both moments and the number of updates."""
        return {
            "parameters": self.parameters.detach().numpy().copy(),
            "first": self.first.numpy().copy(),
            "second": self.second.numpy().copy(),
            "updates": self.updates,
        }

    def restore(self, state: dict[str, np.ndarray | int]) -> None:
        """Go on from what `state` gave.

        Raises:
            KeyError, TypeError, ValueError: it is no state of this attention.
        """
        found = {
            name: np.asarray(state[name], np.float32) for name in ("parameters", "first", "second")
        }
        for name, values in found.items():
            if values.shape != (len(self.parameters),):
                raise ValueError(f"attention: {name} has shape {values.shape}")
        self.parameters = tensor_of(found["parameters"]).requires_grad_()
        self.first = tensor_of(found["first"])
        self.second = tensor_of(found["second"])
        self.updates = int(state["updates"])
