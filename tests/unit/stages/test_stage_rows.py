"""Texts of a stage that say nothing, and the sum of its rows read, kept and left out."""

from __future__ import annotations

import csv
import json

import pytest
from stage_helpers import stages
from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer

from weightwise.data.stage import prepare_study
from weightwise.errors import UserError
from weightwise.tables import DroppedRows, Examples, read_table

NOTHING = ["\u200b", "\ufe0f\ufeff", " ", "\ue000"]


@pytest.fixture(autouse=True)
def bert_normaliser(fresh):
    """The tokenizer drops what BERT's drops."""
    path = str(fresh.folder / "encoder" / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    tokenizer.normalizer = BertNormalizer()
    tokenizer.save(path)


def prepare(fresh, **changes):
    study, layout = fresh(stages=stages(**changes))
    return prepare_study(study, layout)["stages"], layout


def spoil(fresh) -> int:
    """Write texts that say nothing into every eighth row, in turn into both columns."""
    path = fresh.folder / "data" / "texts.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    for number, row in enumerate(rows):
        if number % 8 == 0:
            row[number // 8 % 2] = NOTHING[number // 8 % 4]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return len(rows)


def test_they_are_refused_by_line_and_column(fresh):
    spoil(fresh)
    said = r"4 rows of stage 'TEXTS' have an empty text, this one first \(only U\+200B\); set"
    with pytest.raises(UserError, match=rf"texts.csv, line 2, column 'text': {said}"):
        prepare(fresh)


def test_rows_read_kept_and_left_out_add_up(fresh):
    read = spoil(fresh)
    where = [{"column": "other", "values": "w1 w2 w0", "exclude": True}]
    source = {"type": "file", "path": "texts.csv", "where": where}
    keys = {"text": ["text", "other"], "empty_text": "drop", "limit": 40, "source": source}
    facts, layout = prepare(fresh, TEXTS=keys)
    one = facts["TEXTS"]
    texts = read_table(layout.stage_texts("TEXTS"), Examples)
    dropped = read_table(layout.stage_dropped("TEXTS"), DroppedRows)
    filtered = one["dropped"]["by `where`"]
    assert filtered > 0
    assert one["dropped"]["text without a token"] == 2
    assert 2 * (one["source"]["rows"] - filtered) == sum(one["rows"].values()) + sum(
        count for reason, count in one["dropped"].items() if reason != "by `where`"
    )
    assert one["source"]["rows"] == read
    assert one["rows"] == texts["split"].map({"train": "train", "dev": "held_out"}).value_counts(
    ).to_dict()  # fmt: skip
    assert dropped["reason"].value_counts().to_dict() == one["dropped"]
    assert set(dropped["row"]) | set(texts["row"]) == set(range(2, read + 2))


def test_a_premise_without_a_token_leaves_with_its_pair(fresh):
    path = fresh.folder / "data" / "pairs.csv"
    rows = path.read_text().splitlines()
    rows[3] = "\ue000,w1 w2,entailment"
    rows[5] = "w1,\u200d,neutral"
    path.write_text("\n".join(rows) + "\n")
    facts, _ = prepare(fresh, PAIRS={"empty_text": "drop"})
    pairs = facts["PAIRS"]
    assert pairs["dropped_first"]["text without a token"] == [4]
    assert pairs["dropped_first"]["empty text"] == [6]
    read, lost = pairs["source"]["rows"], sum(pairs["dropped"].values())
    assert read == sum(pairs["rows"].values()) + lost


def test_relations_may_be_numbers_and_truth_values(fresh):
    path = fresh.folder / "data" / "pairs.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    values = {"entailment": 0, "neutral": 1, "contradiction": 2.0}
    lines = [json.dumps(row | {"relation": values[row["relation"]]}) for row in rows]
    (fresh.folder / "data" / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    before, _ = prepare(fresh)
    source = {"type": "file", "path": "pairs.jsonl", "format": "jsonl"}
    changed = {"source": source, "entailment": 0, "contradiction": 2}
    after, _ = prepare(fresh, PAIRS=changed)
    for key in ("rows", "texts", "dropped", "hard_negatives"):
        assert after["PAIRS"][key] == before["PAIRS"][key]
