"""Similarity losses and read-outs against plain double-precision formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from weightwise.model.heads import Head, Target
from weightwise.model.similarity import expected_label, logits_with_mean

RANGES = [(0.0, 5.0), (1.0, 5.0), (-3.0, 3.0), (0.0, 1.0)]
COSINE_LOSSES = ["cosine_embedding_graded", "cosine_embedding_two_class"]


def cosines_and_labels(low: float, high: float, count: int = 40):
    generator = np.random.default_rng(3)
    cosines = generator.uniform(-1, 1, count)
    cosines[:2] = 1.0, -1.0
    labels = generator.uniform(low, high, count)
    labels[:3] = low, high, (2 * low + 3 * high) / 5
    return cosines, labels.astype(np.float32)


def single(values) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_graded_loss(low, high):
    cosines, labels = cosines_and_labels(low, high)
    want = sum(
        (c - (float(y) - low) / (high - low)) ** 2 for c, y in zip(cosines, labels, strict=True)
    ) / len(labels)
    target = Target("regression", "relu", low, high, "cosine_embedding_graded", cosine=True)
    got = target.loss(single(cosines)[:, None], single(labels))
    assert float(got) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_two_class_loss(low, high):
    cosines, labels = cosines_and_labels(low, high)
    similar = [(float(y) - low) >= 0.6 * (high - low) - 1e-6 for y in labels]
    assert similar[2]  # the threshold itself is similar
    assert 0 < sum(similar) < len(similar)
    want = sum(1 - c if s else max(0.0, c) for c, s in zip(cosines, similar, strict=True)) / len(
        labels
    )
    target = Target("regression", "relu", low, high, "cosine_embedding_two_class", cosine=True)
    outputs = single(cosines)[:, None]
    assert float(target.loss(outputs, single(labels))) == pytest.approx(want, rel=1e-5)


def test_two_class_loss_is_torchs_with_the_papers_threshold():
    """bertram: label >= 3 of 0..5 is +1, else -1, margin 0."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(50, 6, generator=generator) for _ in range(2))
    labels = torch.arange(50).remainder(11) / 2
    signs = torch.where(labels >= 3, 1.0, -1.0)
    want = torch.nn.CosineEmbeddingLoss(margin=0.0)(first, second, signs)
    cosines = torch.nn.functional.cosine_similarity(first, second)
    target = Target("regression", "relu", 0, 5, "cosine_embedding_two_class", cosine=True)
    assert torch.allclose(target.loss(cosines[:, None], labels), want, atol=1e-6)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_cross_entropy_over_rounded_labels(low, high):
    _, labels = cosines_and_labels(low, high)
    labels[3] = low + 0.5  # halves are rounded up
    classes = int(high - low) + 1
    logits = np.random.default_rng(4).normal(size=(len(labels), classes)) * 2
    chosen = [math.floor(float(y) - low + 0.5) for y in labels]
    assert chosen[3] == 1
    assert (min(chosen), max(chosen)) == (0, classes - 1)
    target = Target("regression", "relu", low, high, "cross_entropy")
    assert target.outputs == classes
    weights = np.exp(logits)
    probabilities = weights / weights.sum(1, keepdims=True)
    want = -np.mean(np.log(probabilities[np.arange(len(labels)), chosen]))
    assert float(target.loss(single(logits), single(labels))) == pytest.approx(want, rel=1e-5)
    values = probabilities @ (low + np.arange(classes))
    prediction, confidence = target.predict(single(logits))
    assert np.allclose(prediction.numpy(), values, atol=1e-5)
    assert confidence is None


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("loss", ["mse", *COSINE_LOSSES])
def test_cosine_is_read_as_a_share_of_the_range(low, high, loss):
    target = Target("regression", "sigmoid", low, high, loss, cosine=True)
    assert target.outputs is None
    outputs = torch.tensor([[-1.0], [0.0], [0.25], [1.0], [1.0000002]])
    prediction, confidence = target.predict(outputs)
    want = [low, low, low + 0.25 * (high - low), high, high]
    assert prediction.tolist() == pytest.approx(want, abs=1e-6)
    assert float(prediction.min()) >= low
    assert float(prediction.max()) <= high
    assert confidence is None


