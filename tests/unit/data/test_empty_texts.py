"""Texts of which nothing can be seen, and texts of which the tokenizer leaves nothing."""

from __future__ import annotations

import unicodedata

import pytest
from tokenizers import Tokenizer, normalizers

from tiny_study import task as tiny_task
from tiny_study import write_data, write_encoder
from weightwise.config import StudyConfig
from weightwise.data.prepare import prepare
from weightwise.data.stage import prepare_study
from weightwise.data.texts import visible
from weightwise.errors import UserError
from weightwise.layout import Layout
from weightwise.tables import DroppedRows, read_table

TSV = {"type": "file", "format": "tsv"}
INVISIBLE = {
    "nothing": "", "spaces": " \t\u00a0\u3000", "zero width": "\u200b\u200c\u200d\u2060",
    "byte order mark": "\ufeff", "soft hyphen": "\u00ad", "variation selectors": "\ufe00\ufe0f",
    "more of them": "\U000e0100\U000e01ef", "direction marks": "\u200e\u200f\u202a\u202e\u2066",
    "arabic letter mark": "\u061c", "invisible times": "\u2062", "tags": "\U000e0041\U000e007f",
    "mongolian separator": "\u180e", "hangul filler": "\u3164", "braille blank": "\u2800",
    "lone accents": "\u0301\u0308", "grapheme joiner": "\u034f", "controls": "\x07\x80",
    "unassigned, ignorable": "\u2065\ufff0",
}  # fmt: skip
VISIBLE = [
    "a", ".", "-", "0", "é", "e\u0301", "\u200bx", "\ufeff!", "☺\ufe0f", "悲", "ب", "\u0903",
    "\ufffd", "\ue000", "👩\u200d💻", "\u0600",
]  # fmt: skip


@pytest.mark.parametrize("name", INVISIBLE)
def test_invisible(name):
    assert not visible(INVISIBLE[name])
    assert visible(INVISIBLE[name] + "w")


@pytest.mark.parametrize("text", VISIBLE)
def test_visible(text):
    assert visible(text)


def test_all_format_characters_but_the_number_signs_are_invisible():
    seen = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) == "Cf" and visible(c)]
    assert {unicodedata.name(c).partition(" ")[0] for c in seen} == {"ARABIC", "SYRIAC", "KAITHI"}


def task(**data) -> dict:
    tables = {"train": TSV | {"path": "train.tsv"}, "dev": TSV | {"path": "dev.tsv"}}
    return {"kind": "binary", "text": ["a", "b"], "label": "y", "data": tables | data}


@pytest.fixture
def tables(write):
    rows = [["good", "bad", 1], ["good", "\u200b", 0], ["\ue000", "bad", 1], ["\ufffd", " ", 1]]
    write("train.tsv", [["a", "b", "y"], *rows])
    write("dev.tsv", [["a", "b", "y"], ["bad", "bad", 0]])


def test_they_are_refused_by_file_line_and_column(study, tables, write, tmp_path):
    with pytest.raises(UserError, match=r"train.tsv, line 4, column 'a': 2 rows have a text of "
                       r"which the tokenizer leaves no token, this one first \(only U\+E000\); "
                       "set `empty_text: drop`"):  # fmt: skip
        prepare(study({"T": task()}), tmp_path / "out", tmp_path / "cache")
    write("train.tsv", [["a", "b", "y"], ["good", "bad", 1], ["good", "\u200b \ufe0f", 0]])
    said = r"1 rows have an empty text, this one first \(only U\+200B, U\+FE0F\); set"
    with pytest.raises(UserError, match=rf"train.tsv, line 3, column 'b': {said}"):
        prepare(study({"T": task()}), tmp_path / "out", tmp_path / "cache")


def test_they_are_dropped_and_counted(study, tables, tmp_path):
    one = study({"T": task(empty_text="drop")})
    checks = prepare(one, tmp_path / "out", tmp_path / "cache")
    assert checks["tasks"]["T"]["dropped"]["train"] == {"empty text": 2, "text without a token": 1}
    dropped = read_table(tmp_path / "out" / "dropped.parquet", DroppedRows)
    assert dropped[["row", "reason"]].to_numpy().tolist() == [
        [3, "empty text"], [5, "empty text"], [4, "text without a token"],
    ]  # fmt: skip


def test_a_tokenizer_that_drops_letters_is_refused(fresh_study, tmp_path):
    study, layout, file = fresh_study
    lines = file.read_text().splitlines()
    lines[5] = lines[5].replace(lines[5].split("\t")[0], "zzz")
    file.write_text("\n".join(lines) + "\n")
    # Only a plain BERT normaliser is taken, so no tokenizer drops letters.
    with pytest.raises(UserError, match="is no part of a plain BERT tokenizer"):
        prepare_study(study, layout)


@pytest.fixture
def fresh_study(tmp_path):
    """The tiny study with a tokenizer whose normaliser deletes the letter z."""
    write_encoder(tmp_path / "encoder")
    write_data(tmp_path / "data")
    tokenizer = Tokenizer.from_file(str(tmp_path / "encoder" / "tokenizer.json"))
    deleted = normalizers.Replace("z", "")
    tokenizer.normalizer = normalizers.Sequence([deleted, tokenizer.normalizer])
    tokenizer.save(str(tmp_path / "encoder" / "tokenizer.json"))
    mood = tiny_task("mood", kind="classification", classes=["sad", "plain", "happy"])
    study = StudyConfig.model_validate({
        "name": "tiny", "data_dir": str(tmp_path / "data"), "tasks": {"MOOD": mood},
        "encoder": {
            "source": {"type": "directory", "path": str(tmp_path / "encoder")}, "max_length": 32,
        },
    })  # fmt: skip
    layout = Layout("tiny", tmp_path / "results", tmp_path / "reports")
    return study, layout, tmp_path / "data" / "mood-train.tsv"
