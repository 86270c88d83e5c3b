"""PCGrad: projecting conflicting gradients (Yu et al. 2020, algorithm 1)."""

from __future__ import annotations

import numpy as np

from weightwise.combine.base import Combiner


class PCGrad(Combiner):
    """For each task i, for every other task j in random order: where the projected g_i and the
    ORIGINAL g_j point against each other, g_i loses its component along g_j; then the sum.

    Every projected gradient stays in the span of the originals, so the algorithm needs their
    Gramian only: row i of `coefficients` writes the projected g_i in terms of the originals.
    """

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Weights [K]: the column sums of the coefficients. A zero gradient is never projected
        on."""
        tasks = len(gramian)
        coefficients = np.eye(tasks)
        for i in range(tasks):
            others = np.array([j for j in range(tasks) if j != i])
            for j in self.generator.permutation(others) if tasks > 2 else others:
                product = coefficients[i] @ gramian[:, j]
                if product < 0 and gramian[j, j] > 0:
                    coefficients[i, j] -= product / gramian[j, j]
        return coefficients.sum(axis=0)
