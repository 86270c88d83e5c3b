"""Raw labels become numbers, or an error that says where and what."""

from __future__ import annotations

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


def labels(raw: list, config: TaskConfig, positions=None):
    frame = pd.DataFrame({"y": pd.Series(raw, dtype=object)})
    table = SourceTable(frame, np.arange(2, len(raw) + 2), "0" * 64, "", "FILE")
    return read_labels(table, config, np.arange(len(raw)) if positions is None else positions)


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
