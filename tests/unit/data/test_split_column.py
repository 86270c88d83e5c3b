"""One file for several splits: a filter of each table's own, or a column that names the split."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from pydantic import ValidationError

from weightwise.config import StudyConfig
from weightwise.data.dropped import Dropped
from weightwise.data.prepare import prepare
from weightwise.data.sources import read_table_source
from weightwise.errors import UserError
from weightwise.tables import DroppedRows, Examples, read_table

ALL = {"type": "file", "format": "tsv", "path": "all.tsv"}
HEADER = ["s", "y", "split"]
SPLIT = [
    *([f"train {i}", i % 2, "train"] for i in range(6)),
    *([f"dev {i}", i % 2, "validation"] for i in range(3)),
    *([f"test {i}", "" if i else 1, "test"] for i in range(2)),
    ["other", 1, "extra"],
    ["none", 0, ""],
]


@pytest.fixture
def run(tmp_path, study, write):
    def act(data: dict, rows: list[list] | None = None, **keys):
        write("all.tsv", [HEADER, *(SPLIT if rows is None else rows)])
        task = {"kind": "binary", "text": "s", "label": "y", "data": {"train": ALL} | data} | keys
        checks = prepare(study({"T": task}), tmp_path / "out", tmp_path / "cache")
        table = read_table(tmp_path / "out" / "T.parquet", Examples)
        return checks["tasks"]["T"], table

    return act


def rows_of(table) -> dict[str, list[int]]:
    return {split: part["row"].tolist() for split, part in table.groupby("split")}


def test_a_column_names_the_split(run, tmp_path):
    by = {"column": "split", "dev": ["dev", "validation"], "test": "test"}
    facts, table = run({"split_by": by, "missing_label": "drop"})
    assert rows_of(table) == {"train": [*range(2, 8)], "dev": [8, 9, 10], "test": [11]}
    assert facts["rows_read"] == {"train": 13}
    assert facts["dropped"] == {
        "train": {"of no split by 'split'": 2}, "dev": {}, "test": {"no label": 1},
    }  # fmt: skip
    assert facts["dropped_first"]["train"] == {"of no split by 'split'": [13, 14]}
    assert facts["sources"][0]["splits"] == ["train", "dev", "test"]
    dropped = read_table(tmp_path / "out" / "dropped.parquet", DroppedRows)
    assert dropped[["table", "row", "reason"]].to_numpy().tolist() == [
        ["train", 13, "of no split by 'split'"],
        ["train", 14, "of no split by 'split'"],
        ["test", 12, "no label"],
    ]


def test_a_column_names_the_split_and_the_test_rows_have_no_labels(run):
    by = {"column": "split", "dev": "validation", "test": "test"}
    facts, table = run({"split_by": by, "test_labelled": False})
    assert rows_of(table)["test"] == [11, 12]
    assert facts["splits"]["test"]["labelled"] == 0


def test_where_of_a_table_is_for_it_alone(run):
    def part(*values):
        return ALL | {"where": [{"column": "split", "values": values}]}

    facts, table = run({
        "train": part("train"), "dev": part("validation"), "test": part("test"),
        "missing_label": "drop", "where": [{"column": "s", "values": "train 3", "exclude": True}],
    })  # fmt: skip
    assert rows_of(table) == {"train": [2, 3, 4, 6, 7], "dev": [8, 9, 10], "test": [11]}
    assert facts["rows_read"] == {"train": 13, "dev": 13, "test": 13}
    assert facts["dropped"] == {
        "train": {"by `where` of train": 7, "by `where`": 1},
        "dev": {"by `where` of dev": 10},
        "test": {"by `where` of test": 11, "no label": 1},
    }


def test_a_split_that_no_row_is_of(run):
    with pytest.raises(UserError, match=r"all.tsv, column 'split': no row is of dev; there is "
                       r"'train' 6 times, 'validation' 3 times.* in `split_by.dev`"):  # fmt: skip
        run({"split_by": {"column": "split"}})
    with pytest.raises(UserError, match="has no column 'splitt'; did you mean 'split'"):
        run({"split_by": {"column": "splitt"}})


def test_splits_by_number_and_by_truth_value(run):
    rows = [["a", 0, "0"], ["b", 1, "0.0"], ["c", 1, "1"], ["d", 1, "2"]]
    _, table = run({"split_by": {"column": "split", "train": 0, "dev": [1]}}, rows)
    assert rows_of(table) == {"train": [2, 3], "dev": [4]}
    rows = [["a", 0, "True"], ["b", 1, "FALSE"], ["c", 1, "false"], ["d", 1, "x"]]
    _, table = run({"split_by": {"column": "split", "train": True, "dev": False}}, rows)
    assert rows_of(table) == {"train": [2], "dev": [3, 4]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "name a `dev` table, or divide `train` with `split` or `split_by`"),
        ({"dev": ALL, "split_by": {"column": "c"}}, "`dev` and `split_by` exclude each other"),
        ({"split": {"dev": 0.5}, "split_by": {"column": "c"}}, "`split` and `split_by` exclude"),
        ({"test": ALL, "split_by": {"column": "c", "test": "t"}}, "`test` and `split_by.test`"),
        ({"split_by": {"column": "c", "train": ["x"], "dev": ["x"]}}, "'x' is of both train and"),
        ({"split_by": {"column": "c", "dev": []}}, "at least 1"),
        ({"split": {"dev": 0.5}, "known_rows": {"dev": 3}}, "`known_rows.dev` is of a `dev`"),
        ({"dev": ALL, "where": [{"column": "c", "values": [None]}]}, "put it in quotes: YAML rea"),
    ],
)
def test_what_does_not_go_together(data, message):
    task = {"kind": "binary", "text": ["s"], "label": "y", "data": {"train": ALL} | data}
    with pytest.raises(ValidationError, match=message):
        StudyConfig.model_validate({
            "name": "x", "tasks": {"T": task},
            "encoder": {"source": {"type": "directory", "path": "e"}},
        })  # fmt: skip


def test_filters_of_values_that_are_no_text(study, tmp_path):
    (tmp_path / "data").mkdir(exist_ok=True)
    cells = [True, False, 1, 1.0, "1", "true", "True", None, "", 10**400, 0.1]
    lines = [json.dumps({"s": f"t{i}", "y": i % 2, "c": c}) for i, c in enumerate(cells)]
    (tmp_path / "data" / "x.jsonl").write_text("\n".join(lines) + "\n")
    source = {"type": "file", "format": "jsonl", "path": "x.jsonl"}
    for values, kept in (
        ([True], [0, 5, 6]),
        ("true", [0, 5]),
        ([False], [1]),
        ([1], [2, 3, 4]),
        ("1", [2, 3, 4]),
        ("1.0", [2, 3]),
        ([0.1], [10]),
        ("", [7, 8]),
    ):
        train = source | {"where": [{"column": "c", "values": values}]}
        task = {
            "kind": "binary", "text": "s", "label": "y", "data": {"train": train, "dev": source},
        }  # fmt: skip
        prepare(study({"T": task}), tmp_path / "out", tmp_path / "cache")
        table = read_table(tmp_path / "out" / "T.parquet", Examples)
        assert (table.loc[table["split"] == "train", "row"] - 1).tolist() == kept, values


def test_rows_that_the_reader_left_out_are_counted(run, monkeypatch, tmp_path):
    def read(source, data_dir, cache):
        table = read_table_source(source, data_dir, cache)
        bad = np.isin(table.rows, (3, 9))
        frame = table.frame[~bad].reset_index(drop=True)
        lost = {"too few fields": [3], "malformed quoting": [9]}
        return dataclasses.replace(table, frame=frame, rows=table.rows[~bad], dropped=lost)

    monkeypatch.setattr("weightwise.data.prepare.read_table_source", read)
    by = {"column": "split", "dev": "validation"}
    facts, table = run({"split_by": by, "known_rows": {"train": 13}})
    assert facts["rows_read"] == {"train": 13}
    assert facts["sources"][0]["rows"] == 13
    assert facts["dropped"]["train"] == {
        "too few fields": 1, "malformed quoting": 1, "of no split by 'split'": 4,
    }  # fmt: skip
    assert rows_of(table) == {"train": [2, 4, 5, 6, 7], "dev": [8, 10]}


def test_a_row_that_is_lost_is_noticed(run, monkeypatch):
    monkeypatch.setattr(Dropped, "rows", lambda self, where: np.zeros(0, dtype=np.int64))
    with pytest.raises(RuntimeError, match="task 'T', table train: 13 rows were read, and 9 were"):
        run({"split_by": {"column": "split", "dev": "validation"}})
