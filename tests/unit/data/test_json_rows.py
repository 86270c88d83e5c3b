"""JSON lines and arrays: values stay what they are, what is no row is named or counted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightwise.config.formats import TableFormat
from weightwise.data.parse import parse_table
from weightwise.errors import UserError


def parse(text: str | bytes, **keys):
    data = text if isinstance(text, bytes) else text.encode()
    keys.setdefault("format", "json")
    return parse_table(data, TableFormat(**keys), "FILE")


@pytest.mark.parametrize("kind", ["json", "jsonl"])
@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_and_lines_are_told_apart(kind, indent):
    rows = [{"text": "a", "label": 2}, {"text": "b]", "label": None}, {"text": "c", "x": True}]
    parsed = parse("\ufeff" + json.dumps(rows, indent=indent), format=kind)
    assert parsed.unit == "record"
    assert parsed.rows.tolist() == [1, 2, 3]
    assert parsed.frame["label"].tolist() == [2, None, None]
    assert parsed.frame["x"].tolist() == [None, None, True]
    lines = parse("\n".join(map(json.dumps, rows)), format=kind)
    assert lines.unit == "line"
    assert lines.frame.equals(parsed.frame)


def test_values_stay_what_they_are():
    big = 10**30
    row = {"b": True, "i": big, "f": 1.5, "n": None, "d": {"x": [1]}, "l": [1, "a"], "t": "é"}
    parsed = parse(json.dumps(row), format="jsonl")
    assert parsed.frame.iloc[0].to_dict() == row
    assert parsed.frame["b"][0] is True


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"s": ', "is not valid JSON"),
        ('{"s": 1} {"s": 2}', "something follows the object"),
        ("[1]", "is not a JSON object"), ("3", "is not a JSON object"),
        ('{"s": 1, "s": 2}', "names 's' twice"),
        ('{"s": {"t": 1, "t": 2}}', "names 't' twice"),
        ('{"s": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"s": ' + "9" * 5_000 + "}", "too many digits"),
        ('{"\\ud800": 1}', "surrogate"), ('{"\\u0000": 1}', "NUL"),
    ],
)  # fmt: skip
def test_lines_that_are_no_rows(line, problem):
    text = f'{{"s": 0}}\n{line}\n\n{{"s": 3}}\n'
    with pytest.raises(UserError, match=f"FILE, line 2: .*{problem}.*bad_rows: drop"):
        parse(text, format="jsonl")
    parsed = parse(text, format="jsonl", bad_rows="drop")
    assert parsed.frame["s"].tolist() == [0, 3]
    assert parsed.rows.tolist() == [1, 4]
    assert list(parsed.dropped.values()) == [[2]]


@pytest.mark.parametrize("value", ['"\\ud800"', '"a\\u0000"'])
def test_text_that_nothing_can_take_is_left_to_its_column_or_dropped(value):
    text = f'{{"s": {value}}}\n{{"s": "b"}}\n'
    assert len(parse(text).frame) == 2
    assert parse(text, bad_rows="drop").rows.tolist() == [2]


def test_elements_of_an_array_that_are_no_rows():
    text = '[{"s": 0},\n 5,\n {"s": 1, "s": 2},\n {"s": 3}]'
    with pytest.raises(UserError, match=r"FILE, record 2: is not a JSON object.* \(and 1 more"):
        parse(text)
    parsed = parse(text, bad_rows="drop")
    assert parsed.rows.tolist() == [1, 4]
    assert sorted(n for lines in parsed.dropped.values() for n in lines) == [2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"s": 1},\n{"s": ]', r"FILE, line 2: record 2 is not valid JSON"),
        ('[{"s": 1}\n{"s": 2}]', r"FILE, line 2: .*a comma"),
        ('[{"s": 1}', r"FILE, line 1: .*a comma"),
        ('[{"s": 1}]\n[{"s": 2}]', r"FILE, line 2: something follows the end"),
        ("[" * 100_000, "FILE, line 1: record 1 is nested too deeply"),
        ("[]", "holds no row"), ("", "holds no row"), ("[", "FILE, line 1: record 1"),
        ('{\n "s": [1, 2],\n "t": [3]\n}\n', "one JSON object over several lines"),
    ],
)  # fmt: skip
def test_broken_files(text, message):
    with pytest.raises(UserError, match=message):
        parse(text, bad_rows="drop")


def test_columns_are_not_for_json():
    with pytest.raises(UserError, match="remove `columns`"):
        parse_table(b'{"a": 1}', TableFormat(columns=("a",)), "FILE", "a.jsonl")


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.integers())


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES), min_size=1, max_size=5))
def test_rows_are_those_of_json(rows):
    for text in (json.dumps(rows), "\n".join(map(json.dumps, rows))):
        parsed = parse(text)
        assert len(parsed.frame) == len(rows)
        for column in parsed.columns:
            assert parsed.frame[column].tolist() == [row.get(column) for row in rows]


@settings(max_examples=100)
@given(st.text('[]{},:"a1 \n\\tu', max_size=20))
def test_no_line_is_lost_without_a_count(text):
    try:
        parsed = parse(text, bad_rows="drop", format="jsonl")
    except UserError:
        return  # nothing was read, and that was said
    if parsed.unit == "line":
        counted = [*parsed.rows, *(n for lines in parsed.dropped.values() for n in lines)]
        lines = text.split("\n")
        assert sorted(counted) == [n for n, line in enumerate(lines, 1) if line.strip(" \t\r\n")]
