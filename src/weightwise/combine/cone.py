"""Nearest points in cones and simplices of gradients, from their Gramian alone.

Both are non-negative least squares problems, which the active-set method of Lawson and Hanson
(1974, chapter 23; `scipy.optimize.nnls`) solves exactly in a few pivots for a handful of tasks.
"""

from __future__ import annotations

import numpy as np


def vectors_of(gramian: np.ndarray) -> np.ndarray:
    """Vectors [K, r] as rows whose Gramian is the given one [K, K].

    The Gramian's products are fp32, each with an error in proportion to both lengths. So it is the
    matrix of cosines whose eigenvalues below K * 1e-7 are rounding and count as zero: parallel
    gradients come out parallel, and a gradient that is much shorter than another is not lost.
    """
    lengths = np.sqrt(np.diag(gramian).clip(0))
    inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    values, axes = np.linalg.eigh(gramian * np.outer(inverse, inverse))
    kept = values > len(gramian) * 1e-7
    return lengths[:, None] * axes[:, kept] * np.sqrt(values[kept])


def minimum_norm_point(vectors: np.ndarray) -> np.ndarray:
    """Weights w [K] >= 0, sum w = 1, with the smallest |sum_k w_k v_k|.

    Minimising |V'v|^2 + (sum v - 1)^2 over v >= 0 gives v = t w with that same w: for fixed w the
    best t leaves |V'w|^2 / (1 + |V'w|^2), which rises with |V'w|.

    Args:
        vectors: [K, r], v_k as rows, of norms around one.
    """
    from scipy.optimize import nnls

    tasks = len(vectors)
    system = np.vstack([vectors.T, np.ones(tasks)])
    target = np.zeros(len(system))
    target[-1] = 1.0
    found, _ = nnls(system, target, maxiter=100 * tasks)
    return found / found.sum()


def dual_cone_projection(vectors: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Weights w [K] >= start such that sum_k w_k v_k is the projection of sum_k start_k v_k onto
    the dual cone {d: d . v_k >= 0 for every k} (Quinton and Rey 2024, "Jacobian descent for
    multi-objective optimization").

    Args:
        vectors: [K, r], v_k as rows, r >= 1.
        start: [K], the combination that is projected.
    """
    from scipy.optimize import nnls

    added, _ = nnls(vectors.T, -vectors.T @ start, maxiter=100 * len(vectors))
    return start + added
