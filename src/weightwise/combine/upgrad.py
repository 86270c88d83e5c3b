"""UPGrad: unconflicting projection of gradients (Quinton and Rey 2024)."""

from __future__ import annotations

import numpy as np

from weightwise.combine.base import Combiner
from weightwise.combine.cone import dual_cone_projection, vectors_of


class UPGrad(Combiner):
    """(1/K) sum_k P(g_k), P the projection onto the dual cone {d: d . g_j >= 0 for every j}
    (Quinton and Rey 2024, "Jacobian descent for multi-objective optimization").

    Where no gradients conflict it is their mean; it never raises a loss to first order, and unlike
    PCGrad it has no order of projections. Scale: a mean.
    """

    title = "UPGrad"

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Weights [K], each at least 1/K."""
        tasks = len(gramian)
        starts = np.eye(tasks) / tasks
        total = np.trace(gramian)
        if total <= 0:
            return starts.sum(axis=0)
        vectors = vectors_of(gramian / total)
        return np.sum([dual_cone_projection(vectors, start) for start in starts], axis=0)
