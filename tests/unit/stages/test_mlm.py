"""Masked language modelling: masks, the head, its loss against `transformers`, what it learns."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from core_helpers import CLS, SEP, SIZES, VOCABULARY, rewrite_tensors
from safetensors.torch import load_file

from weightwise.errors import UserError
from weightwise.stages.loop import StageTraining
from weightwise.stages.masking import choose, masked_batch, pieces
from weightwise.stages.mlm import MaskedLanguageObjective
from weightwise.stages.prepared import stage_inputs

MASK = VOCABULARY.index("[MASK]")


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def inputs(prepared):
    """`inputs(**keys of the stage)` -> the inputs of TEXTS."""
    runs = prepared()

    def make(**keys):
        made = stage_inputs(runs, "TEXTS")
        return dataclasses.replace(made, stage=made.stage.model_copy(update=keys))

    return make


def test_pieces_keep_every_token():
    texts = [np.arange(n) for n in (1, 9, 10, 11, 57)]
    cut = pieces(texts, 10)
    assert [len(p) for p in cut[:5]] == [1, 9, 10, 6, 5]
    assert max(map(len, cut)) <= 10
    assert np.array_equal(np.concatenate(cut), np.concatenate(texts))


def test_shares_of_chosen_tokens_and_of_their_fates():
    ids = np.full(20_000, 7)
    hidden, places = choose(ids, 0.15, MASK, 1000, draws())
    assert len(places) == 3000
    assert np.array_equal(places, np.unique(places))
    untouched = np.setdiff1d(np.arange(len(ids)), places)
    assert (hidden[untouched] == 7).all()
    shares = [(hidden[places] == MASK).mean(), (hidden[places] == 7).mean()]
    # Five standard deviations of shares of 3,000.
    assert shares[0] == pytest.approx(0.8, abs=0.037)
    assert shares[1] == pytest.approx(0.1, abs=0.028)
    others = hidden[places][(hidden[places] != MASK) & (hidden[places] != 7)]
    assert len(others) == pytest.approx(300, abs=90)
    assert len(np.unique(others)) > 200  # over the whole vocabulary
    assert others.min() >= 0
    assert others.max() < 1000


@pytest.mark.parametrize(("length", "expected"), [(1, 1), (3, 1), (10, 2), (18, 3), (100, 15)])
def test_the_nearest_whole_number_of_tokens_is_chosen(length, expected):
    _, places = choose(np.arange(length), 0.15, MASK, 50, draws())
    assert len(places) == expected


def test_places_and_targets_of_a_packed_batch(inputs):
    texts = [np.array([10, 11, 12, 13]), np.array([20]), np.array([30, 31])]
    chosen = [choose(t, 0.5, MASK, 60, draws(k)) for k, t in enumerate(texts)]
    batch = masked_batch(texts, chosen, inputs())
    ids = batch.packed.ids.tolist()[: 7 + 2 * 3]
    expected = []
    for hidden, _ in chosen:
        expected += [CLS, *hidden.tolist(), SEP]
    assert ids == expected
    offsets = [0, 6, 9]
    where = [
        (o + 1 + p, t[p]) for o, t, (_, c) in zip(offsets, texts, chosen, strict=True) for p in c
    ]
    assert list(zip(batch.places.tolist(), batch.targets.tolist(), strict=True)) == where


def add_head(tensors: dict) -> dict:
    """A head as published checkpoints have it, in the old names of layer norms."""
    generator = torch.Generator().manual_seed(3)
    hidden, prefix = SIZES["hidden_size"], "cls.predictions."
    shapes = {
        "transform.dense.weight": (hidden, hidden),
        "transform.dense.bias": (hidden,),
        "transform.LayerNorm.gamma": (hidden,),
        "transform.LayerNorm.beta": (hidden,),
        "bias": (SIZES["vocab_size"],),
    }
    head = {prefix + k: torch.randn(*s, generator=generator) for k, s in shapes.items()}
    return {f"bert.{k}": v for k, v in tensors.items()} | head


@pytest.fixture
def with_head(inputs):
    """Inputs whose checkpoint has a head of its own."""
    made = inputs()
    rewrite_tensors(made.folder, add_head)
    return made


def test_the_checkpoints_head_gives_the_logits_of_transformers(with_head):
    from transformers import BertConfig, BertForMaskedLM

    objective = MaskedLanguageObjective(with_head)
    assert objective.facts["head"] == "the checkpoint's"
    reference = BertForMaskedLM(BertConfig(**SIZES)).eval()
    tensors = load_file(with_head.folder / "model.safetensors")
    tensors = {
        k.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
            "LayerNorm.beta", "LayerNorm.bias"
        ): v
        for k, v in tensors.items()
    }
    missing, _ = reference.load_state_dict(tensors, strict=False)
    assert {k for k in missing if "position_ids" not in k} <= {
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
    }
    reference.tie_weights()
    with torch.no_grad():
        reference.cls.predictions.decoder.bias.copy_(tensors["cls.predictions.bias"])
    texts = [np.array([10, 11, 12, 13]), np.array([20, 21])]
    chosen = [choose(t, 0.5, MASK, 60, draws(k)) for k, t in enumerate(texts)]
    batch = masked_batch(texts, chosen, with_head)
    with torch.no_grad():
        logits = objective.model(batch)
        found = []
        for hidden, places in chosen:
            ids = torch.tensor([[CLS, *hidden.tolist(), SEP]])
            found.append(reference(ids).logits[0, torch.from_numpy(places) + 1])
    torch.testing.assert_close(logits, torch.cat(found), atol=1e-4, rtol=1e-4)


def test_a_fresh_head_where_the_checkpoint_has_none(inputs):
    one, two = (MaskedLanguageObjective(inputs()) for _ in range(2))
    assert one.facts["head"] == "fresh"
    for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert float(one.model.head.transform.weight.detach().std()) == pytest.approx(0.02, rel=0.1)


def test_a_head_that_does_not_fit_is_refused(with_head):
    rewrite_tensors(
        with_head.folder, lambda t: t | {"cls.predictions.bias": torch.full((60,), torch.nan)}
    )
    with pytest.raises(UserError, match=r"cls\.predictions\.bias' is not finite"):
        MaskedLanguageObjective(with_head)


def gradient(inputs) -> tuple[float, dict[str, torch.Tensor]]:
    objective = MaskedLanguageObjective(inputs)
    loss = objective.backward(np.arange(13), draws(4), torch.Generator().manual_seed(1))
    named = objective.model.named_parameters()
    return float(loss), {n: p.grad.clone() for n, p in named if p.grad is not None}


def test_accumulation_is_the_gradient_of_the_whole_step(inputs):
    whole_loss, whole = gradient(inputs(accumulate=1, dropout=0.0))
    loss, parts = gradient(inputs(accumulate=5, dropout=0.0))
    assert loss == pytest.approx(whole_loss, rel=1e-6)
    assert parts.keys() == whole.keys()
    assert "encoder.pooler.weight" not in parts
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, atol=1e-6, rtol=1e-4)


def test_the_loss_is_the_mean_over_chosen_tokens(inputs):
    made = inputs(accumulate=3, dropout=0.0)
    objective = MaskedLanguageObjective(made)
    loss = objective.backward(np.arange(7), draws(4), torch.Generator().manual_seed(1))
    texts = sorted((objective.texts[i] for i in range(7)), key=len)
    generator, total, count = draws(4), 0.0, 0
    table = objective.model.encoder.word_embeddings.weight.double()
    for text in texts:
        hidden, places = choose(text, 0.15, MASK, len(VOCABULARY), generator)
        batch = masked_batch([text], [(hidden, places)], made)
        states = objective.model.encoder(batch.packed)[batch.places]
        head = objective.model.head
        x = head.norm(torch.nn.functional.gelu(head.transform(states))).double()
        logits = x @ table.t() + head.bias.double()
        for row, place in zip(logits, places, strict=True):
            total -= float(row.log_softmax(0)[int(text[place])].detach())
            count += 1
    assert float(loss) == pytest.approx(total / count, rel=1e-5)


def test_masks_are_drawn_anew_every_step_and_held_out_ones_once(inputs):
    made = inputs()
    assert made.draws("step:1").random() != made.draws("step:2").random()
    objective = MaskedLanguageObjective(made)
    assert objective.measure() == objective.measure()
    again = MaskedLanguageObjective(made)
    for one, two in zip(objective._held_out, again._held_out, strict=True):
        assert torch.equal(one.packed.ids, two.packed.ids)
        assert torch.equal(one.targets, two.targets)


def test_the_loss_falls_on_held_out_texts(inputs):
    """Below that of guessing by frequency, which is log 55: the words around are read."""
    tables = StageTraining(inputs(epochs=40, dropout=0.0, accumulate=1)).run()
    before, afterwards = tables.measured(0), tables.measured(40)
    assert afterwards["held_out_loss"] < math.log(55) - 0.5 < before["held_out_loss"]
    assert afterwards["held_out_accuracy"] > 5 / 55  # five times as often as by chance
    assert afterwards["train_loss"] < tables.measured(1)["train_loss"]
