"""Random loss weighting (Lin et al. 2021), the control that other combiners have to beat."""

from __future__ import annotations

import numpy as np

from weightwise.combine.base import Combiner


class RandomLoss(Combiner):
    """sum_k w_k L_k with w the softmax of K standard normal draws, anew in every step (Lin et al.
    2021, "Reasonable effectiveness of random weighting", algorithm 1 with normal weights).

    The method weights LOSSES, so its weights reach the heads, too, as those of `unitary` do: it is
    `fixed`, needs no separate gradients and costs what addition costs. Draws come from the run's
    generator. Scale: a mean. One task has weight one.
    """

    title = "Random weights"
    fixed = True

    def fixed_weights(self, tasks: int) -> np.ndarray:
        """Weights [K], > 0, sum one: a new draw at every call."""
        draws = self.generator.standard_normal(tasks)
        weights = np.exp(draws - draws.max())
        return weights / weights.sum()

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """A new draw."""
        return self.fixed_weights(len(losses))
