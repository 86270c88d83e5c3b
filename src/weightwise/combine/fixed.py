"""Combiners whose weights do not depend on the gradients."""

from __future__ import annotations

import numpy as np

from weightwise.combine.base import Combiner


class Addition(Combiner):
    """sum_k g_k (pairing paper, section 4.3.1); for a single task, its baseline."""

    title = "Addition"
    fixed = True

    def fixed_weights(self, tasks: int) -> np.ndarray:
        """All ones."""
        return np.ones(tasks)

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """All ones."""
        return self.fixed_weights(len(losses))


class Unitary(Combiner):
    """sum_k alpha_k g_k with alpha on the simplex (pairing paper, section 4.3.1)."""

    title = "Unitary"
    fixed = True
    weighted = True
    equal_weights_as = "addition"

    def fixed_weights(self, tasks: int) -> np.ndarray:
        """The arm's own weights.

        Raises:
            ValueError: they are not `tasks` non-negative numbers that sum to one.
        """
        return self.simplex_weights(tasks)

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """The arm's own weights."""
        return self.fixed_weights(len(losses))
