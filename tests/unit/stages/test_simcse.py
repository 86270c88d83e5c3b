"""SimCSE: its loss as printed, alignment and uniformity, the triples, what it learns."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from core_helpers import VOCABULARY
from stage_helpers import stages

from weightwise.data.tokens import TokenisedSplit
from weightwise.stages import simcse
from weightwise.stages.inputs import in_batches
from weightwise.stages.loop import StageTraining
from weightwise.stages.pairs import draw_triples, premises_of
from weightwise.stages.prepared import stage_inputs
from weightwise.stages.simcse import (
    ContrastiveObjective,
    alignment,
    contrastive_loss,
    embed,
    uniformity,
)


def vectors(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def plain_loss(h, positive, negative, temperature: float) -> float:
    """The formula of docs/methods.md in double precision; `negative` holds None where there is
    none."""
    total = 0.0
    for i in range(len(h)):
        below = 0.0
        for j in range(len(h)):
            below += math.exp(cosine(h[i], positive[j]) / temperature)
            if negative[j] is not None:
                below += math.exp(cosine(h[i], negative[j]) / temperature)
        total -= math.log(math.exp(cosine(h[i], positive[i]) / temperature) / below)
    return total / len(h)


@pytest.mark.parametrize("have", [(), (1,), (0, 3), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_loss_is_the_formula(have, temperature):
    h, positive, hard = (vectors(5, seed) for seed in (1, 2, 3))
    negative = [hard[j] if j in have else None for j in range(5)]
    found = contrastive_loss(h, positive, hard[list(have)], temperature)
    assert float(found) == pytest.approx(plain_loss(h, positive, negative, temperature), rel=1e-12)


def test_a_hard_negative_counts_for_every_premise():
    h, positive, hard = (vectors(3, seed) for seed in (1, 2, 3))
    without = contrastive_loss(h, positive, hard[:0], 0.05)
    assert float(contrastive_loss(h, positive, hard[:1], 0.05)) > float(without)
    assert float(contrastive_loss(h[:1], positive[:1], hard[:0], 0.05)) == 0.0


def test_alignment_and_uniformity_are_wang_and_isolas():
    a, b = vectors(7, 1), vectors(7, 2)
    unit = [x / x.norm(dim=1, keepdim=True) for x in (a, b)]
    assert alignment(a, b) == pytest.approx(
        np.mean([float((unit[0][i] - unit[1][i]).norm() ** 2) for i in range(7)])
    )
    potentials = [
        math.exp(-2 * float((unit[0][i] - unit[0][j]).norm() ** 2))
        for i in range(7)
        for j in range(i + 1, 7)
    ]
    assert uniformity(a) == pytest.approx(math.log(np.mean(potentials)))


def test_uniformity_in_pieces_is_the_same(monkeypatch):
    x = vectors(23, 4)
    whole = uniformity(x)
    monkeypatch.setattr(simcse, "ROWS_AT_ONCE", 5)
    assert uniformity(x) == pytest.approx(whole, rel=1e-12)


def test_equal_sentences_are_aligned_and_not_spread():
    x = vectors(1, 1).repeat(4, 1)
    assert alignment(x, 3 * x) == pytest.approx(0, abs=1e-12)
    assert uniformity(x) == pytest.approx(0, abs=1e-12)
    opposite = torch.tensor([[1.0, 0.0], [-2.0, 0.0]])
    assert alignment(opposite[:1], opposite[1:]) == pytest.approx(4)
    assert uniformity(opposite) == pytest.approx(-8)


def split_of(rows: list[tuple[list[int], list[int], float]]) -> TokenisedSplit:
    def side(k: int) -> tuple[np.ndarray, np.ndarray]:
        lengths = [len(row[k]) for row in rows]
        ids = np.concatenate([row[k] for row in rows]).astype(np.int32)
        return ids, np.concatenate(([0], np.cumsum(lengths)))

    labels = np.array([row[2] for row in rows])
    return TokenisedSplit(*side(0), *side(1), labels, np.arange(len(rows)))


def test_pairs_become_premises():
    a, b, c = [10, 11], [12], [10, 11, 12]
    split = split_of([(a, [1], 1), (b, [2], 0), (c, [3], 1), (a, [4], 0), (a, [5], 1), (a, [6], 0)])
    first, second = premises_of(split)  # b entails nothing
    assert first.ids.tolist() == a
    assert [h.tolist() for h in first.entailed] == [[1], [5]]
    assert [h.tolist() for h in first.contradicted] == [[4], [6]]
    assert second.ids.tolist() == c
    assert second.contradicted == ()


def test_triples_are_drawn_and_never_invented():
    a, c = [10, 11], [12]
    premises = premises_of(split_of([(a, [1], 1), (a, [5], 1), (a, [4], 0), (c, [3], 1)]))
    generator, seen = np.random.default_rng(0), set()
    for _ in range(20):
        drawn = draw_triples(premises, generator)
        assert [ids.tolist() for ids in drawn.premises] == [a, c]
        assert [ids.tolist() for ids in drawn.negatives] == [[4]]
        assert drawn.positives[1].tolist() == [3]
        seen.add(int(drawn.positives[0][0]))
    assert seen == {1, 5}


@pytest.mark.parametrize(("count", "sizes"), [(32, [32]), (33, [17, 16]), (64, [32, 32]), (3, [3])])
def test_no_step_rests_on_a_left_over_premise(count, sizes):
    batches = in_batches(np.arange(count), 32)
    assert [len(batch) for batch in batches] == sizes
    assert np.array_equal(np.concatenate(batches), np.arange(count))


@pytest.fixture
def inputs(prepared):
    """`inputs(**keys of the stage)` -> the inputs of PAIRS, started from the plain encoder."""
    runs = prepared(
        stages={"PAIRS": stages()["PAIRS"] | {"after": None}}, training={"start": "PAIRS"}
    )

    def make(**keys):
        made = stage_inputs(runs, "PAIRS")
        return dataclasses.replace(made, stage=made.stage.model_copy(update=keys))

    return make


@pytest.mark.parametrize("how", ["mean", "cls", "pooler"])
def test_representations_come_in_the_order_of_the_texts(inputs, how):
    encoder = inputs().encoder()
    generator = np.random.default_rng(0)
    framed = [
        inputs().frame(generator.integers(5, len(VOCABULARY), n)) for n in (9, 2, 14, 5, 2, 30)
    ]
    together = embed(encoder, framed, how)
    alone = torch.cat([embed(encoder, [ids], how) for ids in framed])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_steps_loss_is_the_formula_of_its_representations(inputs):
    made = inputs(dropout=0.0)
    objective = ContrastiveObjective(made)
    index = np.arange(6)
    loss = objective.backward(index, np.random.default_rng(2), torch.Generator())
    triples = draw_triples([objective.premises[i] for i in index], np.random.default_rng(2))
    assert 0 < len(triples.negatives) < 6
    encoder = objective.model.encoder
    h, positive, hard = (
        embed(encoder, [made.frame(ids) for ids in part], "mean").double()
        for part in (triples.premises, triples.positives, triples.negatives)
    )
    # Which premise a hard negative belongs to plays no part in the sum.
    negative = [*hard, *[None] * (6 - len(hard))]
    assert float(loss) == pytest.approx(plain_loss(h, positive, negative, 0.05), rel=1e-4)


def test_the_pooler_is_trained_where_it_is_read(inputs):
    for how, read in (("pooler", True), ("mean", False)):
        objective = ContrastiveObjective(inputs(representation=how))
        objective.backward(np.arange(6), np.random.default_rng(2), torch.Generator())
        assert (objective.model.encoder.pooler.weight.grad is not None) is read


def test_held_out_pairs_come_closer_and_sentences_spread(inputs):
    tables = StageTraining(inputs(epochs=6)).run()
    before, afterwards = tables.measured(0), tables.measured(6)
    assert afterwards["held_out_loss"] < 0.8 * before["held_out_loss"]
    assert afterwards["uniformity"] < before["uniformity"]
