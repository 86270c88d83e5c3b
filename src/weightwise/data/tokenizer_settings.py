"""What the files of a checkpoint say of its tokenizer, checked and in one place."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers.models import WordPiece

from weightwise.errors import UserError
from weightwise.untrusted import read_object, read_text

WHOLE, VOCABULARY = "tokenizer.json", "vocab.txt"
CONFIG, NAMES, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
TOKENIZER_FILES = (WHOLE, VOCABULARY, CONFIG, NAMES, ADDED)
"""Every file that decides how texts become tokens, beside `tokenizer_class` of config.json."""
PLAIN_CLASS = "BertTokenizer"
WHOLE_CLASS = "PreTrainedTokenizerFast"
_CLASSES = {
    PLAIN_CLASS: PLAIN_CLASS,
    f"{PLAIN_CLASS}Fast": PLAIN_CLASS,
    WHOLE_CLASS: WHOLE_CLASS,
    "TokenizersBackend": WHOLE_CLASS,
}
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_DEFAULTS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_FLAGS = frozenset({"lstrip", "rstrip", "single_word", "normalized", "special"})
# Keys that `transformers` 5 does not read for BERT, though the models were trained under them, or
# that make it run code or read other files. Under these values they say nothing.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "never_split": (None, []),
    "do_basic_tokenize": (True, None),
    "auto_map": (None,),
    "fast_tokenizer_files": (None, []),
    "init_inputs": (None, []),
    "wordpieces_prefix": ("##", None),
    "clean_text": (True, None),
    "model_specific_special_tokens": (None, {}),
    "word_tokenizer_type": (None, "basic"),
    "subword_tokenizer_type": (None, "wordpiece"),
}
# Parts of a tokenizer.json that take no pattern; the library compiles patterns, and a hostile one
# can take for ever or bring the process down.
_NORMALIZERS = frozenset(
    {
        "BertNormalizer",
        "Lowercase",
        "NFC",
        "NFD",
        "NFKC",
        "NFKD",
        "StripAccents",
        "Strip",
        "Sequence",
    }
)
_PRE_TOKENIZERS = frozenset(
    {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits", "Sequence"}
)
_POST_PROCESSORS = frozenset({"TemplateProcessing", "BertProcessing"})


@dataclass
class TokenizerSettings:
    """Everything that decides how texts become tokens.

    Attributes:
        kind: `PLAIN_CLASS`, or `WHOLE_CLASS`: tokenizer.json as it stands.
        vocabulary: id of every token, without added ones.
        whole: text of tokenizer.json; "" where there is none.
        special: named special tokens, in the order in which they are added.
        more_special: special tokens without a name.
        added: added tokens by the id that the files state.
        added_from: the file and key that state them.
        notes: what must be told of them.
    """

    kind: str
    vocabulary: dict[str, int]
    whole: str = ""
    do_lower_case: bool = True
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True
    split_special_tokens: bool = False
    special: dict[str, str | AddedToken] = field(default_factory=dict)
    more_special: list[str | AddedToken] = field(default_factory=list)
    added: dict[int, AddedToken] = field(default_factory=dict)
    added_from: str = ""
    model_unknown: str = "[UNK]"
    notes: list[str] = field(default_factory=list)

    @property
    def unknown(self) -> str:
        """Name of the token of what is unknown."""
        token = self.special["unk_token"]
        return token if isinstance(token, str) else token.content


def read_settings(folder: Path, name: str) -> TokenizerSettings:
    """Read the files of a checkpoint folder.

    Args:
        folder: checkpoint folder.
        name: what messages call it.

    Raises:
        UserError: neither tokenizer.json nor vocab.txt is there; a file is broken, or says what
            cannot be followed; the message names file and key.
    """

    def load(file: str) -> dict[str, Any]:
        path = folder / file
        return read_object(path, f"{name}: {file}") if path.is_file() else {}

    config, whole = load(CONFIG), load(WHOLE)
    names = {} if "added_tokens_decoder" in config else load(NAMES)
    kind = _kind(config, load("config.json"), bool(whole), name)
    for key, plain in _REFUSED.items():
        if key in config and config[key] not in plain:
            raise UserError(
                f"{name}: {CONFIG}, `{key}`: {_shown(config[key])} is not supported; weightwise "
                "reads plain BERT tokenizers. Save the tokenizer anew with a current "
                "`transformers`, or choose another checkpoint"
            )
    if whole:
        vocabulary = _vocabulary_of(whole, name)
        _refuse_parts(whole, name)
    elif (folder / VOCABULARY).is_file():
        vocabulary = {}
    else:
        raise UserError(f"{name}: has neither {WHOLE} nor {VOCABULARY}")
    if (folder / VOCABULARY).is_file():
        listed = _read_vocabulary(folder / VOCABULARY, f"{name}: {VOCABULARY}")
        for token, number in vocabulary.items():
            if listed.get(token, number) != number:
                raise UserError(
                    f"{name}: token {token[:60]!r} has the id {number} in {WHOLE} and "
                    f"{listed[token]} in {VOCABULARY}; remove the file that is not of these weights"
                )
        vocabulary = vocabulary or listed
    settings = TokenizerSettings(kind, vocabulary)
    if whole:
        settings.whole = json.dumps(whole)
        settings.model_unknown = str(whole["model"].get("unk_token", "[UNK]"))
    for key, default, empty in (
        ("do_lower_case", True, False),
        ("tokenize_chinese_chars", True, False),
        ("strip_accents", None, True),
        ("split_special_tokens", False, False),
    ):
        value = config.get(key, default)
        if not isinstance(value, bool) and not (empty and value is None):
            raise UserError(f"{name}: {CONFIG}, `{key}`: {_shown(value)} is neither true nor false")
        setattr(settings, key, value)
    _read_added(settings, config, names, whole, load(ADDED), name)
    _refuse_no_unknown(settings, name)
    if kind == PLAIN_CLASS and whole:
        settings.notes = _notes(settings, whole)
    return settings


def _kind(config: dict, model: dict, whole: bool, name: str) -> str:
    stated, file = config.get("tokenizer_class"), CONFIG
    if stated is None:
        stated, file = model.get("tokenizer_class"), "config.json"
    if stated is None:
        return PLAIN_CLASS
    kind = _CLASSES.get(stated) if isinstance(stated, str) else None
    if kind is None:
        raise UserError(
            f"{name}: {file}, `tokenizer_class`: {_shown(stated)} is no plain BERT tokenizer; "
            f"known are {', '.join(sorted(_CLASSES))}. Choose another checkpoint, or correct "
            "the key if the vocabulary is BERT's"
        )
    if kind == WHOLE_CLASS and not whole:
        raise UserError(
            f"{name}: {file}, `tokenizer_class`: {stated} needs a {WHOLE}; there is none"
        )
    return kind


def _vocabulary_of(whole: dict, name: str) -> dict[str, int]:
    model = whole.get("model")
    told = f"{name}: {WHOLE}"
    if not isinstance(model, dict) or model.get("type", "WordPiece") != "WordPiece":
        kind = model.get("type") if isinstance(model, dict) else model
        raise UserError(f"{told}, `model.type`: {_shown(kind)} is not WordPiece, which BERT uses")
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise UserError(f"{told}, `model.vocab`: is no object of tokens and their ids")
    ids = set()
    for token, number in vocabulary.items():
        if type(number) is not int or not 0 <= number < 1 << 24:
            raise UserError(
                f"{told}, `model.vocab`: the id of {token[:60]!r} is {_shown(number)}, not a whole "
                f"number from 0 to {(1 << 24) - 1:,}"
            )
        if number in ids:
            raise UserError(f"{told}, `model.vocab`: two tokens have the id {number}")
        ids.add(number)
    return vocabulary


def _read_vocabulary(path: Path, name: str) -> dict[str, int]:
    read_text(path, name)  # of bounded size, UTF-8, no pointer of git-lfs
    try:
        found = WordPiece.read_file(str(path))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise UserError(f"{name}: cannot be read ({error})") from None
    if not found:
        raise UserError(f"{name}: is empty")
    return found


def _refuse_parts(whole: dict, name: str) -> None:
    """Refuse parts of a tokenizer.json that no plain BERT tokenizer has."""
    for key, inner, known in (
        ("normalizer", "normalizers", _NORMALIZERS),
        ("pre_tokenizer", "pretokenizers", _PRE_TOKENIZERS),
        ("post_processor", "processors", _POST_PROCESSORS),
    ):
        waiting = [whole.get(key)]
        while waiting:
            part = waiting.pop()
            if part is None:
                continue
            kind = part.get("type") if isinstance(part, dict) else part
            if not isinstance(kind, str) or kind not in known:
                raise UserError(
                    f"{name}: {WHOLE}, `{key}`: {_shown(kind)} is no part of a plain BERT "
                    f"tokenizer (known: {', '.join(sorted(known))}); choose another checkpoint"
                )
            parts = part.get(inner, [])
            if not isinstance(parts, list):
                raise UserError(f"{name}: {WHOLE}, `{key}.{inner}`: is no list")
            waiting += parts


def _token(value: Any, name: str, special: bool | None = None) -> str | AddedToken:
    """A token as the files write it: a text, or an object with its content and flags."""
    if isinstance(value, str) and value:
        return value
    flags = {k: v for k, v in value.items() if k in _FLAGS} if isinstance(value, dict) else {}
    content = value.get("content") if isinstance(value, dict) else None
    if (
        not isinstance(content, str)
        or not content
        or not all(isinstance(flag, bool) for flag in flags.values())
    ):
        raise UserError(
            f"{name}: {_shown(value)} is no token (a text, or an object with `content`)"
        )
    if special is not None:
        flags["special"] = special
    return AddedToken(content, **flags)


def _tokens(values: Any, name: str) -> list[str | AddedToken]:
    if not isinstance(values, list):
        raise UserError(f"{name}: is no list of tokens")
    for value in values:
        if isinstance(value, dict) and value.get("__type") != "AddedToken":
            raise UserError(
                f"{name}: {_shown(value)} is a token with flags, which `transformers` does not "
                "read there; give its text alone"
            )
    return [_token(value, name) for value in values]


def _more_special(values: dict, file: str, name: str) -> dict[str, list[str | AddedToken]]:
    """Special tokens without a name, by the key that lists them."""
    found = {}
    for key in ("additional_special_tokens", "extra_special_tokens"):
        said = values.get(key) or []
        if isinstance(said, dict):
            raise UserError(
                f"{name}: {file}, `{key}`: tokens with names of their own are not supported; give "
                "a list"
            )
        found[key] = _tokens(said, f"{name}: {file}, `{key}`")
    return found


def _read_added(
    settings: TokenizerSettings, config: dict, names: dict, whole: dict, added: dict, name: str
) -> None:
    """Added and special tokens, as `PreTrainedTokenizerBase._from_pretrained` reads them."""
    said: dict[str, tuple[Any, str, bool | None]] = {
        key: (value, CONFIG, None) for key, value in config.items()
    }
    ours = _more_special(config, CONFIG, name)
    theirs = _more_special(names, NAMES, name)
    # A list under the old key of special_tokens_map.json counts only where there is no other, and
    # does not make the tokens of added_tokens.json special.
    known = ours["extra_special_tokens"] or ours["additional_special_tokens"]
    known = known + [t for t in theirs["extra_special_tokens"] if t not in known]
    extra = known or theirs["additional_special_tokens"]
    said |= {key: (value, NAMES, True) for key, value in names.items()}
    special: dict[str, str | AddedToken] = {}
    standard = _DEFAULTS if settings.kind == PLAIN_CLASS else {}
    for key in [*NAMED, *sorted(k for k in said if k.endswith("_token") and k not in NAMED)]:
        value, file, flag = said.get(key, (None, CONFIG, None))
        if isinstance(value, bool):  # add_bos_token and its like
            continue
        if value is None:
            if key in said and key in standard:
                raise UserError(f"{name}: {file}, `{key}`: is null; BERT needs this token")
            if key in standard:
                special[key] = standard[key]
            continue
        if isinstance(value, dict) and file == CONFIG and value.get("__type") != "AddedToken":
            raise UserError(
                f'{name}: {file}, `{key}`: a token with flags needs `"__type": "AddedToken"`'
            )
        special[key] = _token(value, f"{name}: {file}, `{key}`", flag)
    settings.special, settings.more_special = special, extra
    if "added_tokens_decoder" in config:
        settings.added_from = f"{CONFIG}, `added_tokens_decoder`,"
        stated = config["added_tokens_decoder"]
        if not isinstance(stated, dict):
            raise UserError(f"{name}: {settings.added_from} is no object of ids and tokens")
        for number, value in stated.items():
            _put(settings, number, _token(value, f"{name}: {settings.added_from}"), name)
    else:
        settings.added_from = ADDED
        contents = {_text(t) for t in [*special.values(), *known]}
        for content, number in added.items():
            is_special = content in contents
            token = AddedToken(content, normalized=not is_special, special=is_special)
            _put(settings, number, token, name)
        listed = whole.get("added_tokens", [])
        if listed:
            settings.added_from = f"{WHOLE}, `added_tokens`,"
        if not isinstance(listed, list):
            raise UserError(f"{name}: {WHOLE}, `added_tokens`: is no list")
        for value in listed:
            token = _token(value, f"{name}: {settings.added_from}")
            _put(settings, value.get("id") if isinstance(value, dict) else None, token, name)
    by_content = {token.content: token for token in settings.added.values()}
    settings.special = {k: by_content.get(_text(v), v) for k, v in special.items()}


def _put(settings: TokenizerSettings, number: Any, token: str | AddedToken, name: str) -> None:
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 9:
        number = int(number)
    if type(number) is not int or not 0 <= number < 1 << 24 or isinstance(token, str):
        raise UserError(
            f"{name}: {settings.added_from} has {_text(token)[:60]!r} with the id "
            f"{_shown(number)}; an added token needs `content` and a whole number as its id"
        )
    settings.added[number] = token


def _refuse_no_unknown(settings: TokenizerSettings, name: str) -> None:
    unknown = settings.unknown if settings.kind == PLAIN_CLASS else settings.model_unknown
    if unknown not in settings.vocabulary:
        raise UserError(
            f"{name}: the vocabulary has no {unknown!r} for what it does not know; name the "
            f"token in `unk_token` of {CONFIG}"
        )


def _notes(settings: TokenizerSettings, whole: dict) -> list[str]:
    """Where tokenizer.json says otherwise than what decides."""
    parts = whole.get("normalizer") or {}
    ours = {
        "lowercase": ("do_lower_case", settings.do_lower_case),
        "strip_accents": ("strip_accents", settings.strip_accents),
        "handle_chinese_chars": ("tokenize_chinese_chars", settings.tokenize_chinese_chars),
    }
    if parts.get("type") != "BertNormalizer":
        return []
    return [
        f"{WHOLE} says `{key}` {_json(parts[key])} and {CONFIG} `{name}` {_json(value)} (by "
        "default where it does not name it); as `transformers` does, the study goes by the latter"
        for key, (name, value) in ours.items()
        if key in parts and parts[key] != value
    ]


def _json(value: Any) -> str:
    return json.dumps(value)[:40]


def _text(token: str | AddedToken) -> str:
    return token if isinstance(token, str) else token.content


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
