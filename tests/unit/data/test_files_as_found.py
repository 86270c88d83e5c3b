"""Whole files in the shapes that people have, from the bytes to prepared rows and their counts."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from weightwise.data.prepare import prepare
from weightwise.errors import UserError
from weightwise.tables import Examples, read_table


@pytest.fixture
def run(tmp_path: Path, study):
    """`run({"name": bytes}, {source keys}, {task keys})` -> checks, prepared rows."""

    def act(train: bytes, dev: bytes, ending: str, source: dict, **task):
        for split, data in (("train", train), ("dev", dev)):
            (tmp_path / "data" / f"{split}{ending}").write_bytes(data)
        sources = {
            split: {"type": "file", "path": f"{split}{ending}"} | source
            for split in ("train", "dev")
        }
        known = task.pop("known_rows", {})
        out = tmp_path / "out"
        checks = prepare(
            study({"T": task | {"data": sources | {"known_rows": known}}}), out, tmp_path / "cache"
        )
        return checks, read_table(out / "T.parquet", Examples)

    return act


BINARY = {"kind": "binary", "text": ["s"], "label": "y"}
SIMILAR = {"kind": "regression", "range": [0, 5], "text": ["a", "b"], "label": "y"}


def test_a_german_spreadsheet(run):
    text = "a;b;y\r\nschöne „Grüße“;für 5 €;4,5\r\n'ne Frage – warum;x, y;0\r\n"
    keys = {"encoding": "windows-1252", "delimiter": ";", "decimal": ","}
    data = text.encode("cp1252")
    checks, rows = run(data, data, ".csv", keys, **SIMILAR)
    assert rows["text_a"].tolist() == ["schöne „Grüße“", "'ne Frage – warum"] * 2
    assert rows["text_b"].tolist() == ["für 5 €", "x, y"] * 2
    assert rows["label"].tolist() == [4.5, 0.0] * 2
    assert checks["tasks"]["T"]["control_characters"] == 0


def test_a_decimal_comma_without_its_key_is_named(run):
    data = b"a\tb\ty\none\ttwo\t4,5\n"
    with pytest.raises(UserError, match=r"""line 2, column 'y'.*`decimal: ","`"""):
        run(data, data, ".tsv", {}, **SIMILAR)


def test_question_pairs_with_broken_rows(run):
    """Rows of GLUE's QQP that a stray line break has torn apart."""
    lines = ["id\tqid1\tqid2\ta\tb\ty", *(f"{i}\t1\t2\tfirst {i}\tsecond {i}\t{i % 2}"
                                           for i in range(20))]  # fmt: skip
    lines.insert(7, '"\tWas the film good?\t0')
    lines.insert(12, "9\t1\t2\tmore\tand\tmore\t1")
    train = "\n".join(lines).encode()
    dev = "\n".join(lines[:4]).encode()
    task = {"kind": "binary", "text": ["a", "b"], "label": "y", "known_rows": {"train": 22}}
    with pytest.raises(UserError, match=r"line 8: has 3 fields where 6 .*`bad_rows: drop`"):
        run(train, dev, ".tsv", {"quoting": "none"}, **task)
    checks, rows = run(train, dev, ".tsv", {"quoting": "none", "bad_rows": "drop"}, **task)
    facts = checks["tasks"]["T"]
    kept = rows[rows["split"] == "train"]
    assert facts["rows_read"] == {"train": 22, "dev": 3}
    assert facts["dropped"]["train"] == {"too few fields": 1, "too many fields": 1}
    assert len(kept) == 20
    assert not {8, 13} & set(kept["row"])
    assert any("1 of 22 rows left out, too few fields (`bad_rows: drop`; line 8)" in w
               for w in checks["warnings"])  # fmt: skip


def test_a_stray_quote_is_warned_of(run):
    lines = ["y,s", *(f"{i % 2},words of row {i}" for i in range(20))]
    lines[5] = '1,"quite is river'
    lines[10] += '"'
    data = "\n".join(lines).encode()
    checks, rows = run(data, data, ".csv", {}, **BINARY)
    assert len(rows) == 2 * 15
    told = [w for w in checks["warnings"] if "line breaks" in w or "other rows" in w]
    assert len(told) == 4
    assert all("line 6" in w for w in told)


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".jsonl.gz"])
def test_truth_values_of_json(run, ending):
    lines = ['{"s": "one", "y": true}', '{"s": "two", "y": false}']
    text = "\n".join(lines) if "jsonl" in ending else "[" + ",\n".join(lines) + "]"
    data = gzip.compress(text.encode()) if ending.endswith("gz") else text.encode()
    task = BINARY | {"label_values": ["false", "true"]}
    _, rows = run(data, data, ending, {}, **task)
    assert rows["label"].tolist() == [1, 0, 1, 0]
    _, rows = run(data, data, ending, {}, **BINARY)
    assert rows["label"].tolist() == [1, 0, 1, 0]


def test_a_number_beyond_all_bounds_is_refused(run):
    data = b'{"a": "x", "b": "y", "y": 1' + b"0" * 400 + b"}\n"
    with pytest.raises(UserError, match="line 1, column 'y'"):
        run(data, data, ".jsonl", {}, **SIMILAR)


def test_decimals_of_parquet_beside_columns_that_nobody_reads(run, tmp_path):
    path = tmp_path / "x"
    columns = {
        "a": pa.array(["one", "two"]).dictionary_encode(),
        "b": pa.array(["eins", "zwei"], pa.large_string()),
        "y": pa.array([Decimal("2.00"), Decimal("4.25")]),
        "broken": pa.array([b"\xff", b"\xfe"]).view(pa.string()),
        "vectors": pa.array([[0.1], [0.2]]),
    }
    pq.write_table(pa.table(columns), path)
    _, rows = run(path.read_bytes(), path.read_bytes(), ".parquet", {}, **SIMILAR)
    assert rows["label"].tolist() == [2.0, 4.25] * 2
    with pytest.raises(UserError, match=r"column 'broken', record 1: is not UTF-8"):
        run(path.read_bytes(), path.read_bytes(), ".parquet", {}, **SIMILAR | {"text": ["broken"]})
    with pytest.raises(UserError, match="column 'vectors': holds lists"):
        run(path.read_bytes(), path.read_bytes(), ".parquet", {}, **SIMILAR | {"label": "vectors"})
