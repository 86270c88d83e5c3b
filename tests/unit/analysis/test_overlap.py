"""Labels, predictions and scores by the words that a pair shares."""

from __future__ import annotations

import math

import pytest
from error_tables import arm, examples, looked_into, predictions

from weightwise.analysis.intervals import t_interval
from weightwise.analysis.overlap import accuracy_by_overlap, lexical_overlap, words
from weightwise.errors import UserError

# Overlaps 0, 1/3, 3/5 and 1: bins 0, 1, 3 and 4.
TEXTS = {
    1: ("a b", "c d"),
    2: ("a b", "b c"),
    3: ("a b c d", "b c d e"),
    4: ("A b!", "b, a"),
    5: ("b c", "a b"),
}


def overlap(*rows, classes=2, texts=TEXTS, **options):
    found = accuracy_by_overlap(
        looked_into(predictions(*rows, **options)),
        {"PAR": examples(texts)},
        {"PAR": classes} if classes else {},
    )
    return list(found.itertuples())


@pytest.mark.parametrize(
    ("a", "b", "index"),
    [
        ("Which are the worst movies?", "Which are the best movies?", 4 / 6),
        ("the the the cat", "The cat", 1.0),
        ("one two", "three", 0.0),
        ("one", "", 0.0),
        ("?!", "...", 0.0),
        ("...", "...", 0.0),
        ("", "", 0.0),
        ("Ä ß 東京", "ä ß 東京", 1.0),
        ("cafe\u0301", "caf\u00e9", 1.0),
        ("don't", "don t", 1.0),
    ],
)
def test_the_index_of_known_pairs(a, b, index):
    assert lexical_overlap(a, b) == index
    assert lexical_overlap(b, a) == index


def test_words_are_runs_of_letters_and_digits():
    assert words("It's 2016: <b>SO_GOOD</b>\u202e") == {"it", "s", "2016", "b", "so_good"}


@pytest.mark.parametrize("share", [0, 1, 2, 3, 4, 5])
def test_an_edge_belongs_to_the_bin_above_and_one_to_the_last(share):
    all_words = ["a", "b", "c", "d", "e"]
    texts = {1: (" ".join(all_words), " ".join(all_words[:share]) or "z")}
    found = overlap((1, 1, 0, 0, 0.9), texts=texts)
    assert [e.pairs for e in found].index(1) == min(share, 4)
    assert [(e.low, e.high) for e in found] == [(i / 5, (i + 1) / 5) for i in range(5)]


def test_numbers_by_hand():
    found = overlap(
        *[(1, 1, 0, 0, 0.9), (2, 1, 0, 1, 0.9)],
        *[(1, 2, 0, 1, 0.9), (2, 2, 0, 1, 0.9)],
        *[(1, 5, 1, 1, 0.9), (2, 5, 1, 0, 0.9)],
        *[(1, 4, 1, 1, 0.9), (2, 4, 1, 1, 0.9)],
    )
    assert [e.pairs for e in found] == [1, 2, 0, 0, 1]
    assert [e.seeds for e in found] == [2, 2, 0, 0, 2]
    none, some, empty, _, whole = found
    assert (none.label, none.prediction, none.score) == (0, 0.5, 0.5)
    assert (some.label, some.prediction, some.score) == (0.5, 0.75, 0.25)
    assert (whole.label, whole.prediction, whole.score) == (1, 1, 1)
    low, high = t_interval([1.0, 0.5], 0.95)
    assert (low < 0, high > 1) == (True, True)
    assert (some.prediction_low, some.prediction_high) == (0, 1)  # shares end there
    # Both seeds agree exactly: no interval, rather than one without width.
    assert math.isnan(whole.score_low)
    for value in (empty.label, empty.prediction, empty.score, empty.score_low):
        assert math.isnan(value)


def test_the_interval_is_over_seeds():
    rows = [(s, r, 0, int(r < 3 + s), 0.9) for s in (1, 2, 3) for r in range(20)]
    found = overlap(*rows, texts=dict.fromkeys(range(20), ("a", "b")))
    low, high = t_interval([16 / 20, 15 / 20, 14 / 20], 0.95)
    assert found[0].score == pytest.approx(0.75)
    assert (found[0].score_low, found[0].score_high) == pytest.approx((low, high))
    assert (found[0].prediction_low, found[0].prediction_high) == pytest.approx((1 - high, 1 - low))


def test_one_seed_has_no_interval():
    first = overlap((1, 1, 0, 1, 0.9))[0]
    assert (first.score, first.seeds) == (0, 1)
    assert math.isnan(first.score_low)
    assert math.isnan(first.prediction_high)


def test_regression_has_mean_errors():
    rows = [(1, 2, 4.0, 3.0, None), (1, 5, 2.0, 2.5, None), (2, 2, 4.0, 4.0, None)]
    found = overlap(*rows, (2, 5, 2.0, 3.0, None), classes=None)[1]
    assert found.measure == "mean absolute error"
    assert (found.label, found.prediction) == (3, 3.125)
    assert found.score == pytest.approx((0.75 + 0.5) / 2)
    low, high = t_interval([0.75, 0.5], 0.95)
    assert low < 0
    assert (found.score_low, found.score_high) == pytest.approx((0, high))


def test_numbers_of_more_classes_have_no_mean():
    found = overlap((1, 1, 0, 2, 0.9), (1, 2, 2, 2, 0.9), classes=3)
    assert [e.score for e in found[:2]] == [0, 1]
    assert all(math.isnan(e.label) and math.isnan(e.prediction) for e in found)


def test_unlabelled_rows_and_single_texts_are_left_out():
    found = overlap((1, 1, None, 1, 0.9), (1, 2, 1, 1, 0.9))
    assert [e.pairs for e in found] == [0, 1, 0, 0, 0]
    assert overlap((1, 1, 0, 1, 0.9), texts={1: ("a", None)}) == []


def test_both_roles_stand_there():
    alone = predictions((1, 1, 0, 1, 0.9))
    added = predictions((1, 1, 0, 0, 0.9), group="SEN+PAR", combiner="addition")
    arms = [arm("reference"), arm("best", group="SEN+PAR", combiner="addition")]
    chosen = looked_into(alone, added, arms=arms)
    found = accuracy_by_overlap(chosen, {"PAR": examples(TEXTS)}, {"PAR": 2})
    assert found.groupby("role")["score"].max().to_dict() == {"reference": 0, "best": 1}
    assert len(found) == 10


def test_a_row_that_is_not_prepared_is_named():
    with pytest.raises(UserError, match="row 9 of test"):
        overlap((1, 9, 0, 1, 0.9))
