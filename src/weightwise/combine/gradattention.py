"""GradAttention: attention over the task gradients gives their weights.

Imports torch only when it is built: the registry of combiners is read where torch is not wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from weightwise.combine.base import Combiner

if TYPE_CHECKING:
    from weightwise.combine.attention import Attention


class GradAttention(Combiner):
    """sum_k alpha_k g_k, alpha on the simplex, given by a small transformer over the gradients
    (Yildiz, "GradAttention", section 3). The scale is that of a mean: equal weights are 1 / K.

    Token k: g_k on m coordinates of the trunk, which are drawn once per run, divided by the root
    mean square over all tasks; then log|g_k| and L_k. `attention.Attention` turns the tokens into
    scores, a softmax those into alpha; alpha starts equal.

    The paper does not say how the attention is trained. Here: by the one-step hypergradient. After
    a step along sum_k alpha_k g_k the summed loss has the derivative -eta g_k . G with respect to
    alpha_k, G being the sum of the next step's gradients. Without the rate eta and with g_k and G
    at length one it is minus their cosine, which is propagated back into the attention before the
    next alpha is computed. Our reading of two points: under AdamW the step is not along the
    gradient itself, and the derivative is taken as if it were; and keeping every g_k for a step
    would cost K more gradients of the trunk, so the cosine is that on the m coordinates. It is
    exact where the trunk has no more than m parameters.
    """

    title = "GradAttention"
    reads_gradients = True
    extra_modules = ("combine/attention.py",)

    @dataclass(frozen=True)
    class Options:
        """Options of GradAttention.

        `coordinates`: m, at least 1; `learning_rate` of the attention, above 0; `update`: `all`
        parameters of the trunk in every step or a `sample` of them (the paper, section 3), fresh in
        every step and of the share `sample_fraction`, above 0 and at most 1; heads always move.

        Raises:
            ValueError: a value is out of its range.
        """

        coordinates: int = 4096
        learning_rate: float = 1e-3
        update: Literal["all", "sample"] = "all"
        sample_fraction: float = 0.1

        def __post_init__(self) -> None:
            whole = isinstance(self.coordinates, int) and not isinstance(self.coordinates, bool)
            if not whole or self.coordinates < 1:
                raise ValueError(
                    f"coordinates must be a whole number of at least 1, not {self.coordinates}"
                )
            if not (_is_number(self.learning_rate) and 0 < self.learning_rate < math.inf):
                raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
            if self.update not in ("all", "sample"):
                raise ValueError(f"update must be all or sample, not {self.update}")
            if not (_is_number(self.sample_fraction) and 0 < self.sample_fraction <= 1):
                raise ValueError(
                    f"sample_fraction must be above 0 and at most 1, not {self.sample_fraction}"
                )

    def __init__(
        self,
        weights: tuple[float, ...] | None,
        generator: np.random.Generator,
        options: Any = None,
    ):
        """Args: none, there are no weights to give; this run's generator; options."""
        super().__init__(weights, generator, options)
        self._coordinates: np.ndarray | None = None
        self._attention: Attention | None = None
        # The last step's tokens: what its alpha came from, judged by the next step's gradients.
        self._pending: np.ndarray | None = None

    def coordinates(self, size: int) -> np.ndarray:
        """min(m, size) coordinates, drawn at the first call; see the base class."""
        if self._coordinates is None:
            chosen = min(self.options.coordinates, size)
            drawn = self.generator.choice(size, chosen, replace=False, shuffle=False)
            self._coordinates = np.sort(drawn)
        return self._coordinates

    def sampler(self) -> Callable[[int], np.ndarray] | None:
        """Under `update: sample`, draws each element with probability `sample_fraction`."""
        if self.options.update == "all":
            return None
        return self._sample

    def _sample(self, size: int) -> np.ndarray:
        """Ascending places out of `size`, each with probability `sample_fraction`: the gaps between
        them are geometric, so that only as many numbers are drawn as there are places."""
        share = self.options.sample_fraction
        places = np.zeros(0, dtype=np.int64)
        last = -1
        while last < size - 1:
            left = size - 1 - last
            count = int(left * share + 4 * math.sqrt(left * share) + 8)
            more = last + np.cumsum(self.generator.geometric(share, count))
            places = np.concatenate((places, more))
            last = int(places[-1])
        return places[: np.searchsorted(places, size)]

    def __call__(
        self, gramian: np.ndarray, losses: np.ndarray, gradients: np.ndarray
    ) -> np.ndarray:
        """alpha [K], after the attention has learned from how the last step's went.

        Args:
            gramian, losses: see the base class.
            gradients: the tasks' gradients on `coordinates`, [K, m].
        """
        attention = self._built(gradients.shape[1])
        if self._pending is not None:
            slope = hypergradient(self._pending[:, : gradients.shape[1]], gradients.sum(axis=0))
            attention.learn(self._pending, slope, self.options.learning_rate)
        self._pending = tokens_of(gramian, losses, gradients)
        alpha = attention.weights_of(self._pending)
        return alpha / alpha.sum()

    def _built(self, coordinates: int) -> Attention:
        if self._attention is None:
            from weightwise.combine.attention import Attention

            self._attention = Attention(coordinates, self.generator)
        return self._attention

    def state(self) -> dict[str, Any]:
        """The generator; from the first step on the coordinates, the attention with its moments and
        the tokens of the last step."""
        state = super().state()
        if self._coordinates is not None:
            state["coordinates"] = self._coordinates.copy()
        if self._attention is not None:
            own = self._attention.state()
            state |= {f"attention_{name}": value for name, value in own.items()}
        if self._pending is not None:
            state["tokens"] = self._pending.copy()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave; see the base class for errors."""
        self._coordinates = self._attention = self._pending = None
        if "coordinates" in state:
            self._coordinates = np.array(state["coordinates"], dtype=np.int64)
        own = {
            name.removeprefix("attention_"): value
            for name, value in state.items()
            if name.startswith("attention_")
        }
        if own:
            # Built first, whatever it draws: the generator is restored after it.
            self._built(len(state["coordinates"])).restore(own)
        if "tokens" in state:
            self._pending = np.array(state["tokens"], dtype=np.float32)
        super().restore(state)


def tokens_of(gramian: np.ndarray, losses: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Tokens [K, m + 2] (float32): the gradients [K, m] over their common root mean square, so that
    relative magnitudes stay; log|g_k| over the whole trunk; L_k. Zero gradients stay zero; the
    logarithm stops at that of 1e-12."""
    scale = math.sqrt(np.mean(np.square(gradients)))
    shown = gradients / scale if scale > 0 else gradients
    lengths = np.sqrt(np.diag(gramian)).clip(min=1e-12)
    return np.column_stack((shown, np.log(lengths), losses)).astype(np.float32, order="C")


def hypergradient(previous: np.ndarray, total: np.ndarray) -> np.ndarray:
    """dL/dalpha_k up to the learning rate and the gradients' lengths: minus the cosine of g_k and
    G, [K] in [-1, 1]; 0 where either is zero.

    Args:
        previous: the gradients g_k that alpha weighted, [K, m], in any common scale.
        total: G, the sum of the gradients after that step, [m].
    """
    previous = previous.astype(np.float64)
    lengths = np.sqrt(np.square(previous).sum(axis=1) * np.square(total).sum())
    products = (previous * total).sum(axis=1)
    return -np.divide(products, lengths, out=np.zeros(len(previous)), where=lengths > 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
