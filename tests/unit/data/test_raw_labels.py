"""Raw labels become numbers, or an error that says where and what."""

from __future__ import annotations

import dataclasses
import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from weightwise.config import TaskConfig
from weightwise.data.labels import read_labels
from weightwise.data.sources import SourceTable
from weightwise.errors import UserError


def task(kind: str, **keys) -> TaskConfig:
    data = {"train": {"type": "file", "path": "x"}, "dev": {"type": "file", "path": "y"}}
    return TaskConfig.model_validate(
        {"kind": kind, "text": ["s"], "label": "y", "data": data} | keys
    )


def labels(raw: list, config: TaskConfig, positions=None, split="", decimal="."):
    frame = pd.DataFrame({"y": pd.Series(raw, dtype=object)})
    table = SourceTable(frame, np.arange(2, len(raw) + 2), "0" * 64, "", "FILE")
    table = dataclasses.replace(table, decimal=decimal)
    positions = np.arange(len(raw)) if positions is None else positions
    return read_labels(table, config, positions, split)


def dropping(config: TaskConfig) -> TaskConfig:
    data = config.data.model_copy(update={"bad_label": "drop"})
    return config.model_copy(update={"data": data})


FIVE = task("classification", classes=["a", "b", "c", "d", "e"])
BINARY = task("binary")
REAL = task("regression", range=[0, 5])


def test_plain_labels():
    assert labels(["0", " 4 ", "3.0", 2, 1.0], FIVE).values.tolist() == [0, 4, 3, 2, 1]
    assert labels(["0.0", "1", True, 0], BINARY).values.tolist() == [0, 1, 1, 0]
    assert labels(["0", "5", "2.25", 1], REAL).values.tolist() == [0, 5, 2.25, 1]


def test_missing_labels_are_marked():
    found = labels(["1", "", None, "  ", "0"], BINARY)
    assert found.missing.tolist() == [False, True, True, True, False]
    assert np.isnan(found.values[1:4]).all()
    assert labels([None, ""], BINARY).missing.all()


@pytest.mark.parametrize(
    ("raw", "config", "message"),
    [
        (
            ["1", "5"],
            FIVE,
            r"FILE, line 3, column 'y': label '5' is not a whole number from 0 to 4",
        ),
        (["1", "-1", "9"], FIVE, r"line 3.*'-1'.*and 1 more rows"),
        (["2.5"], FIVE, "is not a whole number"),
        (["2"], BINARY, "is not 0 or 1"),
        (["5.1"], REAL, r"'5.1' is outside `range` \[0, 5\]"),
        (["good"], REAL, "'good' is not a finite number"),
        (["nan"], REAL, "'nan' is not a finite number"),
        ([float("nan")], BINARY, "label nan is not a finite number"),
        (["inf"], REAL, "'inf' is not a finite number"),
        ([[1]], REAL, r"\[1\] is a list, and a label is text, a number"),
    ],
)
def test_wrong_labels(raw, config, message):
    with pytest.raises(UserError, match=message):
        labels(raw, config)


def test_cut_points_count_those_reached():
    config = task("classification", classes=["a", "b", "c"], cut_points=[-0.5, 0.5])
    raw = ["-4", "-0.5", "-0.50001", "0", "0.5", "0.49", "4"]
    assert labels(raw, config).values.tolist() == [0, 1, 0, 1, 2, 1, 2]


def test_bands_are_closed_and_drop_what_lies_between():
    config = task("binary", bands=[[0, 2], [4, 5]])
    found = labels(["0", "2", "2.0001", "3.9", "4", "5", ""], config)
    assert found.outside.tolist() == [False, False, True, True, False, False, False]
    assert found.missing.tolist() == [False] * 6 + [True]
    assert found.values[[0, 1, 4, 5]].tolist() == [0, 0, 1, 1]


def test_label_values():
    config = task("classification", classes=["n", "e", "c"],
                  label_values=["NEUTRAL", "ENTAILMENT", "CONTRADICTION"])  # fmt: skip
    assert labels(["ENTAILMENT", "NEUTRAL "], config).values.tolist() == [1, 0]
    with pytest.raises(UserError, match=r"line 2.*'ENTAILMNT'.*did you mean 'ENTAILMENT'"):
        labels(["ENTAILMNT"], config)


def test_only_the_asked_positions_are_read():
    found = labels(["bad", "1", "0"], BINARY, np.array([2, 1]))
    assert found.values.tolist() == [0, 1]
    with pytest.raises(UserError, match="line 2"):
        labels(["bad", "1", "0"], BINARY, np.array([2, 0]))


