"""Gradients for the tests of combiners, and a combiner's answer to them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from weightwise.combine import make_combiner


@st.composite
def gradient_sets(draw, least: int = 2, most: int = 5) -> np.ndarray:
    """K gradients as rows, K from `least` to `most`, more or less in conflict, of unequal length;
    in general position."""
    tasks = draw(st.integers(least, most))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    common = random.normal(size=tasks + 3)
    pull = draw(st.sampled_from([-0.6, 0.0, 0.6]))
    lengths = 10.0 ** random.uniform(-1.5, 1.5, size=(tasks, 1))
    return lengths * (random.normal(size=(tasks, tasks + 3)) + pull * common)


def weights_of(text: str, gradients: np.ndarray, seed: int = 0, alphas=None) -> np.ndarray:
    """The weights [K] that a combiner gives to gradients [K, n]."""
    combiner = make_combiner(text, alphas, np.random.default_rng(seed))
    return combiner(gradients @ gradients.T, np.ones(len(gradients)))


def scale_of(gradients: np.ndarray) -> float:
    """The root of the sum of squares, by which tolerances are measured."""
    return float(np.sqrt((gradients**2).sum()))
