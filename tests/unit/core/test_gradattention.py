"""GradAttention: its weights, how it learns, what it keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from weightwise.combine.attention import Attention
from weightwise.combine.gradattention import GradAttention, hypergradient, tokens_of


def made(seed: int = 0, **options) -> GradAttention:
    return GradAttention(None, np.random.default_rng(seed), GradAttention.Options(**options))


def weigh(combiner: GradAttention, gradients: np.ndarray, losses=None) -> np.ndarray:
    """One call on whole gradients [K, n], as the engine makes it."""
    chosen = combiner.coordinates(gradients.shape[1])
    losses = np.ones(len(gradients)) if losses is None else losses
    return combiner(gradients @ gradients.T, losses, gradients[:, chosen])


def random_gradients(seed: int, tasks: int = 3, size: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((tasks, size))


@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_weights_start_equal_and_stay_on_the_simplex(tasks):
    combiner = made(learning_rate=0.05)
    first = weigh(combiner, random_gradients(0, tasks))
    assert first == pytest.approx(np.full(tasks, 1 / tasks), abs=1e-12)
    moved = 0.0
    for seed in range(1, 30):
        weights = weigh(combiner, random_gradients(seed, tasks))
        assert weights.shape == (tasks,)
        assert (weights >= 0).all()
        assert weights.sum() == pytest.approx(1.0, abs=1e-12)
        moved = max(moved, np.abs(weights - 1 / tasks).max())
    assert moved > 0.01 or tasks == 1


def test_tokens_keep_relative_magnitudes():
    gradients = np.array([[3.0, 0.0, -3.0], [0.1, 0.2, 0.2]])
    gramian = np.diag([400.0, 0.25])
    tokens = tokens_of(gramian, np.array([1.5, 2.5]), gradients)
    scale = math.sqrt((18 + 0.09) / 6)
    assert tokens[:, :3] == pytest.approx(gradients / scale, rel=1e-6)
    assert tokens[:, 3] == pytest.approx([math.log(20), math.log(0.5)])
    assert tokens[:, 4].tolist() == [1.5, 2.5]
    nothing = tokens_of(np.zeros((2, 2)), np.zeros(2), np.zeros((2, 3)))
    assert np.isfinite(nothing).all()
    assert not nothing[:, :3].any()


def quadratics(seed: int, tasks: int, size: int):
    """Curvatures and centres of L_k(x) = (x - c_k)' A_k (x - c_k) / 2, double precision."""
    generator = torch.Generator().manual_seed(seed)
    roots = torch.randn(tasks, size, size, generator=generator, dtype=torch.float64)
    centres = torch.randn(tasks, size, generator=generator, dtype=torch.float64)
    curvatures = roots @ roots.transpose(1, 2) / size

    def losses(x):
        offsets = x - centres
        return 0.5 * torch.einsum("ki,kij,kj->k", offsets, curvatures, offsets)

    return losses


def gradients_at(losses, x) -> torch.Tensor:
    return torch.autograd.functional.jacobian(losses, x)


def test_hypergradient_is_that_of_the_next_losses():
    """Autograd through one real step: d sum_j L_j(x - rate sum_k alpha_k g_k) / d alpha_k."""
    losses, rate = quadratics(0, 3, 8), 0.03
    x = torch.linspace(-1, 1, 8, dtype=torch.float64)
    alpha = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64, requires_grad=True)
    before = gradients_at(losses, x)
    after = x - rate * alpha @ before
    (wanted,) = torch.autograd.grad(losses(after).sum(), alpha)
    total = gradients_at(losses, after.detach()).sum(0)
    lengths = rate * before.norm(dim=1) * total.norm()
    found = hypergradient(before.numpy() * 7.0, total.numpy())
    assert found == pytest.approx((wanted / lengths).numpy(), rel=1e-9)
    assert np.abs(found).min() > 1e-3
    assert hypergradient(np.zeros((2, 3)), np.ones(3)).tolist() == [0.0, 0.0]
    assert hypergradient(np.ones((2, 3)), np.zeros(3)).tolist() == [0.0, 0.0]


def test_attention_learns_along_the_hypergradient():
    """The first update of Adam against a plain reference: one real step differentiated with respect
    to the attention's parameters, gradients rescaled to length one."""
    losses, rate = quadratics(3, 3, 8), 0.05
    combiner = made(coordinates=1000, learning_rate=0.01)
    x = torch.linspace(-1, 1, 8, dtype=torch.float64)
    weigh(combiner, gradients_at(losses, x).numpy(), losses(x).numpy())
    attention = combiner._attention
    # A last map that is not zero, so that every parameter has a gradient.
    with torch.no_grad():
        attention.parameters[-64:] = torch.linspace(-1, 1, 64)
    start = attention.parameters.detach().clone()
    before = gradients_at(losses, x)
    alpha = attention.weights(torch.from_numpy(combiner._pending)).double()
    after = x - rate * alpha @ before
    total = gradients_at(losses, after.detach()).sum(0)
    # With g_k / |g_k| in place of g_k and the losses divided by |G|: the normalised hypergradient.
    unit = before / before.norm(dim=1, keepdim=True)
    trial = after.detach() - rate * (alpha - alpha.detach()) @ unit
    surrogate = losses(trial).sum() / total.norm() / rate
    (wanted,) = torch.autograd.grad(surrogate, attention.parameters)
    weigh(combiner, gradients_at(losses, after.detach()).numpy(), losses(after.detach()).numpy())
    assert attention.updates == 1
    # Adam's first moment after one update is a tenth of the gradient.
    assert wanted.abs().max() > 1e-3
    assert torch.allclose(attention.first * 10, wanted.float(), rtol=1e-3, atol=1e-6)
    moved = attention.parameters.detach() - start
    clear = wanted.abs() > 1e-5
    assert torch.allclose(moved[clear], -0.01 * wanted[clear].sign().float(), rtol=0, atol=2e-5)