NAMED = task("binary", label_values=["false", "true"])
NUMBERED = task("classification", label_values=[0, 1, 2])
ODD = [10**400, -(10**4000), datetime.date(2020, 1, 2), {"a": 1}, [1], b"1", "2020-01-02", "1_0"]


@pytest.mark.parametrize(
    ("raw", "config", "expected"),
    [
        ([True, False, "true", "False"], NAMED, [1, 0, 1, 0]),
        ([True, False], BINARY, [1, 0]),
        ([1, 0.0, "2", "2.0", Decimal("1.00"), "+1", "1e0"], NUMBERED, [1, 0, 2, 2, 1, 1, 1]),
        ([Decimal("2.00"), Decimal("0.5")], REAL, [2, 0.5]),
        ([np.float32(2.5), np.int64(3), 2**60 - 2**60 + 1], REAL, [2.5, 3, 1]),
        ([10**18], task("regression", range=[0, 1e19]), [1e18]),
        ([2**70], task("regression", range=[0, 1e30]), [2.0**70]),
        (["01", "1"], task("binary", label_values=["01", "1"]), [0, 1]),
        (["-1", "1"], task("regression", range=[-1, 1]), [-1, 1]),
    ],
)
def test_labels_of_any_type(raw, config, expected):
    assert labels(raw, config).values.tolist() == expected


def test_decimal_commas():
    assert labels(["2,5", "3", 1.5], REAL, decimal=",").values.tolist() == [2.5, 3, 1.5]
    with pytest.raises(UserError, match=r"line 2.*'2,5' is a number with a decimal comma; set "
                       r"`decimal: \",\"` at the source"):  # fmt: skip
        labels(["2,5"], REAL)


@pytest.mark.parametrize("way", [BINARY, REAL, NAMED, NUMBERED,
                                 task("binary", cut_points=[0.5]),
                                 task("binary", bands=[[0, 1], [2, 3]])])  # fmt: skip
@pytest.mark.parametrize("number", range(len(ODD)))
def test_odd_labels_are_refused_or_dropped_and_never_a_traceback(way, number):
    value = ODD[number]
    with pytest.raises(UserError, match=r"FILE, line 3, column 'y': label .*`bad_label: drop`"):
        labels(["true" if way is NAMED else "1", value], way)
    found = labels(["true" if way is NAMED else "1", value], dropping(way))
    assert found.bad.tolist() == [False, True]
    assert np.isnan(found.values[1])


def test_dates_mappings_and_bytes_are_called_so():
    for value, words in (
        (datetime.date(2020, 1, 2), "a date"),
        (datetime.datetime(2020, 1, 2, 3), "a date"),
        (datetime.timedelta(3), "a time"),
        ({"label": 1}, "a mapping"),
        (b"1", "bytes"),
    ):
        with pytest.raises(UserError, match=f"is {words}, and a label is text, a number, true"):
            labels([value], NUMBERED)


@pytest.mark.parametrize("minus", ["-1", -1, -1.0, Decimal("-1.0"), " -1 "])
@pytest.mark.parametrize("config", [
    BINARY, FIVE, REAL, NUMBERED, NAMED, task("binary", cut_points=[0.5]),
    task("binary", bands=[[0, 1], [2, 3]]), task("regression", range=[-5, 5]),
])  # fmt: skip
def test_a_split_without_labels_is_told(config, minus):
    for one in (config, dropping(config)):
        said = r"every label of test is -1 \(2 rows.*set `test_labelled: false`"
        with pytest.raises(UserError, match=rf"line 2, column 'y': {said}"):
            labels([minus, None, minus], one, split="test")
        with pytest.raises(UserError, match=r"every label of dev is -1.*with labels for dev, or"):
            labels([minus], one, split="dev")


def test_minus_one_may_be_a_class_if_the_study_says_so():
    assert labels(["-1"], task("binary", label_values=[-1, 1]), split="test").values.tolist() == [0]


def test_a_single_minus_one_among_labels():
    cut = task("binary", cut_points=[0.5])
    assert labels(["1", "-1", "0"], cut).lone_minus_ones == 1
    assert labels(["1", "-1", "-0.5"], cut).lone_minus_ones == 0
    with pytest.raises(
        UserError, match=r"`bad_label: drop` to leave such rows out: -1 marks a row"
    ):
        labels(["1", "-1"], BINARY)
    assert labels(["1", "-1"], dropping(BINARY)).bad.tolist() == [False, True]


def test_numbers_are_read_to_the_last_bit():
    raw = [repr(float(x)) for x in np.random.default_rng(0).uniform(0, 5, 2000)]
    expected = pd.to_numeric(pd.Series(raw, dtype=object)).to_numpy(dtype=float)
    assert (labels(raw, REAL).values == expected).all()
