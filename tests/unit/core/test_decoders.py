"""Decoders of siamese pairs, the cosine among them, and features that train a head alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from core_helpers import make_study, random_batch

from weightwise.config import TaskConfig
from weightwise.model.dropout import dropout
from weightwise.model.heads import HEADS, Head
from weightwise.model.multitask import MultiTaskModel

SIAMESE = {"pair": "siamese", "decoder": "cosine", "representation": "mean"}


def model_of(checkpoint, tasks=("SIM",), task_keys=None, **training):
    study = make_study(checkpoint.parent, training=training)
    chosen = {
        name: study.tasks[name].model_copy(update=(task_keys or {}).get(name, {})) for name in tasks
    }
    means = {"SEN": 1.0, "PAR": 0.5, "SIM": 2.5}
    return MultiTaskModel(chosen, study.training, checkpoint, None, None, None, means, 0, 1)


def plain_cosines(kind: str, head: Head, x: torch.Tensor) -> np.ndarray:
    """The head's layers and the cosine in double precision, written out."""
    v = x.double().numpy()
    if kind != "linear":
        weight, bias = (t.detach().double().numpy() for t in head.between.parameters())
        v = v @ weight.T + bias
        v = np.maximum(v, 0) if kind == "hidden" else np.tanh(v)
    a, b = np.split(v, 2)
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


@pytest.mark.parametrize("kind", HEADS)
def test_cosine_comes_after_the_heads_own_layers(kind):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(24, 16, generator=generator)
    bare = Head(kind, 16, 12, None, 0.5, generator, cosine=True)
    assert bare.last is None
    want = plain_cosines(kind, bare, x)
    assert bare(x).shape == (12, 1)
    assert np.allclose(bare(x).detach()[:, 0], want, atol=1e-6)
    head = Head(kind, 16, 12, 3, 0.5, generator, cosine=True)
    want = plain_cosines(kind, head, x)[:, None] @ head.last.weight.detach().double().numpy().T
    want += head.last.bias.detach().double().numpy()
    assert np.allclose(head(x).detach(), want, atol=1e-6)


