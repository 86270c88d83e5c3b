"""csv and tsv in every dialect: read by what the study says, refused with what it should say."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from weightwise.config.formats import TableFormat
from weightwise.config.sources import FileSource
from weightwise.data.delimited import MAX_FIELD
from weightwise.data.parse import format_of, parse_table
from weightwise.data.sources import read_table_source
from weightwise.errors import UserError

ROWS = [["2", "a lovely song"], ["1", "river; road, house"], ["0", 'it\'s "dull"'], ["1", "x|y"]]


def parse(text: str, **keys):
    keys.setdefault("format", "csv")
    return parse_table(text.encode(), TableFormat(**keys), "FILE")


def written(rows: list[list[str]], **dialect) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", **dialect).writerows([["label", "text"], *rows])
    return file.getvalue()


@pytest.mark.parametrize(
    ("dialect", "keys"),
    [
        ({"delimiter": ";"}, {"delimiter": ";"}),
        ({"delimiter": "|"}, {"delimiter": "|"}),
        ({"delimiter": "\t"}, {"delimiter": "tab"}),
        ({"delimiter": "\t"}, {"format": "tsv"}),
        ({"delimiter": " "}, {"delimiter": "space"}),
        ({"delimiter": "¦"}, {"delimiter": "¦"}),
        ({"quotechar": "'"}, {"quote": "'"}),
        ({"quoting": csv.QUOTE_ALL, "quotechar": "'"}, {"quote": "'"}),
        ({"doublequote": False, "escapechar": "\\"}, {"escape": "\\"}),
        ({"quoting": csv.QUOTE_NONE, "escapechar": "\\", "quotechar": None},
         {"quoting": "none", "escape": "\\"}),
    ],
)  # fmt: skip
def test_dialects_by_name(dialect, keys):
    parsed = parse(written(ROWS, **dialect), **keys)
    assert parsed.frame.to_numpy().tolist() == ROWS
    assert parsed.rows.tolist() == [2, 3, 4, 5]
    assert not parsed.dropped
    assert not parsed.notes


@pytest.mark.parametrize(
    ("text", "keys", "advice"),
    [
        ("first;second;label\na b;c;5,0\nc;d;0,0\n", {}, '`delimiter: ";"`'),
        ("first;second\na, b;c\nc, d;d\n", {}, '`delimiter: ";"`'),
        ("a|b\n1|x, y\n2|z\n", {}, r'`delimiter: "\|"`'),
        ("a\tb\n1\tx, y\n2\tz\n", {}, "`format: tsv`"),
        ("label,text\n1,'a, b'\n2,'c, d, e'\n", {}, '`quote: "\'"`'),
        ("label;text\n1;'a; b, c'\n2;'c'\n", {}, '`delimiter: ";"` and `quote: "\'"`'),
        ("# made by hand\nlabel,text\n1,a\n2,b\n", {}, '`comment: "#"`'),
        ("label,text\n1,a\n% half of it\n2,b\n", {}, '`comment: "%"`'),
        ("sep=;\nlabel;text\n1;a, b\n2;b\n", {}, '`delimiter: ";"` and `comment: "sep="`'),
        ('label,text\n1,"say \\"no, no\\""\n2,b\n', {}, r'`escape: "\\\\"`'),
        ('{"text": "a, b", "label": 1}\n{"text": "c", "label": 2}\n', {}, "`format: jsonl`"),
        ('[\n {"text": "a, b"},\n {"text": "c"}\n]\n', {}, "`format: json`"),
        ('label\ttext\n1\t"He said\n2\tyes"\n', {"format": "tsv"}, "`quoting: none`"),
        ('1,"a, b"\n2,"c"\n', {"columns": ("label", "text"), "quoting": "none"},
         "`quoting: standard`"),
        ("1,a\n2,b, c\n3,d, e\n", {"columns": ("label", "text")}, "hold commas without quotes"),
        ("1,a,x\n2,b,y\n", {"columns": ("label", "text")}, "`extra_columns: ignore`"),
        ("1\ta\tx\n2\tb\n", {"columns": ("l", "t"), "format": "tsv"}, "`extra_columns: ignore`"),
        ("label,text\n1,a\n2\n" + "3,b\n" * 40, {}, r"`bad_rows: drop` .*\(1 of 42\)"),
        ("label,text\n1,a, b\n2,c, d\n", {}, "hold commas without quotes"),
    ],
)  # fmt: skip
def test_a_file_in_another_dialect_is_refused_with_what_to_set(text, keys, advice):
    with pytest.raises(UserError, match=f"(?s)FILE, line .*{advice}") as caught:
        parse(text, **keys)
    if "extra_columns" not in advice:
        assert "extra_columns" not in str(caught.value)


def test_no_advice_to_cut_texts_is_given_or_taken():
    text = "label,text\n1,a, b\n2,c\n3,d, e\n"
    with pytest.raises(ValidationError, match="needs `columns`"):
        TableFormat(extra_columns="ignore")
    headless = text.partition("\n")[2]
    with pytest.raises(UserError, match=r"FILE, line 1: rows have 2 to 3 .*would cut them"):
        parse(headless, columns=("label", "text"), extra_columns="ignore")


def test_columns_beyond_the_last_named_one_are_left_out_and_counted():
    parsed = parse("1,a,x\n2,b,y\n", columns=("n", "t"), extra_columns="ignore")
    assert parsed.frame.to_numpy().tolist() == [["1", "a"], ["2", "b"]]
    assert "in 2 rows fields beyond the last of `columns` were left out" in parsed.notes[0]
    parsed = parse("1\ta\tx\n2\tb\n", columns=("n", "t"), extra_columns="ignore", format="tsv")
    assert parsed.frame["t"].tolist() == ["a", "b"]
    assert "in 1 rows" in parsed.notes[0]
    assert "line 1" in parsed.notes[0]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("label;text\n1;a\n2;b\n", '`delimiter: ";"`'),
        ("label\ttext\n1\ta\n2\tb\n", "`format: tsv`"),
        ("sep=;\nlabel;text\n1;a\n2;b\n", '`delimiter: ";"` and `comment: "sep="`'),
        ('{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "`format: jsonl`"),
        ('[{"a": 1, "b": 2}, {"a": 3}]\n', "`format: json`"),
    ],
)
def test_a_column_that_is_missing_because_the_file_is_read_otherwise(tmp_path, text, advice):
    (tmp_path / "a.txt").write_text(text)
    table = read_table_source(FileSource(type="file", path="a.txt"), tmp_path, tmp_path)
    with pytest.raises(UserError, match=f"has no column 'text'; known: .*{advice}"):
        table.column("text")


def test_ragged_rows_are_dropped_on_request_each_with_its_line():
    text = 'id,q,label\n0,a,1\n"x\n1,b,0\n2,c\n3,d,1,9\n4,"e"e,1\n5,f,0\n'
    with pytest.raises(UserError, match=r"FILE, line 3: malformed quoting"):
        parse(text, bad_rows="drop")  # an open quote swallows rows that nobody could count
    parsed = parse(text.replace('"x\n', "x\n"), bad_rows="drop")
    assert parsed.frame["id"].tolist() == ["0", "1", "5"]
    assert parsed.rows.tolist() == [2, 4, 8]
    assert parsed.dropped == {
        "malformed quoting": [7], "too few fields": [3, 5], "too many fields": [6],
    }  # fmt: skip


def test_a_table_without_one_good_row_is_refused():
    with pytest.raises(UserError, match="no row has the 2 fields"):
        parse("a,b\n1\n2\n", bad_rows="drop")


def test_comments_are_no_rows_and_are_counted():
    text = '# one\nlabel,text\n1,"first\n# inside a text"\n#two\n2,b # not one\n'
    parsed = parse(text, comment="#")
    assert parsed.frame["text"].tolist() == ["first\n# inside a text", "b # not one"]
    assert parsed.rows.tolist() == [3, 6]
    assert parsed.notes[0].startswith("2 lines begin with '#'")
    assert "lines 1 and 5" in parsed.notes[0]
    parsed = parse(text.replace('"', ""), comment="#", quoting="none")
    assert parsed.frame["text"].tolist() == ["first", "b # not one"]
    assert parsed.rows.tolist() == [3, 6]


def test_blank_lines_between_rows_are_told():
    parsed = parse("a,b\n1,2\n\n3,4\n\n\n")
    assert parsed.notes == ["1 blank lines are no rows (line 3)"]


def test_a_stray_quote_that_merges_rows_is_told():
    rows = [f"{i % 3},words of row {i}" for i in range(64)]
    rows[4], rows[9] = '1,"quite is river', rows[9] + '"'
    parsed = parse("label,text\n" + "\n".join(rows) + "\n")
    assert len(parsed.frame) == 59
    assert any("1 rows have quoted fields that hold line breaks (line 6)" in n
               for n in parsed.notes)  # fmt: skip
    assert any("looks like other rows (line 6)" in note for note in parsed.notes)


def test_texts_with_line_breaks_are_counted_and_not_suspected():
    parsed = parse('label,text\n1,"Hello, you\nand you"\n2,"one\ntwo\nthree"\n3,x\n')
    assert parsed.notes == ["2 rows have quoted fields that hold line breaks (lines 2 and 4)"]


def test_a_long_text_is_read_and_an_endless_one_is_not():
    text = "word " * 32_000
    for quoting in ("standard", "none"):
        parsed = parse(f"label,text\n1,{text}\n", quoting=quoting)
        assert parsed.frame["text"].tolist() == [text]
    with pytest.raises(UserError, match="longer than 16,777,216 characters"):
        parse("a,b\n1," + "x" * (MAX_FIELD + 1) + "\n")


@pytest.mark.parametrize(
    ("first", "columns"),
    [("index\tsentence", ("index", "sentence")), ("Index\t Sentence ", ("index", "sentence")),
     ("text", ("text",)), ("id\tLabel\tsentence", ("id", "label", "text")),
     ("id\tq 1\tlabel", ("id", "q_1", "label"))],
)  # fmt: skip
def test_a_header_is_no_row(first, columns):
    row = "\t".join("abc"[: len(columns)])
    with pytest.raises(UserError, match=r"FILE, line 1: the first row is a header.*`columns`"):
        parse(f"{first}\n{row}\n", format="tsv", columns=columns)
    assert len(parse(f"{row}\n{row}\n", format="tsv", columns=columns).frame) == 2


def test_a_text_that_is_called_like_its_column_is_a_row():
    parsed = parse("1\ttext\n2\tmore\n", format="tsv", columns=("label", "text"))
    assert parsed.frame["text"].tolist() == ["text", "more"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoting", ["standard", "none"])
def test_line_ends(end, quoting):
    parsed = parse(end.join(["a,b", "1,x", "2,y", ""]), quoting=quoting)
    assert parsed.frame.to_numpy().tolist() == [["1", "x"], ["2", "y"]]
    assert parsed.rows.tolist() == [2, 3]


def test_nul_characters_are_dropped_on_request():
    parsed = parse("label,text\n1,a\n2,b\0c\n", bad_rows="drop")
    assert parsed.frame["text"].tolist() == ["a"]
    assert parsed.dropped == {"holds a NUL character, which no text has": [3]}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"delimiter": ",,"}, "delimiter"), ({"delimiter": ""}, "delimiter"),
        ({"delimiter": "\n"}, "line break"), ({"quote": "\0"}, "NUL"),
        ({"delimiter": ";", "quote": ";"}, "different characters"),
        ({"quote": "\\", "escape": "\\"}, "different characters"),
        ({"columns": ()}, "names no column"), ({"columns": ("a", "a")}, "names 'a' twice"),
        ({"format": "jsonl", "columns": ("a",)}, "names its own"), ({"max_unpacked": 0}, "max_un"),
    ],
)  # fmt: skip
def test_keys_that_contradict_each_other(keys, message):
    with pytest.raises(ValidationError, match=message):
        TableFormat(**keys)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.csv", "csv"), ("a.TSV", "tsv"), ("a.tab.gz", "tsv"), ("a.jsonl", "jsonl"),
     ("a.ndjson.bz2", "jsonl"), ("a.json", "json"), ("a.parquet", "parquet"), ("a.pq", "parquet"),
     ("a.txt", "csv"), ("a", "csv"), ("d/a.tsv.xz", "tsv"), (".gz", "csv")],
)  # fmt: skip
def test_the_end_of_the_name_tells_the_format(name, kind):
    assert format_of(TableFormat(), name) == kind
    assert format_of(TableFormat(format="jsonl"), name) == "jsonl"


CELL = st.text(
    st.one_of(st.sampled_from("ab ,;\"'\n\\|#\t"), st.characters(codec="utf-8")), max_size=6
).map(lambda s: s.replace("\0", "").replace("\r", ""))


@settings(max_examples=60)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6), st.sampled_from(",;|\t"),
       st.sampled_from("\"'"))  # fmt: skip
def test_rows_read_are_those_that_python_and_pandas_count(rows, delimiter, quote):
    text = written([list(r) for r in rows], delimiter=delimiter, quotechar=quote,
                   quoting=csv.QUOTE_ALL)  # fmt: skip
    assume(not (delimiter == "\t" and any("\t" in c and "\n" in c for r in rows for c in r)))
    parsed = parse(text, delimiter=delimiter, quote=quote)
    plain = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote))
    assert parsed.frame.to_numpy().tolist() == plain[1:]
    frame = pd.read_csv(io.StringIO(text), sep=delimiter, quotechar=quote, dtype=str,
                        keep_default_na=False, skip_blank_lines=False)  # fmt: skip
    assert len(frame) == len(parsed.frame)


LINE = st.lists(st.text("ab\"', ", max_size=4), min_size=1, max_size=4).map(",".join)


@settings(max_examples=100)
@given(st.lists(LINE, max_size=8))
def test_no_row_is_lost_without_a_count(lines):
    text = "x,y\n" + "".join(line + "\n" for line in lines)
    if lines and all(line.count(",") != 1 for line in lines if line) and any(lines):
        with pytest.raises(UserError, match="no row has the 2 fields"):
            parse(text, quoting="none", bad_rows="drop")
        return
    parsed = parse(text, quoting="none", bad_rows="drop")
    counted = [*parsed.rows, *(n for numbers in parsed.dropped.values() for n in numbers)]
    assert sorted(counted) == [i for i, line in enumerate(lines, 2) if line]
    for position, number in enumerate(parsed.rows):
        assert parsed.frame.iloc[position].tolist() == lines[number - 2].split(",")
