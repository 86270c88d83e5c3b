"""The surest errors of an arm, its seeds put together."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from error_tables import arm, examples, looked_into, predictions

from weightwise.analysis.errors import most_confident_errors
from weightwise.errors import UserError

TEXTS = {row: (f"first {row}", f"second {row}") for row in range(1, 40)}


def errors(*rows, classes=("PAR",), count=10, **options):
    found = most_confident_errors(
        looked_into(predictions(*rows, **options)), {"PAR": examples(TEXTS)}, classes, count
    )
    return list(found.itertuples())


def test_more_wrong_seeds_come_before_more_confidence():
    found = errors(
        *[(1, 1, 0, 1, 0.99), (2, 1, 0, 0, 0.99)],  # very sure, in one seed
        *[(1, 2, 0, 1, 0.6), (2, 2, 0, 1, 0.8)],
        *[(1, 3, 1, 0, 0.9), (2, 3, 1, 0, 0.7)],
        *[(1, 4, 1, 1, 0.9), (2, 4, 1, 1, 0.9)],  # right
    )
    assert [(e.rank, e.row, e.wrong_seeds, e.seeds) for e in found] == [
        (1, 3, 2, 2),
        (2, 2, 2, 2),
        (3, 1, 1, 2),
    ]
    assert [e.confidence for e in found] == pytest.approx([0.8, 0.7, 0.99])
    assert [(e.label, e.prediction) for e in found] == [(1, 0), (0, 1), (0, 1)]
    assert (found[0].text_a, found[0].text_b) == ("first 3", "second 3")
    assert all(math.isnan(e.error) for e in found)


def test_ties_go_to_the_lower_row_and_rounding_makes_no_order():
    # The mean of these in another order differs in its last bit.
    rows = [(s, 9, 0, 1, c) for s, c in enumerate((0.7, 0.8, 0.9, 0.6))]
    rows += [(s, 5, 0, 1, c) for s, c in enumerate((0.9, 0.6, 0.7, 0.8))]
    rows += [(s, 7, 0, 1, c) for s, c in enumerate((0.6, 0.9, 0.8, 0.7))]
    assert [e.row for e in errors(*rows)] == [5, 7, 9]
    assert [e.row for e in errors(*rows[::-1])] == [5, 7, 9]


def test_the_most_frequent_wrong_class_is_shown():
    found = errors(
        *[(1, 1, 0, 3, 0.9), (2, 1, 0, 2, 0.5), (3, 1, 0, 2, 0.4), (4, 1, 0, 0, 0.9)],
        # Equally frequent: the surer one, then the lower number.
        *[(1, 2, 0, 1, 0.5), (2, 2, 0, 3, 0.6), (3, 2, 0, 0, 0.6), (4, 2, 0, 0, 0.6)],
        *[(1, 3, 0, 3, 0.5), (2, 3, 0, 1, 0.5), (3, 3, 0, 0, 0.6), (4, 3, 0, 0, 0.6)],
    )
    assert [(e.row, e.prediction, e.agreeing, e.wrong_seeds) for e in found] == [
        (1, 2, 2, 3),
        (2, 3, 1, 2),
        (3, 1, 1, 2),
    ]
    assert found[0].confidence == pytest.approx(0.6)  # of all wrong seeds, each in its own class


def test_the_list_is_cut():
    found = errors(*[(1, row, 0, 1, row / 100) for row in range(1, 30)], count=3)
    assert [e.row for e in found] == [29, 28, 27]
    assert len(errors(*[(1, row, 0, 1, 0.9) for row in range(1, 30)])) == 10


def test_values_are_judged_by_the_mean_over_seeds():
    found = errors(
        *[(1, 1, 2.0, 0.0, None), (2, 1, 2.0, 4.0, None)],  # far off twice, right in the mean
        *[(1, 2, 1.0, 2.0, None), (2, 2, 1.0, 2.5, None)],
        *[(1, 3, 4.0, 1.0, None), (2, 3, 4.0, 2.0, None)],
        *[(1, 5, 3.0, 1.5, None), (2, 5, 3.0, 2.0, None)],  # as far off as row 2
        classes=(),
    )
    assert [(e.row, e.prediction, e.error, e.seeds) for e in found] == [
        (3, 1.5, 2.5, 2),
        (2, 2.25, 1.25, 2),
        (5, 1.75, 1.25, 2),
    ]
    assert all(math.isnan(e.confidence) and math.isnan(e.wrong_seeds) for e in found)


def test_rows_without_a_label_are_no_errors():
    found = errors((1, 1, None, 1, 0.99), (1, 2, 0, 1, 0.6))
    assert [e.row for e in found] == [2]


def test_without_labelled_test_rows_dev_is_looked_into():
    dev = predictions((1, 1, 0, 1, 0.9), split="dev")
    unlabelled = predictions((1, 2, None, 1, 0.9), split="test")
    prepared = {"PAR": examples(TEXTS, "dev")}
    (row,) = most_confident_errors(looked_into(dev, unlabelled), prepared, ["PAR"]).itertuples()
    assert (row.split, row.row) == ("dev", 1)
    labelled = predictions((1, 2, 0, 1, 0.9), split="test")
    prepared = {"PAR": examples(TEXTS)}
    (row,) = most_confident_errors(looked_into(dev, labelled), prepared, ["PAR"]).itertuples()
    assert (row.split, row.row) == ("test", 2)


def test_every_role_has_its_own_rows_and_weights():
    alone = predictions((1, 1, 0, 1, 0.9), (1, 2, 0, 0, 0.9))
    weighted = {"group": "SEN+PAR", "combiner": "unitary"}
    light = predictions((1, 2, 0, 1, 0.8), (1, 1, 0, 0, 0.8), alpha="0.3", **weighted)
    heavy = predictions((1, 3, 0, 1, 0.7), alpha="0.7", **weighted)
    arms = [arm("reference"), arm("best", alpha="0.3", **weighted)]
    chosen = looked_into(heavy, light, alone, arms=arms)
    found = most_confident_errors(chosen, {"PAR": examples(TEXTS)}, ["PAR"])
    assert list(found["role"]) == ["reference", "best"]
    assert list(found["row"]) == [1, 2]
    assert [None if pd.isna(a) else a for a in found["alpha"]] == [None, "0.3"]


def test_an_arm_in_both_roles_stands_there_twice():
    rows = predictions((1, 1, 0, 1, 0.9))
    chosen = looked_into(rows, arms=[arm("reference"), arm("best")])
    found = most_confident_errors(chosen, {"PAR": examples(TEXTS)}, ["PAR"])
    assert list(found["role"]) == ["reference", "best"]
    assert list(found["rank"]) == [1, 1]


def test_texts_stay_as_they_are():
    text = "<script>alert(1)</script> \u202eevil\u2069 " + 500 * "long "
    chosen = looked_into(predictions((1, 1, 0, 1, 0.9)))
    prepared = {"PAR": examples({1: (text, None)})}
    (row,) = most_confident_errors(chosen, prepared, ["PAR"]).itertuples()
    assert row.text_a == text
    assert pd.isna(row.text_b)


def test_no_error_and_no_prediction_give_an_empty_table():
    assert errors((1, 1, 0, 0, 0.9)) == []
    assert errors() == []


def test_a_row_that_is_not_prepared_is_named():
    with pytest.raises(UserError, match="'PAR': row 77 of test is not in the prepared data"):
        errors((1, 77, 0, 1, 0.9))
    # The same number in another split is another row.
    chosen = looked_into(predictions((1, 1, 0, 1, 0.9)))
    with pytest.raises(UserError, match="row 1 of test"):
        most_confident_errors(chosen, {"PAR": examples(TEXTS, "dev")}, ["PAR"])
