"""From token ids to sequences: framing, cutting of pairs, order, compacted vocabularies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from core_helpers import CLS, SEP, VOCABULARY, random_split, tokenizer

from weightwise.data.batches import Framing, make_batch, scoring_batches, vocabulary_of
from weightwise.data.tokens import SpecialTokens
from weightwise.model.packed import ROUND, pack

SPECIAL = SpecialTokens(CLS, SEP)


def sequences(batch) -> list[list[int]]:
    real = batch.packed.ids.numpy()[: int(batch.packed.lengths.sum())]
    ids = np.split(real, batch.packed.first.numpy()[1:])
    return [s.tolist() for s in ids]


def longest_first(a: list, b: list, room: int) -> tuple[list, list]:
    """transformers' own rule, one token at a time: of two equal texts the second is cut."""
    a, b = list(a), list(b)
    while len(a) + len(b) > room:
        if len(a) > len(b):
            a.pop()
        else:
            b.pop()
    return a, b


def test_joint_pairs_are_cut_longest_first():
    generator = np.random.default_rng(0)
    cut = 0
    for _ in range(2000):
        a, b = (np.arange(n) + 5 for n in generator.integers(1, 20, 2))
        length = int(generator.integers(8, 40))
        ids, segments = Framing(SPECIAL, "joint", length).joint(a, b)
        want_a, want_b = longest_first(a, b, length - 3)
        assert ids.tolist() == [CLS, *want_a, SEP, *want_b, SEP]
        assert segments.tolist() == [0] * (len(want_a) + 2) + [1] * (len(want_b) + 1)
        cut += len(want_a) + len(want_b) < len(a) + len(b)
    assert 500 < cut < 1900


def test_joint_pairs_equal_the_tokenizers_library():
    """It gives the odd token to the second of two equal texts, transformers' rule to the first:
    so room for an even number of tokens, where both agree."""
    reference, generator = tokenizer(), np.random.default_rng(1)
    for _ in range(300):
        a, b = (generator.integers(5, len(VOCABULARY), n) for n in generator.integers(1, 20, 2))
        length = int(generator.integers(4, 20)) * 2 + 1
        reference.enable_truncation(length, strategy="longest_first")
        want = reference.encode(*(" ".join(VOCABULARY[i] for i in x) for x in (a, b)))
        ids, segments = Framing(SPECIAL, "joint", length).joint(a, b)
        assert ids.tolist() == want.ids
        assert segments.tolist() == want.type_ids


def test_single_texts_are_framed_and_cut():
    framing = Framing(SPECIAL, "joint", 8)
    assert framing.single(np.arange(5, 8)).tolist() == [CLS, 5, 6, 7, SEP]
    assert framing.single(np.arange(5, 20)).tolist() == [CLS, 5, 6, 7, 8, 9, 10, SEP]


def test_siamese_pairs_are_all_first_texts_then_all_second():
    split = random_split(0, count=5)
    index = np.array([3, 0, 4])
    batch = make_batch(split, index, Framing(SPECIAL, "siamese", 24))
    want = [
        [CLS, *side[offsets[i] : offsets[i + 1]], SEP]
        for side, offsets in ((split.a, split.a_offsets), (split.b, split.b_offsets))
        for i in index
    ]
    assert sequences(batch) == want
    assert batch.packed.segments.sum() == 0
    assert batch.labels.dtype == torch.float32
    assert np.allclose(batch.labels, split.labels[index])
    assert batch.rows.tolist() == split.rows[index].tolist()


def test_pairing_is_ignored_for_single_texts():
    split = random_split(0, pair=False)
    one, two = (
        make_batch(split, np.arange(4), Framing(SPECIAL, pair, 24)) for pair in ("joint", "siamese")
    )
    assert sequences(one) == sequences(two)


def test_vocabulary_holds_what_occurs():
    splits = [random_split(0), random_split(1, pair=False)]
    vocabulary = vocabulary_of(splits, SPECIAL)
    seen = {CLS, SEP, *splits[0].a, *splits[0].b, *splits[1].a}
    assert vocabulary.tolist() == sorted(seen)


def test_compacted_ids_name_the_same_tokens():
    splits = [random_split(0, count=6), random_split(1, count=6, pair=False)]
    vocabulary = vocabulary_of(splits, SPECIAL)
    assert len(vocabulary) < len(VOCABULARY)
    for split in splits:
        whole = make_batch(split, np.arange(6), Framing(SPECIAL, "joint", 12))
        small = make_batch(split, np.arange(6), Framing(SPECIAL, "joint", 12, vocabulary))
        assert np.array_equal(vocabulary[small.packed.ids], whole.packed.ids)
        assert torch.equal(small.packed.segments, whole.packed.segments)


def test_scoring_batches_hold_every_row_once_neighbours_in_length():
    split = random_split(2, count=23)
    batches = list(scoring_batches(split, Framing(SPECIAL, "joint", 40), 5))
    assert [len(b.labels) for b in batches] == [5, 5, 5, 5, 3]
    rows = np.concatenate([b.rows for b in batches])
    assert sorted(rows) == split.rows.tolist()
    labels = np.concatenate([b.labels for b in batches])
    assert np.allclose(labels, split.labels[rows - 1])
    lengths = np.concatenate([b.packed.lengths for b in batches])
    assert (np.diff(lengths) >= 0).all()


def test_pack_lays_tokens_one_after_another():
    packed = pack([np.array([7, 8]), np.array([9]), np.array([4, 5, 6])], multiple=1)
    assert packed.ids.tolist() == [7, 8, 9, 4, 5, 6]
    assert packed.positions.tolist() == [0, 1, 0, 0, 1, 2]
    assert packed.rows.tolist() == [0, 0, 1, 2, 2, 2]
    assert packed.first.tolist() == [0, 2, 3]
    assert packed.slots.tolist() == packed.sources.tolist() == [0, 1, 3, 6, 7, 8]
    assert packed.lengths.tolist() == [2, 1, 3]
    assert (packed.sequences, packed.longest) == (3, 3)
    assert (packed.mask[:, 0, 0] == 0).tolist() == [
        [True, True, False],
        [True, False, False],
        [True, True, True],
    ]


def test_fillers_round_the_tokens_up():
    texts = [np.array([7, 8]), np.array([9])]
    bare, packed = pack(texts, multiple=1), pack(texts, multiple=4)
    for name, filler in (("ids", 7), ("positions", 0), ("rows", 2), ("slots", 4), ("sources", 0)):
        assert getattr(packed, name).tolist() == [*getattr(bare, name).tolist(), filler], name
    assert packed.first.tolist() == bare.first.tolist()
    assert packed.lengths.tolist() == [2, 1]
    assert len(pack(texts, multiple=3).ids) == 3
    assert len(pack(texts).ids) == ROUND


@pytest.mark.parametrize("given", [[], [np.array([1]), np.array([], dtype=int)]])
def test_pack_refuses_nothing(given):
    with pytest.raises(ValueError, match="pack"):
        pack(given)
