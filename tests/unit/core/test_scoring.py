"""Metrics, and the scores of a split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from core_helpers import make_study, random_split
from scipy import stats

from weightwise.data.batches import Framing, scoring_batches
from weightwise.data.tokens import SpecialTokens
from weightwise.model.multitask import MultiTaskModel
from weightwise.train.scoring import accuracy, pearson, score_split


def test_pearson_equals_scipy():
    random = np.random.default_rng(0)
    for _ in range(20):
        x = random.normal(size=30).astype(np.float32) * 1e-3 + 4
        y = x + random.normal(size=30) * 1e-3
        assert pearson(x, y) == pytest.approx(stats.pearsonr(x.astype(float), y)[0], abs=1e-9)
    x = np.arange(5.0)
    assert pearson(x, 3 * x - 1) == 1.0
    assert pearson(x, -x) == -1.0


@pytest.mark.parametrize("count", [1, 2, 3, 7, 863, 10_000])
@pytest.mark.parametrize("value", [0.1, 1 / 3, -2.7, 1e-9, 12345.678])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_pearson_of_constants_is_undefined_whatever_their_mean_rounds_to(count, value, kind):
    constant = np.full(count, value, dtype=kind)
    other = np.arange(count, dtype=kind)
    assert np.isnan(pearson(constant, other))
    assert np.isnan(pearson(other, constant))


def test_pearson_of_a_constant_is_undefined():
    x, constant = np.arange(5.0), np.full(5, 0.1, dtype=np.float32)
    assert np.isnan(pearson(x, constant))
    assert np.isnan(pearson(constant, x))
    assert np.isnan(pearson(constant, constant))


def test_accuracy():
    assert accuracy(np.array([0, 1, 2, 2.0]), np.array([0, 1, 1, 2.0])) == 0.75


@pytest.fixture
def model(checkpoint):
    study = make_study(checkpoint.parent)
    means = {"SEN": 1.0, "PAR": 0.5, "SIM": 2.5}
    return MultiTaskModel(
        dict(study.tasks), study.training, checkpoint, None, None, None, means, 0, 1
    )


CASES = [("SEN", "accuracy", 3), ("PAR", "accuracy", 2), ("SIM", "pearson", None)]


def batches_of(task, size, classes, labels=None):
    split = random_split(4, count=23, pair=task != "SEN", classes=classes)
    if labels is not None:
        split.labels[:] = labels
    return split, list(scoring_batches(split, Framing(SpecialTokens(2, 3), "joint", 24), size))


@pytest.mark.parametrize(("task", "metric", "classes"), CASES)
def test_split_is_scored_in_its_own_order(model, task, metric, classes):
    split, small = batches_of(task, 5, classes)
    scored = score_split(model, task, small, metric)
    assert scored.rows.tolist() == split.rows.tolist()
    assert np.allclose(scored.labels, split.labels)
    _, one_by_one = batches_of(task, 1, classes)
    with torch.no_grad():
        rows = {
            int(b.rows[0]): model.targets[task].predict(model.outputs(task, b))[0].item()
            for b in one_by_one
        }
        losses = [float(model.loss(task, b)) for b in one_by_one]
    assert np.allclose(scored.predictions, [rows[r] for r in split.rows], atol=1e-5)
    assert scored.loss == pytest.approx(np.mean(losses), rel=1e-4)
    want = (
        stats.pearsonr(scored.predictions, split.labels)[0]
        if metric == "pearson"
        else np.mean(scored.predictions == split.labels)
    )
    assert scored.score == pytest.approx(want, abs=1e-6)
    assert (scored.confidence is None) == (task == "SIM")
    if scored.confidence is not None:
        assert len(scored.confidence) == 23
        assert scored.confidence.min() >= 1 / (classes or 1)


def test_scoring_changes_nothing(model):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.random.get_rng_state()
    _, batches = batches_of("SEN", 5, 3)
    one, two = (score_split(model, "SEN", batches, "accuracy") for _ in range(2))
    assert np.array_equal(one.confidence, two.confidence)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(("task", "metric", "classes"), CASES)
def test_split_without_labels_has_predictions_only(model, task, metric, classes):
    _, labelled = batches_of(task, 5, classes)
    _, bare = batches_of(task, 5, classes, labels=np.nan)
    scored = score_split(model, task, bare, metric)
    assert np.isnan(scored.score)
    assert np.isnan(scored.loss)
    assert np.isnan(scored.labels).all()
    want = score_split(model, task, labelled, metric).predictions
    assert np.array_equal(scored.predictions, want)
