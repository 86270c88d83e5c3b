"""The linear layer against nn.Linear; dropout from a generator of its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from weightwise.model.dropout import dropout
from weightwise.model.linear import Linear, set_product_dtype


@pytest.fixture
def twins():
    """Our layer, torch's with the same weights, an input and a gradient."""
    torch.manual_seed(0)
    ours, reference = Linear(7, 5), nn.Linear(7, 5)
    reference.load_state_dict(ours.state_dict())
    return ours, reference, torch.randn(11, 7), torch.randn(11, 5)


def gradients(layer, x, grad) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    layer(x).backward(grad.to(layer(x).dtype))
    return [x.grad, layer.weight.grad, layer.bias.grad]


def test_equals_torchs_layer(twins):
    ours, reference, x, grad = twins
    assert torch.allclose(ours(x), reference(x), atol=1e-6)
    mine, theirs = gradients(ours, x, grad), gradients(reference, x, grad)
    for one, other in zip(mine, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)
        assert one.dtype == torch.float32
    assert ours.weight.grad.is_contiguous()


def test_gradient_by_finite_differences(twins):
    ours, _, x, grad = twins
    step = 1e-2  # the loss is linear in every argument, so rounding alone limits the difference

    def loss() -> float:
        return float((ours(x).double() * grad.double()).sum())

    wanted = gradients(ours, x, grad)
    with torch.no_grad():
        for values, wants in zip((x, ours.weight, ours.bias), wanted, strict=True):
            flat = values.view(-1)
            for i in range(0, flat.numel(), 3):
                before = float(flat[i])
                flat[i] = before + step
                up = loss()
                flat[i] = before - step
                slope = (up - loss()) / (2 * step)
                flat[i] = before
                assert slope == pytest.approx(float(wants.reshape(-1)[i]), abs=1e-3)


def test_gradients_of_chosen_arguments_only(twins):
    ours, _, x, grad = twins
    ours.weight.requires_grad_(False)
    ours(x).backward(grad)
    assert ours.weight.grad is None
    assert ours.bias.grad is not None


def test_double_precision_is_kept(twins):
    ours, _, x, _ = twins
    assert ours.double()(x.double()).dtype == torch.float64


def test_bfloat16(twins):
    ours, reference, x, grad = twins
    set_product_dtype(nn.ModuleList([ours]), True)
    out = ours(x)
    assert out.dtype == torch.bfloat16
    assert torch.allclose(out.float(), reference(x), atol=0.05)
    assert not torch.equal(out.float(), reference(x))
    mine, theirs = gradients(ours, x, grad), gradients(reference, x, grad)
    for one, other in zip(mine, theirs, strict=True):
        assert one.dtype == torch.float32
        assert torch.allclose(one, other, atol=0.1)
    set_product_dtype(ours, False)
    assert ours(x).dtype == torch.float32
    assert Linear(2, 2).product_dtype == torch.float32


def test_dropout_leaves_the_global_generator_alone():
    state = torch.random.get_rng_state()
    one = dropout(torch.ones(50, 50), 0.5, torch.Generator().manual_seed(3))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(9)
    again = dropout(torch.ones(50, 50), 0.5, torch.Generator().manual_seed(3))
    assert torch.equal(one, again)
    other = dropout(torch.ones(50, 50), 0.5, torch.Generator().manual_seed(4))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(p):
    kept = dropout(torch.full((400, 400), 2.0), p, torch.Generator().manual_seed(0))
    assert float((kept == 0).float().mean()) == pytest.approx(p, abs=0.01)
    assert float(kept.mean()) == pytest.approx(2.0, rel=0.03)
    assert torch.allclose(kept[kept != 0], torch.tensor(2.0 / (1 - p)))


def test_dropout_gradient_has_the_same_mask():
    x = torch.ones(30, 30, requires_grad=True)
    kept = dropout(x, 0.4, torch.Generator().manual_seed(0))
    kept.sum().backward()
    assert torch.equal(x.grad, kept.detach())


def test_no_dropout_is_the_input_itself():
    x, generator = torch.ones(3), torch.Generator().manual_seed(0)
    state = generator.get_state()
    assert dropout(x, 0.5, None) is x
    assert dropout(x, 0.0, generator) is x
    assert torch.equal(generator.get_state(), state)
