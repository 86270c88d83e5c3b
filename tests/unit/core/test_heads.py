"""Heads, losses and read-outs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from weightwise.model.heads import HEADS, Head, Target


def make_head(kind: str = "hidden", width: int = 16, outputs: int = 1, seed: int = 0, p=0.5):
    return Head(kind, width, 12, outputs, p, torch.Generator().manual_seed(seed))


def states(count: int = 64, width: int = 16) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("outputs", [1, 5])
def test_shapes(kind, outputs):
    assert make_head(kind, outputs=outputs)(states()).shape == (64, outputs)


def test_unknown_head():
    with pytest.raises(ValueError, match="unknown head"):
        make_head("tall")


def test_layers_of_each_kind():
    x = states()
    for kind, between in (("hidden", F.relu), ("tanh2", torch.tanh), ("linear", None)):
        head = make_head(kind)
        inner = x if between is None else between(head.between(x))
        assert torch.equal(head(x), head.last(inner))


@pytest.mark.parametrize("kind", HEADS)
def test_heads_are_the_papers_formulas(kind):
    """The heads in double precision: which linear layers there are, their sizes, what is
    between them."""
    head, x = make_head(kind, outputs=3), states()
    tensors = {n: p.detach().double().numpy() for n, p in head.named_parameters()}
    sizes = {n: p.shape for n, p in tensors.items() if n.endswith("weight")}
    want = x.double().numpy()
    if kind == "linear":
        assert sizes == {"last.weight": (3, 16)}
    else:
        assert sizes == {"between.weight": (12, 16), "last.weight": (3, 12)}
        want = want @ tensors["between.weight"].T + tensors["between.bias"]
        want = np.where(want > 0, want, 0) if kind == "hidden" else np.tanh(want)
    want = want @ tensors["last.weight"].T + tensors["last.bias"]
    assert np.allclose(head(x).detach().numpy(), want, atol=1e-6)


@pytest.mark.parametrize("kind", HEADS)
def test_dropout_of_each_kind(kind):
    """`hidden` drops twice, the others once."""
    head, x = make_head(kind), states()
    generator = torch.Generator().manual_seed(2)
    first = torch.empty_like(x).bernoulli_(0.5, generator=generator) / 0.5
    want = x * first
    if kind == "hidden":
        want = F.relu(head.between(want))
        want = want * torch.empty_like(want).bernoulli_(0.5, generator=generator) / 0.5
    elif kind == "tanh2":
        want = torch.tanh(head.between(want))
    assert torch.allclose(head(x, torch.Generator().manual_seed(2)), head.last(want), atol=1e-6)


def test_first_weights_come_from_the_generator():
    one = make_head(seed=1).state_dict()
    torch.manual_seed(5)
    again, other = make_head(seed=1).state_dict(), make_head(seed=2).state_dict()
    for name, value in one.items():
        assert torch.equal(value, again[name])
        assert not torch.equal(value, other[name])
    bound = 1 / np.sqrt(16)
    assert one["between.weight"].abs().max() <= bound
    assert one["between.weight"].std() == pytest.approx(bound / np.sqrt(3), rel=0.15)


@pytest.mark.parametrize(
    ("output", "low", "high"), [("relu", 1, np.inf), ("sigmoid", 1, 5), ("identity", -np.inf, 5.1)]
)
def test_range_of_regression_outputs(output, low, high):
    target = Target("regression", output, 1.0, 5.0)
    values = target.values(torch.linspace(-20, 5.1, 100)[:, None])
    assert values.shape == (100,)
    assert float(values.min()) >= low
    assert float(values.max()) <= high
    if output == "identity":
        assert float(values.min()) == -20
    else:
        assert float(values.min()) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("output", ["relu", "sigmoid", "identity"])
@pytest.mark.parametrize(
    ("low", "high", "mean"), [(0, 5, 2.7), (0, 5, 0.6), (1, 5, 4.8), (-3, 3, 0)]
)
def test_training_starts_at_the_label_mean(output, low, high, mean):
    head, target = make_head(p=0.0), Target("regression", output, low, high)
    target.start_at(head, mean)
    nothing = torch.zeros(1, 16)
    with torch.no_grad():
        head.between.bias.zero_()
        assert float(target.values(head(nothing))) == pytest.approx(mean, abs=1e-4)


def test_relu_output_does_not_start_dead():
    for seed in range(50):
        head, target = make_head(seed=seed), Target("regression", "relu", 0.0, 5.0)
        target.start_at(head, 2.7)
        target.loss(head(states()), torch.full((64,), 2.0)).backward()
        assert float((target.values(head(states())) > 0).float().mean()) > 0.9
        assert head.between.weight.grad.abs().sum() > 0


def test_other_kinds_start_as_drawn():
    head = make_head()
    before = head.last.bias.clone()
    Target("binary").start_at(head, 0.7)
    assert torch.equal(head.last.bias, before)


def test_losses_are_torchs():
    outputs, one = torch.randn(9, 4), torch.randn(9, 1)
    classes = torch.arange(9).remainder(4).float()
    loss = Target("classification").loss(outputs, classes)
    assert torch.equal(loss, torch.nn.CrossEntropyLoss()(outputs, classes.long()))
    yes = (classes > 1).float()
    want = torch.nn.BCELoss()(torch.sigmoid(one[:, 0]), yes)
    assert torch.allclose(Target("binary").loss(one, yes), want)
    for output, function in (("relu", torch.relu), ("identity", lambda x: x)):
        want = torch.nn.MSELoss()(function(one[:, 0]), classes)
        assert torch.allclose(Target("regression", output, 0, 5).loss(one, classes), want)
    want = ((5 * torch.sigmoid(one[:, 0]) - classes) ** 2).mean()
    assert torch.allclose(Target("regression", "sigmoid", 0, 5).loss(one, classes), want)


def test_predictions():
    prediction, confidence = Target("classification").predict(
        torch.tensor([[0.0, 2, 1], [3, 0, 0]])
    )
    assert prediction.tolist() == [1, 0]
    assert confidence[0] == pytest.approx(np.exp(2) / (1 + np.exp(2) + np.exp(1)))
    prediction, confidence = Target("binary").predict(torch.tensor([[-1.0], [2.0], [0.0]]))
    assert prediction.tolist() == [0, 1, 1]
    assert confidence.tolist() == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-2)), 0.5])
    prediction, confidence = Target("regression", "relu", 1, 5).predict(
        torch.tensor([[-1.0], [2.0]])
    )
    assert prediction.tolist() == [1, 3]
    assert confidence is None


def normalised(output: str, low: float, high: float, **keys) -> Target:
    return Target("regression", output, low, high, "mse_normalised", **keys)


def mse_of_shares(output: str, outputs: np.ndarray, labels: np.ndarray, low: float, high: float):
    """The loss as it is documented, in double precision: squared error of places in the range."""
    x = outputs[:, 0]
    places = {"relu": np.maximum(x, 0), "sigmoid": 1 / (1 + np.exp(-x)), "identity": x}[output]
    return np.mean((places - (labels - low) / (high - low)) ** 2), low + (high - low) * places


@pytest.mark.parametrize("output", ["relu", "sigmoid", "identity"])
@pytest.mark.parametrize(("low", "high"), [(0.0, 5.0), (0.0, 100.0), (-3.0, -1.0)])
def test_normalised_loss_is_that_of_shares_of_the_range(output, low, high):
    generator = np.random.default_rng(0)
    outputs, labels = generator.normal(size=(64, 1)), generator.uniform(low, high, 64)
    loss, values = mse_of_shares(output, outputs, labels, low, high)
    target = normalised(output, low, high)
    given = torch.from_numpy(outputs)
    assert float(target.loss(given, torch.from_numpy(labels))) == pytest.approx(loss, rel=1e-12)
    assert np.allclose(target.values(given).numpy(), values, rtol=1e-12)
    assert np.allclose(target.predict(given)[0].numpy(), values, rtol=1e-12)


@pytest.mark.parametrize("output", ["relu", "sigmoid", "identity"])
def test_the_unit_of_labels_decides_nothing_under_the_normalised_loss(output):
    """Labels times 20 give the same first weights, losses and gradients, and predictions times 20;
    under `mse` they do not."""
    given = torch.rand(64, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 5

    def start(loss: str, scale: float):
        head = make_head(p=0.0).double()
        target = Target("regression", output, 0.0, 5.0 * scale, loss)
        target.start_at(head, float(given.mean()) * scale)
        outputs = head(states().double())
        value = target.loss(outputs, given * scale)
        gradient = torch.autograd.grad(value, list(head.parameters()))
        return value, torch.cat([g.flatten() for g in gradient]), target.values(outputs)

    small, large = start("mse_normalised", 1.0), start("mse_normalised", 20.0)
    assert torch.allclose(small[0], large[0], rtol=1e-6)
    assert torch.allclose(small[1], large[1], rtol=1e-5, atol=1e-7)
    assert torch.allclose(20 * small[2], large[2], rtol=1e-6)
    assert start("mse", 20.0)[1].norm() > 15 * start("mse", 1.0)[1].norm()


def test_a_cosine_is_the_share_under_the_normalised_loss():
    target = normalised("relu", 1.0, 5.0, cosine=True)
    cosines = torch.tensor([[-0.5], [0.25], [1.0]])
    assert target.values(cosines).tolist() == [-1.0, 2.0, 5.0]
    assert target.predict(cosines)[0].tolist() == [1.0, 2.0, 5.0]
    assert float(target.loss(cosines, torch.tensor([1.0, 2.0, 5.0]))) == pytest.approx(0.25 / 3)
