"""Every combiner against what defines it, and against torchjd where that is at hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from combiner_inputs import gradient_sets, scale_of, weights_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torchjd import aggregation

from weightwise.combine import make_combiner

EXAMPLES = settings(max_examples=100, deadline=None)
SIMPLEX = {"type": "eq", "fun": lambda w: w.sum() - 1}


def theirs(weighting, gradients: np.ndarray) -> np.ndarray:
    return weighting(torch.from_numpy(gradients @ gradients.T)).numpy()


@given(gradients=gradient_sets())
@EXAMPLES
def test_mgda_is_the_point_of_smallest_norm(gradients):
    """Convex, so the first-order condition is enough: no gradient lies nearer to the origin along
    the update; that is also what makes it a direction that lowers every loss."""
    weights = weights_of("mgda", gradients)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)
    update = weights @ gradients
    slack = 1e-9 * scale_of(gradients) ** 2
    assert (gradients @ update >= update @ update - slack).all()


@given(gradients=gradient_sets())
@settings(max_examples=25, deadline=None)
def test_mgda_is_where_torchjds_steps_go(gradients):
    gradients = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    weighting = aggregation.MGDAWeighting(epsilon=1e-6, max_iters=3000)
    mine, their = weights_of("mgda", gradients), theirs(weighting, gradients)
    assert np.allclose(mine, their, atol=0.02)
    assert np.linalg.norm(mine @ gradients) <= np.linalg.norm(their @ gradients) + 1e-9


@given(gradients=gradient_sets(), c=st.sampled_from([0.05, 0.4, 0.9, 1.5]))
@EXAMPLES
def test_cagrad_maximises_the_worst_progress_within_its_ball(gradients, c):
    """The update lies in the ball, and its worst progress equals the dual bound, the lowest
    g_w . g_0 + c |g_0| |g_w| over the simplex: no other point of the ball does better."""
    weights = weights_of(f"cagrad(c={c})", gradients)
    update, middle = weights @ gradients, gradients.mean(axis=0)
    radius = c * np.linalg.norm(middle)
    scale = scale_of(gradients)
    assert np.linalg.norm(update - middle) <= radius * (1 + 1e-9) + 1e-9 * scale
    worst = (gradients @ update).min()
    parts = weights - 1 / len(weights)
    dual = parts / parts.sum() if parts.sum() > 1e-9 else np.full(len(weights), 1 / len(weights))
    bound = dual @ gradients @ middle + radius * np.linalg.norm(dual @ gradients)
    if (weights == 0).all():  # Pareto-stationary: nobody gains more than nothing
        bound = 0.0
    assert worst == pytest.approx(bound, abs=1e-6 * scale**2)


@given(gradients=gradient_sets(), c=st.sampled_from([0.2, 0.4, 0.8]))
@settings(max_examples=30, deadline=None)
def test_cagrad_equals_the_published_solver(gradients, c):
    """The authors' code minimises the same objective by sequential quadratic programming."""
    gradients = gradients / scale_of(gradients)
    gramian, tasks = gradients @ gradients.T, len(gradients)
    middle = np.full(tasks, 1 / tasks)
    radius = c * np.sqrt(middle @ gramian @ middle)

    def objective(w):
        return w @ gramian @ middle + radius * np.sqrt(max(w @ gramian @ w, 1e-16))

    starts = [middle, *(0.9 * np.eye(tasks) + 0.1 * middle)]
    found = min(
        (
            minimize(
                objective, s, bounds=[(0, 1)] * tasks, constraints=SIMPLEX, options={"ftol": 1e-13}
            )
            for s in starts
        ),
        key=lambda result: result.fun,
    )
    w = found.x
    want = middle + radius / np.sqrt(w @ gramian @ w) * w
    update = weights_of(f"cagrad(c={c})", gradients) @ gradients
    assert np.allclose(update, want @ gradients, atol=2e-3)