def test_mse_of_a_cosine_is_the_graded_loss_in_the_labels_units():
    cosines, labels = cosines_and_labels(1, 5)
    outputs, labels = single(cosines)[:, None], single(labels)
    mse, graded = (
        Target("regression", "relu", 1, 5, loss, cosine=True).loss(outputs, labels)
        for loss in ("mse", "cosine_embedding_graded")
    )
    assert float(mse) == pytest.approx(16 * float(graded), rel=1e-5)


def test_unclamped_cosines_below_zero_still_learn():
    outputs = torch.tensor([[-0.9]], requires_grad=True)
    Target("regression", "relu", 0, 5, "mse", cosine=True).loss(
        outputs, torch.tensor([4.0])
    ).backward()
    assert outputs.grad.item() < 0


@pytest.mark.parametrize("loss", COSINE_LOSSES)
def test_cosine_losses_teach_a_head_which_pairs_are_similar(loss):
    """Descent on the loss alone must order the predictions by the labels."""
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(40, 16, generator=generator)
    labels = torch.rand(20, generator=generator) * 5
    head = Head("tanh2", 16, 12, None, 0.0, generator, cosine=True)
    target = Target("regression", "relu", 0, 5, loss, cosine=True)
    optimiser = torch.optim.SGD(head.parameters(), lr=0.3)
    for _ in range(400):
        optimiser.zero_grad()
        target.loss(head(x), labels).backward()
        optimiser.step()
    prediction = target.predict(head(x))[0].detach()
    assert float(torch.corrcoef(torch.stack((prediction, labels)))[0, 1]) > 0.7


@pytest.mark.parametrize("classes", [2, 6, 11, 100])
def test_logits_with_a_mean(classes):
    last = classes - 1
    for mean in (0.02 * last, 0.3 * last, 0.5 * last, 0.98 * last):
        logits = logits_with_mean(classes, mean)
        assert float(expected_label(logits[None], 0.0)) == pytest.approx(mean, abs=1e-3 * last)
    for end in (0.0, float(last)):
        logits = logits_with_mean(classes, end)
        assert torch.isfinite(logits).all()
        assert float(expected_label(logits[None], 0.0)) == pytest.approx(end, abs=2e-3 * last)


@pytest.mark.parametrize(("low", "high", "mean"), [(0, 5, 2.7), (1, 5, 4.8), (-3, 3, 0.0)])
def test_cross_entropy_starts_at_the_label_mean(low, high, mean):
    target = Target("regression", "relu", low, high, "cross_entropy")
    head = Head("linear", 16, 12, target.outputs, 0.0, torch.Generator().manual_seed(0))
    target.start_at(head, mean)
    with torch.no_grad():
        assert float(target.values(head(torch.zeros(1, 16)))) == pytest.approx(mean, abs=1e-3)


def test_cosine_means_more_similar_from_the_start():
    """Whatever the generator draws: a higher cosine is a higher prediction."""
    same = torch.ones(2, 16)
    opposite = torch.cat((torch.ones(1, 16), -torch.ones(1, 16)))
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        for target in (
            Target("binary"),
            Target("regression", "relu", 0, 5, "cross_entropy", cosine=True),
        ):
            head = Head("linear", 16, 12, target.outputs, 0.0, generator, cosine=True)
            target.start_at(head, 2.5)
            high, low = head(same).detach(), head(opposite).detach()
            if target.kind == "binary":
                # Ten times the cosine, even at a cosine of one half.
                assert float(high) == pytest.approx(5.0)
                assert float(low) == pytest.approx(-15.0)
            else:
                assert float(target.values(high)) > float(target.values(low)) + 1
