"""Tables of every layout, and every way in which one can be broken."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightwise.config.sources import FileSource, HubSource, TableFormat
from weightwise.data.download import file_sha256
from weightwise.data.parse import parse_table
from weightwise.data.sources import hub_patterns, read_hub_folder, read_table_source
from weightwise.errors import UserError


def parse(text: str | bytes, **keys):
    data = text if isinstance(text, bytes) else text.encode()
    keys.setdefault("format", "tsv")
    parsed = parse_table(data, TableFormat(**keys), "FILE")
    return parsed.frame, parsed.rows.tolist()


def test_quotes_that_are_ordinary_text_merge_no_rows():
    text = 'a\t1\t"He said\tyes\r\nb\t2\tit\'s 5" long\tno\r\nc\t3\t"x" and "\t\r\n'
    frame, rows = parse(text, quoting="none", columns=("id", "n", "s", "t"))
    assert frame["s"].tolist() == ['"He said', "it's 5\" long", '"x" and "']
    assert frame["t"].tolist() == ["yes", "no", ""]
    assert rows == [1, 2, 3]


def test_standard_quoting_counts_lines_with_the_header():
    text = '\tid\ts\r\n0\ta\t"one ""two""\r\nthree"\r\n\r\n1\tb\tplain\r\n'
    frame, rows = parse(text)
    assert list(frame.columns) == ["", "id", "s"]
    assert frame["s"].tolist() == ['one "two"\r\nthree', "plain"]
    assert rows == [2, 5]


def test_byte_order_mark_and_characters_that_look_like_line_ends():
    frame, _ = parse("\ufeffid\ts\n1\tone\x1ctwo\u2028three\x85\n", quoting="none")
    assert frame["id"].tolist() == ["1"]
    assert frame["s"].tolist() == ["one\x1ctwo\u2028three\x85"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'a\tb\n1\t"open\n2\tx\n',
            r"FILE, line 2: malformed quoting .*never closed.*quoting: none",
        ),
        ('a\tb\n1\tx\n2\t"y"z\n', r"FILE, line 3: malformed quoting"),
        ('a\tb\n1\t"x\n2\ty"\n', r"FILE, line 2: .* runs on to line 3 .*rows were merged"),
        ("a\tb\n1\tx\n2\n", r"FILE, line 3: has 1 fields where 2 are expected"),
        ("a\tb\n1\tx\ty\n", r"FILE, line 2: has 3 fields where 2 .*bad_rows: drop"),
        ("a\ta\n1\tx\n", "names column 'a' twice"),
        ("", "is empty"),
        (b"a\tb\n1\tx\n2\t\xff\n", r"FILE, line 3: is not UTF-8 text"),
    ],
)
def test_broken_tables(text, message):
    with pytest.raises(UserError, match=message):
        parse(text)


def test_latin1_and_ignored_extra_columns():
    frame, _ = parse(b"caf\xe9\t1\textra\n", encoding="latin-1", columns=("s", "n"),
                     extra_columns="ignore", quoting="none")  # fmt: skip
    assert frame.to_numpy().tolist() == [["café", "1"]]


def test_jsonl_keeps_values_and_lines():
    frame, rows = parse('{"s": "x", "n": 1}\n\n{"s": null, "n": NaN, "m": 2}\n', format="jsonl")
    assert rows == [1, 3]
    assert frame["s"].tolist() == ["x", None]
    assert frame["m"].tolist() == [None, 2]
    assert frame["n"][0] == 1
    assert frame["n"][1] != frame["n"][1]
    with pytest.raises(UserError, match="FILE, line 2: is not valid JSON"):
        parse('{"s": 1}\n{"s": \n', format="jsonl")
    with pytest.raises(UserError, match="FILE, record 1: is not a JSON object"):
        parse("[1]\n", format="jsonl")


def test_parquet_keeps_whole_numbers_beside_null(tmp_path):
    path = tmp_path / "x.parquet"
    pd.DataFrame({"n": pd.array([1, None], "Int64"), "s": ["a", None]}).to_parquet(path)
    table = read_table_source(FileSource(type="file", path=str(path), format="parquet"), None, path)
    assert table.column("n").tolist() == [1, None]
    assert table.column("s").tolist() == ["a", None]
    assert table.at(1) == f"{path}, record 2"
    with pytest.raises(UserError, match="FILE: is not a Parquet table"):
        parse(b"hello", format="parquet")


def test_files_are_found_below_data_dir_and_verified(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("s,n\nx,1\n")
    good = FileSource(type="file", path="a.csv", sha256=file_sha256(path))
    table = read_table_source(good, tmp_path, tmp_path)
    assert table.sha256 == file_sha256(path)
    assert table.at(0) == f"{path}, line 2"
    with pytest.raises(UserError, match="has no column 'm'; known: n, s"):
        table.column("m")
    with pytest.raises(UserError, match="another checksum"):
        read_table_source(good.model_copy(update={"sha256": "0" * 64}), tmp_path, tmp_path)
    with pytest.raises(UserError, match=r"b.csv: there is no such file; did you mean 'a.csv'"):
        read_table_source(FileSource(type="file", path="b.csv"), tmp_path, tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder: cannot be read"):
        read_table_source(FileSource(type="file", path="folder"), tmp_path, tmp_path)


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(st.lists(st.tuples(CELL, CELL), max_size=6))
def test_whatever_a_csv_writer_writes_is_read_back(rows):
    text = pd.DataFrame([("h1", "h2"), *rows]).to_csv(index=False, header=False)
    frame, _ = parse(text, format="csv")
    assert frame.to_numpy().tolist() == [list(r) for r in rows]


def hub(**keys) -> HubSource:
    return HubSource(**{"type": "hub", "dataset": "org/set", "revision": "abc", **keys})


@pytest.mark.parametrize(
    ("files", "config"),
    [
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"], None),
        (["stsb/train-00000-of-00001.parquet", "mrpc/train-00000-of-00001.parquet"], "stsb"),
        (["stsb/train/0000.parquet", "mrpc/train/0000.parquet"], "stsb"),
        (["train.parquet", "dev.parquet"], None),
        (["data/train-0.parquet"], "default"),
    ],
)
def test_hub_layouts(tmp_path, files, config):
    for number, name in enumerate(files):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"sentence": [f"text {number}"], "label": [number]}).to_parquet(path)
    table = read_hub_folder(hub(split="train", config=config), tmp_path)
    expected = [0, 1] if files[0].startswith("data/train-00000") else [0]
    assert table.column("label").tolist() == expected
    assert table.rows.tolist() == [n + 1 for n in expected]
    assert len(table.sha256) == 64
    with pytest.raises(UserError, match="no parquet file of split 'trai'"):
        read_hub_folder(hub(split="trai", config=config), tmp_path)


def test_hub_needs_a_configuration_where_there_are_several(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pd.DataFrame({"x": [1]}).to_parquet(tmp_path / name / "train-0.parquet")
    with pytest.raises(UserError, match=r"several configurations \(a, b\); name one with `config`"):
        read_hub_folder(hub(split="train"), tmp_path)


def test_hub_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"weightwise\[hub\]"):
        read_table_source(hub(split="train"), None, tmp_path)


def test_hub_download_asks_for_parquet_of_one_revision(tmp_path, monkeypatch):
    asked = {}

    def snapshot_download(repository, **keys):
        asked.update(keys, repository=repository)
        (tmp_path / "got").mkdir()
        pd.DataFrame({"x": ["a"]}).to_parquet(tmp_path / "got" / "train.parquet")
        return str(tmp_path / "got")

    class Client:
        pass

    Client.snapshot_download = staticmethod(snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", Client)
    table = read_table_source(hub(split="train"), None, tmp_path)
    assert table.column("x").tolist() == ["a"]
    assert asked["repository"] == "org/set"
    assert asked["repo_type"] == "dataset"
    assert asked["revision"] == "abc"
    assert asked["allow_patterns"] == ["*train*.parquet"]

    def refuse(repository, **keys):
        raise RuntimeError("404: no such revision\nmore")

    Client.snapshot_download = staticmethod(refuse)
    with pytest.raises(UserError, match=r"revision 'abc': could not .*\(404: no such revision\)"):
        read_table_source(hub(split="train"), None, tmp_path)


def test_hub_patterns_are_parquet_only():
    assert all(p.endswith(".parquet") for p in hub_patterns(hub(split="dev", config="stsb")))
