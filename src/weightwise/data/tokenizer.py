"""The tokenizer of a checkpoint folder, as `transformers` 5 reads it, token for token.

`BertTokenizer` takes the vocabulary of `tokenizer.json` (else of `vocab.txt`) and builds the rest
from `tokenizer_config.json`: what `tokenizer.json` says of lower case and accents plays no part.
`PreTrainedTokenizerFast` is `tokenizer.json` as it stands. To both come the tokens that are added:
`added_tokens_decoder` of `tokenizer_config.json`, or else `special_tokens_map.json`,
`added_tokens.json` and the `added_tokens` of `tokenizer.json`; then the special tokens by name. An
added token that the vocabulary lacks gets the next free id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from weightwise.data.tokenizer_settings import (
    PLAIN_CLASS,
    TokenizerSettings,
    read_settings,
)
from weightwise.errors import UserError


class SpecialTokens(NamedTuple):
    """Ids of the tokens that frame a sequence."""

    first: int
    """[CLS]"""
    separator: int
    """[SEP]"""


class LoadedTokenizer(NamedTuple):
    """A tokenizer, and the ids of its special tokens whatever their names are."""

    tokenizer: Tokenizer
    special: SpecialTokens
    unknown: int
    mask: int | None
    """None where there is none, or no embedding of it."""


def read_tokenizer(
    folder: Path, name: str | None = None, embeddings: int | None = None
) -> LoadedTokenizer:
    """The tokenizer of a checkpoint folder.

    Args:
        folder: checkpoint folder.
        name: what messages call it; None: its path.
        embeddings: rows of the word embeddings, if known.

    Raises:
        UserError: files are missing or broken, say what no plain BERT tokenizer does, or disagree.
    """
    name = name or str(folder)
    settings = read_settings(folder, name)
    with _library(name):
        if settings.kind == PLAIN_CLASS:
            tokenizer = _plain(settings)
            unknown = settings.unknown
        else:
            tokenizer = Tokenizer.from_str(settings.whole)
            unknown = settings.model_unknown
        _add_tokens(tokenizer, settings, name)
        tokenizer.encode_special_tokens = settings.split_special_tokens
        tokenizer.no_truncation()
        tokenizer.no_padding()
    return _with_ids(tokenizer, settings, unknown, name, embeddings)


def load_tokenizer(folder: Path) -> tuple[Tokenizer, SpecialTokens]:
    """Tokenizer and framing tokens of a checkpoint folder; raises as `read_tokenizer` does."""
    loaded = read_tokenizer(folder)
    return loaded.tokenizer, loaded.special


@contextmanager
def _library(name: str) -> Iterator[None]:
    """Turn whatever the library raises into a UserError; its panics are no `Exception`."""
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise UserError(f"{name}: the tokenizer cannot be read ({first})") from None


def encode(tokenizer: Tokenizer, texts: list[str], name: str) -> list[list[int]]:
    """Token ids of every text, without [CLS] and [SEP].

    Raises:
        UserError: the library refuses the texts.
    """
    with _library(name):
        return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]


def _plain(settings: TokenizerSettings) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(settings.vocabulary, unk_token=settings.unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.tokenize_chinese_chars,
        strip_accents=settings.strip_accents,
        lowercase=settings.do_lower_case,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _add_tokens(tokenizer: Tokenizer, settings: TokenizerSettings, name: str) -> None:
    """Add what `transformers` adds, in its order; compare the ids with those that are stated."""
    have = tokenizer.get_added_tokens_decoder()
    known = {repr(token) for token in have.values()}
    wanted = [token for _, token in sorted(settings.added.items()) if repr(token) not in known]
    names = {token.content for token in have.values()} | {token.content for token in wanted}
    for special in [*settings.special.values(), *settings.more_special]:
        token = special if isinstance(special, AddedToken) else AddedToken(special, special=True)
        if token.content not in names:
            wanted.append(token)
            names.add(token.content)
    named = {_content(token) for token in settings.special.values()}
    for token in wanted:
        if token.content in named:
            token.special = True
    tokenizer.add_tokens(wanted)
    for number, token in settings.added.items():
        got = tokenizer.token_to_id(token.content)
        if got != number:
            raise UserError(
                f"{name}: {settings.added_from} gives the added token {token.content[:60]!r} the "
                f"id {number}, but by the vocabulary it is {got}; the files are of different "
                "tokenizers"
            )


def _with_ids(
    tokenizer: Tokenizer,
    settings: TokenizerSettings,
    unknown: str,
    name: str,
    embeddings: int | None,
) -> LoadedTokenizer:
    def known(token: str) -> int | None:
        number = tokenizer.token_to_id(token)
        return number if number is None or embeddings is None or number < embeddings else None

    if settings.kind == PLAIN_CLASS:
        frame = [_content(settings.special[key]) for key in ("cls_token", "sep_token")]
        ids = [known(token) for token in frame]
    else:
        frame, ids = _frame(tokenizer, name)
        ids = [known(token) for token in frame]
    for what, token, number in zip(("[CLS]", "[SEP]"), frame, ids, strict=True):
        if number is None:
            raise UserError(
                f"{name}: the tokenizer has no {what}: {token!r} has no id that the checkpoint has "
                "an embedding of; name it in `cls_token`, `sep_token` of tokenizer_config.json"
            )
    mask = settings.special.get("mask_token", "[MASK]")
    return LoadedTokenizer(
        tokenizer,
        SpecialTokens(*ids),
        tokenizer.token_to_id(unknown),
        known(_content(mask)),
    )


def _frame(tokenizer: Tokenizer, name: str) -> tuple[list[str], list[int]]:
    """What the post-processor puts around a text, which must be what BERT puts there."""
    with _library(name):
        single, pair = tokenizer.encode(""), tokenizer.encode("", "")
    first = single.tokens
    if len(first) != 2 or pair.tokens != [*first, first[1]]:
        raise UserError(
            f"{name}: tokenizer.json does not frame texts as BERT does, [CLS] a [SEP] b [SEP] "
            f"(`post_processor` gives {single.tokens[:6]} for one text)"
        )
    return first, single.ids


def _content(token: str | AddedToken) -> str:
    return token if isinstance(token, str) else token.content
