"""PCGrad by the Gramian against Algorithm 1 on explicit vectors, and against torchjd."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd.aggregation import PCGrad as Reference

from weightwise.combine import COMBINERS, make_combiner
from weightwise.combine.pcgrad import PCGrad


class Recorded:
    """A generator whose permutations are given, one per call."""

    def __init__(self, orders):
        self.orders = list(orders)

    def permutation(self, others):
        order = self.orders.pop(0)
        assert sorted(order) == sorted(others)
        return np.array(order)


def algorithm_1(gradients: np.ndarray, orders) -> np.ndarray:
    """Yu et al. 2020, written out: rows of `gradients` are g_1 .. g_K."""
    projected = gradients.copy()
    for i, order in enumerate(orders):
        for j in order:
            product = projected[i] @ gradients[j]
            if product < 0:
                projected[i] = projected[i] - product / (gradients[j] @ gradients[j]) * gradients[j]
    return projected.sum(axis=0)


def all_orders(tasks: int):
    """Every way to order the other tasks, for every task."""
    rows = [list(itertools.permutations([j for j in range(tasks) if j != i])) for i in range(tasks)]
    return itertools.product(*rows)


def combined(gradients: np.ndarray, generator) -> np.ndarray:
    return PCGrad(None, generator)(gradients @ gradients.T, np.ones(len(gradients))) @ gradients


@given(seed=st.integers(0, 2**32 - 1), tasks=st.integers(2, 5), size=st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_equals_algorithm_1(seed, tasks, size):
    random = np.random.default_rng(seed)
    gradients = random.normal(size=(tasks, size)) - 0.3 * random.normal(size=size)
    orders = [random.permutation([j for j in range(tasks) if j != i]) for i in range(tasks)]
    mine = combined(gradients, Recorded(orders))
    scale = np.abs(gradients).sum() * (1 + np.abs(gradients).max())
    assert np.allclose(mine, algorithm_1(gradients, orders), atol=1e-7 * scale)


def test_two_tasks_equal_torchjd():
    random = np.random.default_rng(0)
    for _ in range(50):
        gradients = random.normal(size=(2, 4))
        want = Reference()(torch.from_numpy(gradients)).numpy()
        assert np.allclose(combined(gradients, random), want)


def test_three_tasks_equal_torchjd_in_some_order():
    random = np.random.default_rng(1)
    differed = 0
    for _ in range(20):
        gradients = random.normal(size=(3, 3))
        outcomes = np.array([algorithm_1(gradients, orders) for orders in all_orders(3)])
        mine = combined(gradients, random)
        theirs = Reference()(torch.from_numpy(gradients)).numpy()
        for result in (mine, theirs):
            assert np.isclose(result, outcomes).all(axis=1).any()
        differed += len(np.unique(outcomes.round(9), axis=0)) > 1
    assert differed > 3


def test_order_is_drawn_from_the_runs_generator():
    """Over many draws every order comes; equal generators give equal weights."""
    gradients = np.array([[1.0, 0.2, 0], [-0.8, 0.7, 0.1], [-0.3, -0.9, 0.4]])
    outcomes = {algorithm_1(gradients, o).round(9).tobytes() for o in all_orders(3)}
    assert len(outcomes) > 1
    random = np.random.default_rng(0)
    seen = {combined(gradients, random).round(9).tobytes() for _ in range(200)}
    assert len(seen) == len(outcomes)
    np.random.seed(0)
    one = [combined(gradients, g) for g in [np.random.default_rng(7)] for _ in range(5)]
    np.random.seed(1)
    two = [combined(gradients, g) for g in [np.random.default_rng(7)] for _ in range(5)]
    assert np.array_equal(one, two)


def test_original_gradients_are_projected_on():
    """g_2 is projected away from g_1 first; g_3 then meets the original g_2, not the projected
    one: the two give different updates here."""
    gradients = np.array([[1.0, 0.0], [-1.0, 1.0], [0.5, -1.0]])
    orders = [(1, 2), (0, 2), (0, 1)]
    with_projected = gradients.copy()
    for i, order in enumerate(orders):
        for j in order:
            product = with_projected[i] @ with_projected[j]
            if product < 0:
                norm = with_projected[j] @ with_projected[j]
                with_projected[i] -= product / norm * with_projected[j]
    mine = combined(gradients, Recorded(orders))
    assert np.allclose(mine, algorithm_1(gradients, orders))
    assert not np.allclose(mine, with_projected.sum(axis=0), atol=0.1)


@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_without_conflict_it_is_the_sum(tasks):
    gradients = np.abs(np.random.default_rng(0).normal(size=(tasks, 6)))
    weights = PCGrad(None, np.random.default_rng(0))(gradients @ gradients.T, np.ones(tasks))
    assert np.array_equal(weights, np.ones(tasks))


def test_a_task_is_never_projected_on_itself():
    """Rounding can leave a negative diagonal; it must not matter, nor be asked for."""
    gramian = np.array([[-1e-30, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])

    class Watching:
        def permutation(self, others):
            asked.append(sorted(others))
            return others

    asked: list = []
    assert np.array_equal(PCGrad(None, Watching())(gramian, np.ones(3)), np.ones(3))
    assert asked == [[1, 2], [0, 2], [0, 1]]


@pytest.mark.parametrize("tasks", [2, 3])
def test_zero_gradient(tasks):
    gradients = np.vstack([np.zeros(3), np.random.default_rng(0).normal(size=(tasks - 1, 3))])
    random = np.random.default_rng(0)
    weights = PCGrad(None, random)(gradients @ gradients.T, np.ones(tasks))
    assert np.isfinite(weights).all()
    assert weights[0] == 1


def test_gradient_whose_square_underflows():
    gramian = np.array([[1.0, -1e-30], [-1e-30, 0.0]])
    assert np.isfinite(PCGrad(None, None)(gramian, np.ones(2))).all()


def test_opposite_gradients_cancel():
    gradients = np.array([[1.0, 2.0], [-2.0, -4.0]])
    assert np.allclose(combined(gradients, None), 0)


def test_weights_of_fixed_combiners():
    assert make_combiner("addition", None, None).fixed_weights(3).tolist() == [1, 1, 1]
    assert make_combiner("baseline", None, None).fixed_weights(1).tolist() == [1]
    assert make_combiner("unitary", (0.3, 0.7), None).fixed_weights(2).tolist() == [0.3, 0.7]
    for wrong in (None, (1.0,), (0.5, 0.6), (-0.5, 1.5)):
        with pytest.raises(ValueError, match="no simplex"):
            make_combiner("unitary", wrong, None).fixed_weights(2)
    assert not COMBINERS["pcgrad"].fixed


def test_the_ports_projection_on_itself_would_show():
    """The popular port does not skip j == i. With two tasks that changes nothing; with three a
    projected g_i can point against the original g_i, and the port then projects it on itself."""
    random = np.random.default_rng(0)
    differed = 0
    for _ in range(300):
        gradients = random.normal(size=(3, 3))
        orders = [(1, 2), (0, 2), (0, 1)]
        port = gradients.copy()
        for i, order in enumerate(orders):
            for j in (*order, i):
                if (product := port[i] @ gradients[j]) < 0:
                    port[i] -= product / (gradients[j] @ gradients[j]) * gradients[j]
        mine = combined(gradients, Recorded(orders))
        assert np.allclose(mine, algorithm_1(gradients, orders))
        differed += not np.allclose(mine, port.sum(axis=0), atol=1e-3)
    assert differed > 3