def test_both_sentences_are_dropped_out_of_independently():
    x = torch.randn(8, 16, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    head = Head("linear", 16, 12, None, 0.5, torch.Generator(), cosine=True)
    assert torch.allclose(head(x), torch.ones(8, 1))
    first, second = dropout(x, 0.5, torch.Generator().manual_seed(1)).chunk(2)
    want = torch.nn.functional.cosine_similarity(first, second)
    got = head(x, torch.Generator().manual_seed(1))[:, 0]
    assert torch.allclose(got, want, atol=1e-6)
    assert float(got.max()) < 0.99


def test_cosine_of_a_zero_vector_is_zero_and_has_a_finite_gradient():
    x = torch.zeros(2, 16, requires_grad=True)
    head = Head("linear", 16, 12, None, 0.0, torch.Generator(), cosine=True)
    outputs = head(x)
    assert outputs.item() == 0
    outputs.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_head_without_outputs_needs_the_cosine():
    with pytest.raises(ValueError, match="needs a number of outputs"):
        Head("linear", 16, 12, None, 0.5, torch.Generator())


@pytest.mark.parametrize("loss", ["mse", "cosine_embedding_graded", "cosine_embedding_two_class"])
def test_cosine_decoder_of_a_regression_task(checkpoint, loss):
    model = model_of(checkpoint, head="linear", similarity_loss=loss, **SIAMESE)
    assert not list(model.heads["SIM"].parameters())
    batch = random_batch(1, pairing="siamese")
    with torch.no_grad():
        states = model.encoder.represent(model.encoder(batch.packed), batch.packed, "mean")
        want = plain_cosines("linear", model.heads["SIM"], states)
        outputs = model.outputs("SIM", batch)
        assert np.allclose(outputs[:, 0], want, atol=1e-5)
        prediction = model.targets["SIM"].predict(outputs)[0]
        assert np.allclose(prediction, np.clip(5 * want, 0, 5), atol=1e-4)
    model.loss("SIM", batch).backward()
    assert all(p.grad is not None for n, p in model.trunk_parameters() if "position" not in n)


def test_cosine_decoder_of_class_tasks(checkpoint):
    model = model_of(
        checkpoint, ("PAR", "SIM"), head="hidden", similarity_loss="cross_entropy", **SIAMESE
    )
    batch = random_batch(1, pairing="siamese")
    assert model.outputs("PAR", batch).shape == (12, 1)
    assert model.outputs("SIM", batch).shape == (12, 6)
    for task in ("PAR", "SIM"):
        assert model.heads[task].between.in_features == 32
        assert model.heads[task].last.in_features == 1


def test_decoder_is_unused_for_single_texts_and_joint_pairs(checkpoint):
    model = model_of(checkpoint, ("SEN", "SIM"), {"SIM": {"pair": "joint"}}, **SIAMESE)
    assert not model.heads["SEN"].cosine
    assert not model.heads["SIM"].cosine
    assert model.outputs("SEN", random_batch(0, pair=False, classes=3)).shape == (12, 3)
    assert model.outputs("SIM", random_batch(1)).shape == (12, 1)


def test_a_tasks_own_loss_and_decoder_win(checkpoint):
    keys = {"SIM": {"loss": "cross_entropy", "decoder": "product"}}
    model = model_of(checkpoint, ("SIM",), keys, **SIAMESE)
    assert model.targets["SIM"].outputs == 6
    assert not model.heads["SIM"].cosine


def test_loss_key_of_a_task_reaches_its_target(checkpoint):
    task = make_study(checkpoint.parent).tasks["SIM"].model_dump()
    task |= {"loss": "cosine_embedding_two_class", "pair": "siamese", "decoder": "cosine"}
    study = make_study(checkpoint.parent)
    tasks = {"SIM": TaskConfig.model_validate(task)}
    model = MultiTaskModel(tasks, study.training, checkpoint, None, None, None, {"SIM": 2.0}, 0, 1)
    batch = random_batch(1, pairing="siamese")
    cosines = model.outputs("SIM", batch)[:, 0]
    want = torch.where(batch.labels >= 3, 1 - cosines, cosines.clamp(min=0)).mean()
    assert torch.allclose(model.loss("SIM", batch), want, atol=1e-6)


CASES = [
    ("SEN", {"representation": "pooler"}, {"pair": False, "classes": 3}),
    ("PAR", {"pair": "siamese", "decoder": "product"}, {"pairing": "siamese", "classes": 2}),
    ("SIM", SIAMESE | {"head": "hidden"}, {"pairing": "siamese"}),
]


@pytest.mark.parametrize(("task", "training", "batch_keys"), CASES)
def test_detached_features_train_the_head_and_nothing_else(checkpoint, task, training, batch_keys):
    model = model_of(checkpoint, (task,), dropout=0.3, **({"head": "hidden"} | training))
    batch = random_batch(2, **batch_keys)

    def gradients(detach: bool):
        model.zero_grad(set_to_none=True)
        table = model.encoder.word_embeddings.weight
        words = table.detach()[batch.packed.ids].requires_grad_()
        generator = torch.Generator().manual_seed(3)
        loss = model.loss(task, batch, generator, words, detach=detach)
        loss.backward()
        head = {n: p.grad.clone() for n, p in model.heads[task].named_parameters()}
        trunk = [p.grad for _, p in model.encoder.named_parameters()]
        return loss.item(), head, trunk, words.grad, generator.get_state()

    loss, head, trunk, words, state = gradients(detach=False)
    assert any(g is not None and g.abs().sum() > 0 for g in trunk)
    assert words.abs().sum() > 0
    alone = gradients(detach=True)
    assert alone[0] == loss
    assert torch.equal(alone[4], state)  # the same noise was drawn
    assert all(torch.equal(alone[1][name], gradient) for name, gradient in head.items())
    assert head
    assert all(gradient is None for gradient in alone[2])
    assert alone[3] is None


def test_detaching_does_not_switch_gradients_on(checkpoint):
    model = model_of(checkpoint, ("SEN",))
    with torch.no_grad():
        for detach in (False, True):
            loss = model.loss("SEN", random_batch(0, pair=False, classes=3), detach=detach)
            assert not loss.requires_grad
