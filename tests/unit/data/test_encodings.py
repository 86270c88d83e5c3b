"""Bytes become the text that was meant, or an error that names the line and the encoding."""

from __future__ import annotations

import codecs
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from weightwise.config.formats import ENCODINGS, TableFormat
from weightwise.data.encodings import decode, likely
from weightwise.data.parse import parse_table
from weightwise.errors import UserError

TEXTS = {
    "windows-1252": "the “good” – the dog isn’t here… for 5 €\n",
    "windows-1250": "Zażółć gęślą jaźń, proszę się nie śmiać\n",
    "windows-1251": "Привет, как дела? Это русский текст\n",
    "windows-1253": "Γειά σου Κόσμε, τι κάνεις σήμερα\n",
    "windows-1254": "Şu çığlık İstanbul öğretmeni ağaç\n",
    "mac-roman": "The “good” – dog isn’t café\n",
    "koi8-r": "Привет, как дела? Это русский текст\n",
    "shift_jis": "これは日本語のテキストです。とても良い。\n",
    "euc-jp": "これは日本語のテキストです。とても良い。\n",
    "gb18030": "这是一个中文文本。非常好。\n",
    "big5": "這是一個中文文本。非常好。\n",
    "euc-kr": "이것은 한국어 텍스트입니다. 매우 좋다.\n",
    "utf-16": "plain words and “quotes”\n",
}


def table(data: bytes, **keys):
    return parse_table(data, TableFormat(format="tsv", quoting="none", **keys), "FILE")


@pytest.mark.parametrize("encoding", TEXTS)
def test_an_encoding_by_name_reads_what_was_written_and_is_named_where_it_is_missing(encoding):
    data = ("label\ttext\n1\t" + TEXTS[encoding]).encode(encoding)
    assert table(data, encoding=encoding).frame["text"].tolist() == [TEXTS[encoding].strip()]
    with pytest.raises(UserError, match=f"set `encoding: {encoding}`|Set `encoding: {encoding}`"):
        table(data)
    assert likely(data)[0][0] == encoding


@pytest.mark.parametrize("encoding", [*ENCODINGS, "cp1252", "ISO-8859-15", "cp437", "hz", "utf_7"])
def test_text_encodings_of_python_are_accepted(encoding):
    assert TableFormat(encoding=encoding).encoding == encoding


@pytest.mark.parametrize(
    "encoding",
    ["base64", "rot13", "hex", "zlib", "bz2", "uu", "quopri", "idna", "punycode", "undefined",
     "unicode_escape", "raw_unicode_escape", "windows-125", "", "\0", "a" * 50, "\ud800",
     "os.path"],
)  # fmt: skip
def test_what_is_no_text_encoding_is_refused(encoding):
    with pytest.raises(ValidationError, match="encoding"):
        TableFormat(encoding=encoding)


@pytest.mark.parametrize(
    ("encoding", "better"),
    [("latin-1", "windows-1252"), ("iso-8859-15", "windows-1252"), ("iso-8859-2", "windows-1250"),
     ("iso-8859-9", "windows-1254"), ("iso-8859-5", "windows-1251")],
)  # fmt: skip
def test_no_byte_becomes_a_control_character(encoding, better):
    data = b"text\nplain\nthe \x93good\x94 dog isn\x92t\n"
    with pytest.raises(UserError, match=f"FILE, line 3: byte 0x93 .*`encoding: {better}`"):
        table(data, encoding=encoding)
    assert table(data, encoding=better).frame["text"][1] == "the “good” dog isn’t"


def test_latin1_without_such_bytes_is_read():
    assert table(b"text\ncaf\xe9\n", encoding="latin-1").frame["text"].tolist() == ["café"]


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_text(mark):
    encoding = "utf-8" if mark == "utf-8-sig" else mark
    parsed = table("text\nä\n".encode(mark), encoding=encoding)
    assert parsed.columns == ("text",)
    assert parsed.frame["text"].tolist() == ["ä"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_named(encoding):
    data = "label\ttext\n1\tplain words\n".encode(encoding)
    with pytest.raises(UserError, match=f"set `encoding: {encoding}`"):
        table(data)
    assert table(data, encoding=encoding).frame["text"].tolist() == ["plain words"]


def test_the_line_of_a_bad_byte_is_that_of_the_text():
    data = "a\nb\nc".encode("utf-16-le") + b"\x00\xd8" + "\nd".encode("utf-16-le")
    with pytest.raises(UserError, match="FILE, line 3: is not UTF-16-LE text"):
        table(data, encoding="utf-16-le")


def test_rows_with_bad_bytes_are_dropped_on_request_and_counted():
    data = b"label\ttext\n1\tgood\n2\tb\xffd\n3\tfine\n4\t\xc3(\n"
    parsed = table(data, bad_rows="drop")
    assert parsed.frame["label"].tolist() == ["1", "3"]
    assert parsed.dropped == {"holds bytes that are no text in the stated encoding": [3, 5]}


def test_control_characters_in_unicode_are_told():
    parsed = table("text\nplain\n\x93good\x94\n".encode())
    assert re.search(r"1 lines hold control characters .*windows-1252.*\(line 3\)", parsed.notes[0])


@settings(max_examples=60)
@given(st.sampled_from(ENCODINGS), st.binary(max_size=40))
def test_bytes_are_read_as_python_reads_them_or_refused(encoding, data):
    name = codecs.lookup(encoding).name
    try:
        expected = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeError:
        expected = None
    controls = expected is not None and re.search("[\x80-\x9f]", expected)
    if expected is None or (controls and not name.startswith("utf")):
        with pytest.raises(UserError, match="FILE, line "):
            decode(data, encoding, "FILE")
    else:
        assert decode(data, encoding, "FILE") == (expected, False)