@given(gradients=gradient_sets(), c=st.sampled_from([0.2, 0.4, 0.8]))
@settings(max_examples=30, deadline=None)
def test_cagrad_equals_torchjd(gradients, c):
    pytest.importorskip("cvxpy", reason="torchjd solves CAGrad with cvxpy")
    gradients = gradients / scale_of(gradients)
    their = theirs(aggregation.CAGradWeighting(c), gradients)
    mine = weights_of(f"cagrad(c={c})", gradients)
    assert np.allclose(mine @ gradients, their @ gradients, atol=1e-4)


def test_cagrad_of_tasks_that_cannot_all_gain():
    """Two opposite tasks and a third: inside a ball with c < 1 the third still gains, at no cost to
    the two; with c >= 1 nothing moves, which is in the ball and costs nobody anything."""
    gradients = np.array([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0.5]])
    update = weights_of("cagrad(c=0.4)", gradients) @ gradients
    assert gradients @ update == pytest.approx([0, 0, update @ gradients[2]], abs=1e-9)
    assert update @ gradients[2] > 0.1
    assert (weights_of("cagrad(c=1)", gradients) == 0).all()


def test_cagrad_at_zero_is_the_mean_and_far_out_is_mgda():
    gradients = np.array([[2.0, 0.0, 1.0], [-1.0, 1.0, 0.5], [0.3, -1.0, 1.0]])
    assert weights_of("cagrad(c=0)", gradients) == pytest.approx([1 / 3] * 3)
    far = weights_of("cagrad(c=1e6)", gradients)
    assert far / far.sum() == pytest.approx(weights_of("mgda", gradients), abs=1e-4)


@given(gradients=gradient_sets())
@EXAMPLES
def test_imtl_g_has_equal_projections(gradients):
    weights = weights_of("imtl_g", gradients)
    assert weights.sum() == pytest.approx(1)
    units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    projections = units @ (weights @ gradients)
    tolerance = 1e-6 * np.abs(weights[:, None] * gradients).sum()
    assert np.ptp(projections) <= tolerance


@given(gradients=gradient_sets())
@EXAMPLES
def test_imtl_g_equals_torchjd(gradients):
    their = theirs(aggregation.IMTLGWeighting(), gradients)
    size = max(1.0, np.abs(their).max())
    assert np.allclose(weights_of("imtl_g", gradients), their, atol=1e-6 * size)


@given(gradients=gradient_sets())
@EXAMPLES
def test_upgrad_is_the_mean_of_projections_onto_the_dual_cone(gradients):
    """Moreau: p is the projection of g_i onto {d: d . g_k >= 0} where it lies in it, p - g_i is a
    non-negative combination of the g_k, and the two are orthogonal. Their mean is checked by the
    projections of single gradients, each the update of a combiner's own making."""
    from weightwise.combine.cone import dual_cone_projection, vectors_of

    tasks, scale = len(gradients), scale_of(gradients)
    rows = []
    for i in range(tasks):
        start = np.eye(tasks)[i]
        rows.append(dual_cone_projection(vectors_of(gradients @ gradients.T), start))
        assert (rows[i] >= start - 1e-12).all()
        projected = rows[i] @ gradients
        assert (gradients @ projected >= -1e-7 * scale**2).all()
        assert abs((rows[i] - start) @ (gradients @ projected)) <= 1e-6 * scale**2
    assert np.allclose(weights_of("upgrad", gradients) @ gradients, np.mean(rows, 0) @ gradients)


def test_upgrad_gives_torchjds_published_example():
    """The example of `torchjd.aggregation`'s documentation, which regularises by 1e-4."""
    gradients = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
    assert weights_of("upgrad", gradients) == pytest.approx([1.1109, 0.7894], abs=3e-4)


@given(gradients=gradient_sets())
@settings(max_examples=30, deadline=None)
def test_upgrad_equals_torchjd(gradients):
    pytest.importorskip("quadprog", reason="torchjd solves UPGrad with quadprog")
    gradients = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    their = theirs(aggregation.UPGradWeighting(), gradients)
    mine = weights_of("upgrad", gradients)
    assert np.allclose(mine @ gradients, their @ gradients, atol=0.01 * np.abs(mine).max())


