"""CAGrad: conflict-averse gradient descent (Liu et al. 2021, NeurIPS)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weightwise.combine.base import Combiner
from weightwise.combine.cone import minimum_norm_point, vectors_of

# Norms below this part of sqrt(trace G) are rounding of an fp32 Gramian.
STATIONARY = 1e-4


class CAGrad(Combiner):
    """The d that maximises min_k d . g_k within |d - g_0| <= c |g_0|, g_0 the mean gradient (Liu et
    al. 2021, "Conflict-averse gradient descent for multi-task learning", algorithm 1):

    d = g_0 + c |g_0| g_w / |g_w|, with g_w = sum_k w_k g_k and w on the simplex minimising
    g_w . g_0 + c |g_0| |g_w|. The published code then divides by 1 + c^2 or 1 + c (`rescale`); the
    algorithm does not, nor do we. c = 0 is the mean; from c = 1 on it behaves as MGDA.

    Solved exactly, K small: since s |g_w| = min over t > 0 of s (|g_w|^2 / t + t) / 2, the best w
    for a given t is the point of smallest norm of the shifted gradients g_k + (t / s) g_0, and the
    best t is where t = |g_w|, the only change of sign of a monotone function.

    Scale: a mean, at most 1 + c times as long as g_0. One task keeps its gradient.
    """

    title = "CAGrad"

    @dataclass(frozen=True)
    class Options:
        """`c`: radius of the ball around the mean gradient, in lengths of it."""

        c: float = 0.4

        def __post_init__(self) -> None:
            if self.c < 0:
                raise ValueError(f"option c must be zero or more, but is {self.c:g}")

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Weights [K], >= 0: 1/K + c |g_0| / |g_w| w.

        Where g_w vanishes (below 1e-4 of the gradients' lengths, which is rounding) no direction
        helps all tasks. The ball then holds d = 0 if c >= 1, and all weights are zero; else it is a
        degenerate case, such as a task whose gradient is zero, and d is what it is nearby: |g_w| is
        not taken below 1e-4. A task with a zero gradient has the weight 1/K, which moves nothing.
        """
        from scipy.optimize import brentq

        tasks = len(gramian)
        mean = np.full(tasks, 1 / tasks)
        total = np.trace(gramian)
        if tasks == 1 or total <= 0:
            return mean
        vectors = vectors_of(gramian / total)
        middle = vectors.mean(axis=0)
        radius = self.options.c * np.linalg.norm(middle)
        if radius == 0:
            return mean

        def weights(length: float) -> np.ndarray:
            # Divided by its size, which moves no minimum, so that its norms stay around one.
            shift = length / radius
            return minimum_norm_point((vectors + shift * middle) / (1 + shift))

        def excess(length: float) -> float:
            return float(np.linalg.norm(weights(length) @ vectors)) - length

        longest = 1.0 + STATIONARY  # no gradient is longer: the squares sum to one
        if excess(STATIONARY) > 0:
            found = weights(brentq(excess, STATIONARY, longest, xtol=1e-13, rtol=1e-13))
        elif self.options.c >= 1:
            return np.zeros(tasks)
        else:
            found = weights(STATIONARY)
        length = max(np.linalg.norm(found @ vectors), STATIONARY)
        return mean + radius / length * np.where(np.diag(gramian) > 0, found, 0)
