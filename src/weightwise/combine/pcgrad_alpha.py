"""PCGrad with weights: the pairing paper's future work (its section 7)."""

from __future__ import annotations

import numpy as np

from weightwise.combine.pcgrad import PCGrad


class PCGradAlpha(PCGrad):
    """sum_k alpha_k p_k: p_k are PCGrad's projected gradients, alpha the arm's weights on the
    simplex. The heads keep their own gradient, as under all gradient surgery.

    At equal weights the trunk's update is PCGrad's divided by K, the heads' is PCGrad's own; where
    the scale of a gradient plays no part (`grid.scale_cancels`), that is PCGrad itself.
    """

    title = "Weighted PCGrad"
    weighted = True
    equal_weights_as = "pcgrad"

    def __call__(self, gramian: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Weights [K] of the original gradients.

        Raises:
            ValueError: the arm's weights are not K non-negative numbers that sum to one.
        """
        return self.simplex_weights(len(gramian)) @ self.projections(gramian)
