"""Parquet in every type that people write, and in shapes that nobody should decode."""

from __future__ import annotations

import datetime
import io
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightwise.config.sources import FileSource
from weightwise.data import parquet
from weightwise.data.parquet import ParquetColumns
from weightwise.data.sources import read_table_source
from weightwise.errors import UserError


def packed(columns: dict, **keys) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **keys)
    return file.getvalue()


def opened(columns: dict, **keys) -> ParquetColumns:
    return ParquetColumns(packed(columns, **keys), "FILE")


DAY = datetime.date(2020, 2, 29)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array(["a", None, "a"]), ["a", None, "a"]),
        (pa.array(["a", None, "ä"], pa.large_string()), ["a", None, "ä"]),
        (pa.array(["a", None, "ä"], pa.string_view()), ["a", None, "ä"]),
        (pa.array(["b", None, "a", "b"]).dictionary_encode(), ["b", None, "a", "b"]),
        (pa.array([1, None, 2**62]), [1, None, 2**62]),
        (pa.array([1, 255], pa.uint8()), [1, 255]),
        (pa.array([1, None]).dictionary_encode(), [1, None]),
        (pa.array([0.5, None]), [0.5, None]),
        (pa.array([0.5, 2], pa.float32()), [0.5, 2.0]),
        (pa.array([True, None, False]), [True, None, False]),
        (pa.array([Decimal("2.00"), None]), [Decimal("2.00"), None]),
        (pa.array([Decimal("1e40")], pa.decimal256(60, 2)), [Decimal("1e40")]),
        (pa.array([DAY, None]), [DAY, None]),
        (pa.array([datetime.datetime(2020, 1, 2, 3)], pa.timestamp("ms")),
         [datetime.datetime(2020, 1, 2, 3)]),
        (pa.array([None, None]), [None, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)  # fmt: skip
def test_values_of_every_plain_type(array, expected):
    got = opened({"x": array}).read("x")
    assert got == expected
    assert [type(v) for v in got] == [type(v) for v in expected] or "timestamp" in str(array.type)


@pytest.mark.parametrize(
    ("array", "words"),
    [(pa.array([[1, 2]]), "lists or structures"), (pa.array([{"a": 1}]), "lists or structures"),
     (pa.array([b"x"]), "bytes"), (pa.array([b"xy"], pa.binary(2)), "bytes")],
)  # fmt: skip
def test_columns_without_plain_values_are_refused_where_used_and_ignored_elsewhere(array, words):
    table = opened({"x": array, "text": pa.array(["a"])})
    assert table.read("text") == ["a"]
    with pytest.raises(UserError, match=f"FILE, column 'x': holds {words}"):
        table.read("x")


@pytest.mark.parametrize("dictionary", [True, False])
def test_text_that_is_not_utf8(tmp_path, dictionary):
    bad = pa.array([b"good", None, b"caf\xe9", b"good"]).view(pa.string())
    path = tmp_path / "x.parquet"
    path.write_bytes(packed({"text": bad, "label": pa.array([1, 2, 3, 4])},
                            use_dictionary=dictionary))  # fmt: skip
    table = read_table_source(FileSource(type="file", path="x.parquet"), tmp_path, tmp_path)
    assert table.column("label").tolist() == [1, 2, 3, 4]
    with pytest.raises(UserError, match=r"x.parquet, column 'text', record 3: is not UTF-8"):
        table.column("text")


def test_a_dictionary_that_repeats_one_text_without_end_is_refused():
    # 2,000 rows of one text of 10 MB: 20 GB in a few hundred bytes.
    indices = pa.array(np.zeros(2_000, dtype=np.int32))
    data = packed({"text": pa.DictionaryArray.from_arrays(indices, pa.array(["a" * 10_000_000])),
                   "label": pa.array([1] * 2_000)}, compression="zstd")  # fmt: skip
    assert len(data) < 20_000
    table = ParquetColumns(data, "FILE")
    assert table.read("label") == [1] * 2_000
    with pytest.raises(UserError, match=r"FILE, column 'text'.*`max_unpacked`"):
        table.read("text")


def test_prefixes_that_make_every_text_long_are_refused():
    data = packed({"text": pa.array(["a" * 1_000_000 + str(i) for i in range(1_000)])},
                  compression="zstd", use_dictionary=False,
                  column_encoding={"text": "DELTA_BYTE_ARRAY"})  # fmt: skip
    assert len(data) < 100_000
    with pytest.raises(UserError, match=r"FILE, column 'text'.*`max_unpacked`"):
        ParquetColumns(data, "FILE").read("text")
    assert len(ParquetColumns(data, "FILE", 2_000_000_000).read("text")) == 1_000


def test_more_bytes_than_stated_are_refused():
    data = packed({"text": pa.array(["x" * 1000] * 1000)}, use_dictionary=False)
    with pytest.raises(UserError, match=r"take more than 100,000 bytes.*`max_unpacked`"):
        ParquetColumns(data, "FILE", 100_000).read("text")


def test_equal_texts_are_one_object():
    got = opened({"text": pa.array(["a long text"] * 100)}).read("text")
    assert all(value is got[0] for value in got)


def test_more_rows_than_a_file_can_hold(monkeypatch):
    data = packed({"x": pa.array([1, 2, 3])})
    monkeypatch.setattr(parquet, "MAX_ROWS", 2)
    with pytest.raises(UserError, match="FILE: says that it holds 3 rows"):
        ParquetColumns(data, "FILE")


def test_several_row_groups():
    got = opened({"x": pa.array([str(i) for i in range(10_000)])}, row_group_size=777).read("x")
    assert got == [str(i) for i in range(10_000)]


def test_a_repeated_column():
    file = io.BytesIO()
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), file)
    with pytest.raises(UserError, match="FILE: names column 'a' twice"):
        ParquetColumns(file.getvalue(), "FILE")


GOOD = packed({"text": pa.array(["some", "texts", "some"] * 20), "n": pa.array(range(60))})


@settings(max_examples=80, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.booleans())
def test_damaged_files_give_one_line(at, byte, cut):
    data = GOOD[:at] if cut else GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    try:
        table = ParquetColumns(data, "FILE")
        for column in table.columns:
            assert len(table.read(column)) == table.rows
    except UserError as error:
        said = str(error)
        assert "\n" not in said, said
        assert said.startswith("FILE"), said
