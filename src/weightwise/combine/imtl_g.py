"""IMTL-G: impartial multi-task learning, the gradient part (Liu et al. 2021, ICLR)."""

from __future__ import annotations

import numpy as np

from weightwise.combine.base import Combiner


class IMTLG(Combiner):
    """The sum_k w_k g_k with sum w = 1 whose projections on all g_k / |g_k| are equal (Liu et al.
    2021, "Towards impartial multi-task learning", gradient balance). Weights may be negative.

    With D the diagonal of the gradients' lengths and C the matrix of their cosines, w is
    proportional to D^-1 C^-1 1. For two tasks that is w proportional to 1 / |g_k|, whatever their
    angle. Where gradients depend on each other linearly, the pseudo-inverse of C takes the place of
    the inverse: it does not depend on the gradients' lengths, as that of the Gramian would.

    Scale: a mean. A zero gradient has no projection; its task gets weight zero.
    """

    title = "IMTL-G"

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Weights [K] that sum to one. Zeros where no such weights exist: all gradients are zero,
        or they cancel (exactly opposite ones)."""
        weights = np.zeros(len(gramian))
        lengths = np.sqrt(np.diag(gramian).clip(0))
        there = lengths > 0
        if not there.any():
            return weights
        lengths = lengths[there]
        cosines = gramian[np.ix_(there, there)] / np.outer(lengths, lengths)
        # Below this part of the largest, an eigenvalue is rounding of an fp32 Gramian.
        inverse = np.linalg.pinv(cosines, rcond=len(lengths) * 1e-7, hermitian=True)
        found = inverse.sum(axis=1) / lengths
        total = found.sum()
        if abs(total) > 1e-9 * np.abs(found).sum() and np.abs(inverse.sum(axis=1)).max() > 1e-9:
            weights[there] = found / total
        return weights
