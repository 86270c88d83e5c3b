"""The interface of the Gramian family: weights = combiner(gramian, losses) (SPEC section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np


class Combiner:
    """Turns the Gramian of the task gradients into the weights of the update sum_k w_k g_k.

    Subclasses implement `__call__`; what they remember from step to step is part of `state`, so
    that a run that was stopped goes on as if it had not been. A combiner whose weights never depend
    on gradients sets `fixed`: the engine then needs no separate gradients and gets weights by
    `fixed_weights`. The weights of fixed combiners apply to the heads, too; all others leave a head
    its own gradient.
    """

    fixed = False
    """True: weights are known without gradients."""

    def __init__(self, weights: tuple[float, ...] | None, generator: np.random.Generator):
        """Args: the arm's weights (None where it has none); this run's generator."""
        self.weights = weights
        self.generator = generator

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Weights [K] (float64) of the update.

        Args:
            gramian: [K, K], G_ij = g_i . g_j over the trunk's parameters.
            losses: [K], the tasks' losses in this step.
        """
        raise NotImplementedError

    def fixed_weights(self, tasks: int) -> np.ndarray:
        """Weights [K] of a `fixed` combiner."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Everything that later steps depend on: JSON values and NumPy arrays, by name."""
        return {"generator": self.generator.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave.

        Raises:
            KeyError, TypeError, ValueError: it is no state of this combiner.
        """
        self.generator.bit_generator.state = state["generator"]