@given(gradients=gradient_sets())
@EXAMPLES
def test_weighted_pcgrad_weighs_the_projected_gradients(gradients):
    """Algorithm 1 written out on vectors, with the same draws, then the weighted sum."""
    tasks = len(gradients)
    alphas = tuple(np.arange(1, tasks + 1) / np.arange(1, tasks + 1).sum())
    random = np.random.default_rng(5)
    projected = gradients.copy()
    for i in range(tasks):
        others = np.array([j for j in range(tasks) if j != i])
        for j in random.permutation(others) if tasks > 2 else others:
            if (product := projected[i] @ gradients[j]) < 0:
                projected[i] -= product / (gradients[j] @ gradients[j]) * gradients[j]
    mine = weights_of("pcgrad_alpha", gradients, seed=5, alphas=alphas) @ gradients
    assert np.allclose(mine, np.array(alphas) @ projected, atol=1e-9 * scale_of(gradients))


@pytest.mark.parametrize("tasks", [2, 3])
def test_pcgrad_with_equal_weights_is_pcgrad_but_for_the_scale(tasks):
    random = np.random.default_rng(0)
    for seed in range(20):
        gradients = random.normal(size=(tasks, 3))
        equal = weights_of("pcgrad_alpha", gradients, seed, (1 / tasks,) * tasks)
        assert tasks * equal == pytest.approx(weights_of("pcgrad", gradients, seed))


@pytest.mark.parametrize("wrong", [None, (1.0,), (0.5, 0.6), (-0.5, 1.5)])
def test_weights_that_are_no_simplex_are_refused(wrong):
    with pytest.raises(ValueError, match=r"PCGradAlpha: weights .* are no simplex of 2 tasks"):
        weights_of("pcgrad_alpha", np.eye(2), alphas=wrong)


def test_random_weights_are_the_softmax_of_normal_draws():
    drawn = np.random.default_rng(3).standard_normal((500, 3))
    want = np.exp(drawn) / np.exp(drawn).sum(axis=1, keepdims=True)
    combiner = make_combiner("random", None, np.random.default_rng(3))
    mine = np.array([combiner.fixed_weights(3) for _ in range(500)])
    assert np.allclose(mine, want)
    assert combiner.fixed  # it weights losses, so heads, too


def test_no_combiner_touches_a_global_generator():
    """The popular PCGrad port shuffles with Python's global generator."""
    import random as standard

    gradients = np.random.default_rng(1).normal(size=(4, 6))
    texts = ("pcgrad", "pcgrad_alpha", "random", "torchjd:PCGrad", "torchjd:GradVac")

    def answers(seed: int) -> list:
        standard.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        return [weights_of(t, gradients, 7, (0.25,) * 4).tolist() for t in texts]

    def states() -> list:
        return [
            standard.getstate(),
            np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist(),
        ]

    first = answers(0)
    assert answers(1) == first
    before = states()
    for text in texts:
        weights_of(text, gradients, 8, (0.25,) * 4)
    assert states() == before


@pytest.mark.parametrize("text", ["random", "pcgrad", "pcgrad_alpha", "torchjd:GradVac"])
def test_a_restored_combiner_goes_on_to_the_bit(text):
    random = np.random.default_rng(0)
    gramians = [g @ g.T for g in random.normal(size=(12, 4, 3))]
    alphas = (0.1, 0.2, 0.3, 0.4)
    whole = make_combiner(text, alphas, np.random.default_rng(1))
    want = [whole(g, np.ones(4)) for g in gramians]
    assert len({w.tobytes() for w in want}) > 6
    begun = make_combiner(text, alphas, np.random.default_rng(1))
    for gramian in gramians[:5]:
        begun(gramian, np.ones(4))
    state = begun.state()
    begun(gramians[0], np.ones(4))  # what happens after a state was taken does not reach it
    resumed = make_combiner(text, alphas, np.random.default_rng(99))
    resumed(gramians[7], np.ones(4))
    resumed.restore(state)
    assert np.array_equal([resumed(g, np.ones(4)) for g in gramians[5:]], want[5:])
