# ruff: noqa: E501
"""Token for token what `transformers` gives, over a matrix of settings; or refused by name."""

from __future__ import annotations

import itertools
import json

import pytest
from core_helpers import SIZES
from transformers import AutoTokenizer

from weightwise.data.tokenizer import read_tokenizer
from weightwise.errors import UserError

WORDS = (
    "the good film schon schön Schön schö ##n un ##happy Berlin berlin 中 国 中国 é e , [ ] < > ent"
)
TEXTS = [
    "Schön schon schö ÉCOLE é e\u0301", "中国 film 国", "good [ent] film[ent]", "GOOD <s> </s> [SEP]",
    "a\u0000b\u200bgood\tfilm", "😀 good", "Ent ENT ent[ENT]", "unhappy unhappyx", "  [ent]  good", "",
]  # fmt: skip
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
OTHER = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
NAMES = ["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"]
ABSENT = object()


def write(folder, specials=BERT, config=None, names=None, added=None, whole=None):
    folder.mkdir(exist_ok=True)
    vocabulary = list(specials) + WORDS.split()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "config.json").write_text(json.dumps(SIZES))
    for name, value in (
        ("tokenizer_config.json", config),
        ("special_tokens_map.json", names),
        ("added_tokens.json", added),
    ):
        if value is not None:
            (folder / name).write_text(json.dumps(value))
    if whole is not None:
        data = {
            "version": "1.0", "truncation": None, "padding": None, "decoder": None,
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "lowercase": whole,
                           "handle_chinese_chars": True, "strip_accents": None},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": [specials[3], 3], "cls": [specials[2], 2]},
            "added_tokens": [
                {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": False, "special": True} for i, t in enumerate(specials)
            ],
            "model": {"type": "WordPiece", "unk_token": specials[1], "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": {t: i for i, t in enumerate(vocabulary)}},
        }  # fmt: skip
        (folder / "tokenizer.json").write_text(json.dumps(data))
    return folder


def same(folder) -> None:
    theirs = AutoTokenizer.from_pretrained(str(folder))
    ours = read_tokenizer(folder)
    for text in TEXTS:
        expected = theirs(text, add_special_tokens=False)["input_ids"]
        got = ours.tokenizer.encode(text, add_special_tokens=False).ids
        assert got == expected, (text, theirs.convert_ids_to_tokens(expected))
    framed = theirs("")["input_ids"]
    assert list(ours.special) == framed
    # PreTrainedTokenizerFast has names only where a file gives them.
    assert theirs.unk_token is None or ours.unknown == theirs.unk_token_id


@pytest.mark.parametrize(
    "kind", [None, "BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast"]
)
@pytest.mark.parametrize("whole", [None, True, False])
def test_case_accents_and_chinese(tmp_path, kind, whole):
    if kind == "PreTrainedTokenizerFast" and whole is None:
        pytest.skip("needs tokenizer.json")
    values = ([ABSENT, True, False], [ABSENT, None, True, False], [ABSENT, True, False])
    for number, (lower, accents, chinese) in enumerate(itertools.product(*values)):
        said = {"do_lower_case": lower, "strip_accents": accents, "tokenize_chinese_chars": chinese,
                "tokenizer_class": ABSENT if kind is None else kind, "model_max_length": 512}  # fmt: skip
        config = {k: v for k, v in said.items() if v is not ABSENT}
        same(write(tmp_path / str(number), config=config, whole=whole))


@pytest.mark.parametrize("whole", [None, True, False])
@pytest.mark.parametrize("where", ["config", "map", "both"])
def test_names_of_special_tokens(tmp_path, whole, where):
    names = dict(zip(NAMES, OTHER, strict=True))
    same(write(tmp_path / "e", OTHER, names if where != "map" else {},
               names if where != "config" else None, whole=whole))  # fmt: skip


FLAGS = ["lstrip", "rstrip", "single_word", "normalized", "special"]


@pytest.mark.parametrize("whole", [None, True])
@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=5)))
def test_added_tokens_decoder(tmp_path, whole, flags):
    number = len(BERT) + len(WORDS.split())
    token = {"content": "[ent]"} | dict(zip(FLAGS, flags, strict=True))
    same(write(tmp_path / "e", config={"added_tokens_decoder": {str(number): token}}, whole=whole))


@pytest.mark.parametrize("whole", [None, True])
@pytest.mark.parametrize("extra", [None, ["[ent]"], ["[new]", "good"]])
def test_added_tokens_json_and_extra_special(tmp_path, whole, extra):
    number = len(BERT) + len(WORDS.split())
    names = {"additional_special_tokens": extra} if extra else None
    same(write(tmp_path / "e", names=names, added={"[ent]": number}, whole=whole))


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "`tokenizer_class`.*BertJapaneseTokenizer"),
        ({"never_split": ["[x]"]}, "`never_split`"),
        ({"do_basic_tokenize": False}, "`do_basic_tokenize`"),
        ({"auto_map": {"AutoTokenizer": ["a.B", None]}}, "`auto_map`"),
        ({"do_lower_case": "yes"}, "`do_lower_case`"),
        ({"added_tokens_decoder": {"3": {"content": "[ent]"}}}, "different tokenizers"),
    ],
)
def test_refused_by_file_and_key(tmp_path, config, match):
    with pytest.raises(UserError, match=match) as caught:
        read_tokenizer(write(tmp_path / "e", config=config))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["normalizer", "pre_tokenizer"])
def test_patterns_of_a_tokenizer_json_are_not_compiled(tmp_path, part):
    folder = write(tmp_path / "e", whole=True)
    data = json.loads((folder / "tokenizer.json").read_text())
    data[part] = {"type": "Split", "pattern": {"Regex": "(a+)+" * 50}, "behavior": "Isolated"}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=f'`{part}`: "Split"'):
        read_tokenizer(folder)


@pytest.mark.parametrize("number", [4 * 10**9, 2**70, -1, 2.0, None, "3", True])
def test_hostile_ids(tmp_path, number):
    folder = write(tmp_path / "e", whole=True)
    data = json.loads((folder / "tokenizer.json").read_text())
    data["model"]["vocab"]["good"] = number
    (folder / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"`model.vocab`: the id of 'good'"):
        read_tokenizer(folder)