def test_equals_torchs_adam():
    attention = Attention(4, np.random.default_rng(0))
    with torch.no_grad():
        attention.parameters[-64:] = torch.linspace(-1, 1, 64)
    reference = attention.parameters.detach().clone().requires_grad_()
    adam = torch.optim.Adam([reference], lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        tokens = torch.randn(3, 6, generator=generator)
        slope = torch.randn(3, generator=generator)
        other = Attention(4, np.random.default_rng(0))
        other.parameters = reference
        adam.zero_grad()
        (other.weights(tokens) @ slope).backward()
        adam.step()
        attention.learn(tokens.numpy(), slope.numpy(), 1e-3)
    # The last bias shifts all scores alike: its gradient is rounding alone.
    sizes = {name: math.prod(shape) for name, shape in attention.shapes.items()}
    mine, theirs = (
        x.detach().split(list(sizes.values())) for x in (attention.parameters, reference)
    )
    for name, one, other in zip(sizes, mine, theirs, strict=True):
        if name != "1.feed_forward_norm.bias":
            assert torch.allclose(one, other, rtol=0, atol=2e-6), name


def test_learns_to_leave_a_task_of_pure_noise():
    """Two tasks of equal length: one always points to the optimum, one anywhere."""
    generator = np.random.default_rng(5)
    combiner = made(coordinates=30, learning_rate=3e-3)
    centre = generator.standard_normal(40)
    x, weights = np.zeros(40), []
    for _ in range(150):
        signal, noise = x - centre, generator.standard_normal(40)
        gradients = np.stack([signal / np.linalg.norm(signal), noise / np.linalg.norm(noise)])
        weights.append(weigh(combiner, gradients, np.array([1.0, 1.0])))
        x = x - 0.005 * weights[-1] @ gradients
    assert np.mean([w[0] for w in weights[-20:]]) > 0.8


def test_coordinates_are_drawn_once_from_the_runs_generator():
    combiner = made(seed=1, coordinates=10)
    chosen = combiner.coordinates(1000)
    assert len(set(chosen.tolist())) == 10
    assert (np.diff(chosen) > 0).all()
    assert 0 <= chosen[0] < chosen[-1] < 1000
    assert combiner.coordinates(1000) is chosen
    assert np.array_equal(made(seed=1, coordinates=10).coordinates(1000), chosen)
    assert not np.array_equal(made(seed=2, coordinates=10).coordinates(1000), chosen)
    assert made(coordinates=10).coordinates(7).tolist() == list(range(7))


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_goes_on_to_the_bit_from_its_state(steps):
    options = {"coordinates": 20, "learning_rate": 0.02, "update": "sample"}
    whole, parted = made(seed=4, **options), made(seed=4, **options)
    given = [random_gradients(seed, size=60) for seed in range(steps + 6)]
    for gradients in given[:steps]:
        weigh(whole, gradients)
        weigh(parted, gradients)
    state = parted.state()
    assert all(isinstance(v, np.ndarray | int | dict) for v in state.values())
    kept = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in state.items()}
    weigh(parted, given[steps])  # what happens after a checkpoint does not reach it
    resumed = made(seed=99, **options)
    weigh(resumed, random_gradients(77))
    resumed.restore(state)
    for name, value in kept.items():
        assert np.array_equal(state[name], value), name
    for gradients in given[steps:]:
        assert np.array_equal(weigh(resumed, gradients), weigh(whole, gradients))
        assert np.array_equal(resumed.sampler()(100), whole.sampler()(100))


def test_state_of_another_size_is_refused():
    combiner = made(coordinates=20)
    weigh(combiner, random_gradients(0))
    state = combiner.state()
    with pytest.raises(ValueError, match="attention: first has shape"):
        made().restore(state | {"attention_first": np.zeros(3)})
    with pytest.raises(KeyError):
        made().restore({k: v for k, v in state.items() if k != "attention_second"})


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.93, 1.0])
def test_sample_is_uniform_and_of_the_wanted_share(share):
    sampler = made(update="sample", sample_fraction=share).sampler()
    size, rounds = 500, 400
    hits = np.zeros(size)
    counts = []
    for _ in range(rounds):
        places = sampler(size)
        assert places.dtype == np.int64
        assert (np.diff(places) > 0).all()
        if len(places):
            assert 0 <= places[0] <= places[-1] < size
        hits[places] += 1
        counts.append(len(places))
    spread = math.sqrt(share * (1 - share))
    assert np.mean(counts) == pytest.approx(size * share, abs=5 * spread * math.sqrt(size / rounds))
    for part in (hits[:50], hits[-50:], hits[::10]):  # neither end is favoured
        assert part.mean() / rounds == pytest.approx(share, abs=5 * spread / math.sqrt(50 * rounds))
    assert sampler(1).tolist() in ([], [0])


def test_all_parameters_move_by_default():
    assert made().sampler() is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"coordinates": 0}, "coordinates must be a whole number of at least 1, not 0"),
        ({"coordinates": 2.5}, "coordinates must be"),
        ({"coordinates": True}, "coordinates must be"),
        ({"learning_rate": 0}, "learning_rate must be above 0, not 0"),
        ({"learning_rate": math.inf}, "learning_rate must be above 0"),
        ({"learning_rate": "fast"}, "learning_rate must be above 0"),
        ({"update": "some"}, "update must be all or sample, not some"),
        ({"sample_fraction": 0.0}, "sample_fraction must be above 0 and at most 1, not 0.0"),
        ({"sample_fraction": 1.5}, "sample_fraction must be"),
    ],
)
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        GradAttention.Options(**options)
