"""MGDA: the multiple-gradient descent algorithm (Desideri 2012; Sener and Koltun 2018)."""

from __future__ import annotations

import numpy as np

from weightwise.combine.base import Combiner
from weightwise.combine.cone import minimum_norm_point, vectors_of


class MGDA(Combiner):
    """The point of smallest norm among all sum_k w_k g_k with w on the simplex (Sener and Koltun
    2018, equation 3, whose Frank-Wolfe steps, algorithm 2, go towards the same point).

    Its inner product with every g_k is at least its squared norm, so it lowers every loss, or it is
    zero: then no direction does. Scale: a mean. A task with a zero gradient takes all the weight.
    """

    title = "MGDA"

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Weights [K], >= 0, sum one. Where all gradients are zero, equal ones; where several
        weights give the point (parallel gradients of one length), one of them."""
        total = np.trace(gramian)
        if total <= 0:
            return np.full(len(gramian), 1 / len(gramian))
        return minimum_norm_point(vectors_of(gramian / total))
