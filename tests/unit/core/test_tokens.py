"""Token ids: the tokenizer's own settings do not leak in, caches say what they hold."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from core_helpers import CLS, SEP, VOCABULARY, tokenizer
from transformers import BertTokenizer

from weightwise.data.tokens import SpecialTokens, facts, load_splits, load_tokenizer, tokenise
from weightwise.errors import UserError
from weightwise.tables import Examples, write_table

LONG = " ".join(["w1", "w2", "w3"] * 20)


@pytest.fixture
def examples(tmp_path):
    """`examples([(split, a, b, label), ...])` writes prepared rows."""

    def write(rows: list[tuple], name: str = "T"):
        frame = pd.DataFrame(rows, columns=["split", "text_a", "text_b", "label"])
        frame.insert(1, "row", range(2, len(rows) + 2))
        write_table(frame, Examples, tmp_path / f"{name}.parquet")
        return tmp_path / f"{name}.parquet"

    return write


ROWS = [
    ("train", "w1 w2", "w3", 1.0),
    ("dev", "w4", "w5 w6 w7", 0.0),
    ("train", LONG, "w8", 0.5),
    ("test", "w9", "w1", float("nan")),
]


def ids(text: str) -> list[int]:
    return [VOCABULARY.index(w) for w in text.split()]


def test_split_holds_the_texts_in_order(examples, checkpoint, tmp_path):
    tokenise(examples(ROWS), checkpoint, tmp_path / "out")
    splits = load_splits(tmp_path / "out")
    assert {k: len(s) for k, s in splits.items()} == {"train": 2, "dev": 1, "test": 1}
    train = splits["train"]
    assert train.a.tolist() == ids("w1 w2 " + LONG)
    assert train.a_offsets.tolist() == [0, 2, 62]
    assert train.b.tolist() == ids("w3 w8")
    assert train.b_offsets.tolist() == [0, 1, 2]
    assert (train.labels.tolist(), train.rows.tolist()) == ([1.0, 0.5], [2, 4])
    assert splits["dev"].b.tolist() == ids("w5 w6 w7")
    assert np.isnan(splits["test"].labels).all()


def test_single_texts_have_no_second_side(examples, checkpoint, tmp_path):
    tokenise(
        examples([("train", "w1", None, 1.0), ("dev", "w2", None, 0.0)]),
        checkpoint,
        tmp_path / "out",
    )
    assert load_splits(tmp_path / "out")["train"].b is None


def test_truncation_and_padding_of_the_tokenizer_are_undone(examples, checkpoint, tmp_path):
    """Sentence encoders are published with both built in."""
    made = tokenizer()
    made.enable_truncation(max_length=5)
    made.enable_padding(length=9)
    made.save(str(checkpoint / "tokenizer.json"))
    tokenise(examples(ROWS), checkpoint, tmp_path / "out")
    assert np.diff(load_splits(tmp_path / "out")["train"].a_offsets).tolist() == [2, 60]


def test_special_tokens(checkpoint):
    assert load_tokenizer(checkpoint)[1] == SpecialTokens(CLS, SEP)


@pytest.mark.parametrize("lower", [True, False])
def test_vocab_txt_gives_the_ids_of_transformers(checkpoint, lower):
    words = [*VOCABULARY, "un", "##happy", "Happy", "happy", ",", "cafe"]
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "vocab.txt").write_text("\n".join(words) + "\n")
    (checkpoint / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    reference = BertTokenizer(str(checkpoint / "vocab.txt"), do_lower_case=lower)
    ours, special = load_tokenizer(checkpoint)
    assert special == SpecialTokens(CLS, SEP)
    for text in ("w1 unhappy, w2", "Happy happy HAPPY", "café w3,w4", "漢字 w1", "nothing"):
        want = reference(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text, add_special_tokens=False).ids == want, text


def test_unknown_words_are_counted_and_too_many_refused(examples, checkpoint, tmp_path):
    few = [("train", " ".join(["w1"] * 9 + ["x"]), None, 1.0), ("dev", "w1 " * 10, None, 1.0)]
    assert tokenise(examples(few), checkpoint, tmp_path / "o")["unknown_share"] == 1 / 20
    many = [("train", "fremde sprache hier w1", None, 1.0), ("dev", "w1", None, 1.0)]
    with pytest.raises(UserError, match=r"3 of 5 tokens .* unknown"):
        tokenise(examples(many), checkpoint, tmp_path / "o")


def test_text_without_tokens_names_its_row(examples, checkpoint, tmp_path):
    rows = [("train", "w1", None, 1.0), ("dev", "  ", None, 1.0)]
    with pytest.raises(UserError, match="row 3 of dev has no tokens"):
        tokenise(examples(rows), checkpoint, tmp_path / "o")


def test_facts_come_from_the_footer(examples, checkpoint, tmp_path):
    told = tokenise(examples(ROWS), checkpoint, tmp_path / "out")
    assert facts(tmp_path / "out") == told
    assert told["rows"] == {"train": 2, "dev": 1, "test": 1}
    assert told["longest"] == 60
    assert told["special"] == [CLS, SEP]
    assert not list(tmp_path.glob("*.partial"))


def test_facts_of_something_else_are_refused(checkpoint, examples, tmp_path):
    for path in (tmp_path / "none", checkpoint / "config.json", examples(ROWS)):
        with pytest.raises(UserError, match="is not a token cache"):
            facts(path)


def test_checksum_is_that_of_the_content(examples, checkpoint, tmp_path):
    def checksum(rows):
        return tokenise(examples(rows), checkpoint, tmp_path / "out")["checksum"]

    first = checksum(ROWS)
    assert checksum(list(ROWS)) == first
    a, b, c, d = ROWS
    changed = [
        [b, a, c, d],
        [("train", "w1 w2", "w4", 1.0), b, c, d],
        [("train", "w1", "w2 w3", 1.0), b, c, d],
        [("train", "w1 w2", "w3", 0.0), b, c, d],
        [("dev", "w1 w2", "w3", 1.0), b, c, d],
        [a, b, c],
        [a, b, c, ("test", "w9", "w1", 1.0)],
    ]
    assert len({first, *map(checksum, changed)}) == 1 + len(changed)


def test_checksum_stays_what_it_was(examples, checkpoint, tmp_path):
    """A change here makes every stored run due again."""
    assert tokenise(examples(ROWS), checkpoint, tmp_path / "out")["checksum"].startswith(
        "ce147076b6f2"
    )


@pytest.mark.parametrize("broken", ["absent", "garbage", "no specials"])
def test_broken_tokenizer_is_refused(checkpoint, broken):
    path = checkpoint / "tokenizer.json"
    if broken == "absent":
        path.unlink()
    elif broken == "garbage":
        path.write_text("{}")
    else:
        path.write_text(path.read_text().replace("[UNK]", "[KNU]"))
    with pytest.raises(UserError, match="tokenizer"):
        load_tokenizer(checkpoint)
