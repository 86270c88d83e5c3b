"""PCGrad: projecting conflicting gradients (Yu et al. 2020, algorithm 1)."""

from __future__ import annotations

import numpy as np

from weightwise.combine.base import Combiner


class PCGrad(Combiner):
    """For each task i, for every other task j in random order: where the projected g_i and the
    ORIGINAL g_j point against each other, g_i loses its component along g_j; then the sum.

    Every projected gradient stays in the span of the originals, so the algorithm needs their
    Gramian only: row i of `projections` writes the projected g_i in terms of the originals.
    """

    title = "PCGrad"

    def projections(self, gramian: np.ndarray) -> np.ndarray:
        """Coefficients [K, K]: the projected g_i is sum_j c_ij g_j. A zero gradient is never
        projected on."""
        tasks = len(gramian)
        coefficients = np.eye(tasks)
        for i in range(tasks):
            others = np.array([j for j in range(tasks) if j != i])
            for j in self.generator.permutation(others) if tasks > 2 else others:
                product = coefficients[i] @ gramian[:, j]
                if product < 0 and gramian[j, j] > 0:
                    coefficients[i, j] -= product / gramian[j, j]
        return coefficients

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Weights [K]: the sum of the projected gradients."""
        return self.projections(gramian).sum(axis=0)
