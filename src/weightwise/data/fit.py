"""How the texts of a study fit its encoder: what is cut, what is unknown, what it cannot take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from weightwise.config import StudyConfig, TrainingConfig
from weightwise.data.cautions import framing
from weightwise.data.tokens import SpecialTokens, TokenisedSplit
from weightwise.errors import UserError
from weightwise.grid import Grid
from weightwise.model.encoder import BertConfig


def text_facts(
    splits: Mapping[str, TokenisedSplit], longest: int, unknown: int | None
) -> dict[str, dict[str, Any]]:
    """What sequences of at most `longest` tokens leave of the texts of a task.

    Args:
        splits: token ids of each split.
        longest: longest sequence in tokens, [CLS] and [SEP] included.
        unknown: id of the tokenizer's unknown token; None where it has none.

    Returns:
        Per split {"rows", "tokens": tokens of all texts, "unknown": those of them that are the
        unknown token, "longest": {FRAMING: tokens of the longest row}, "cut": {FRAMING: rows that
        are longer than `longest`}}. FRAMING is `single` for one text, `joint` and `siamese` for a
        pair (both are counted, since the pairing is a key of training, which may vary).
    """
    facts = {}
    for name, split in splits.items():
        sides = [split.a] if split.b is None else [split.a, split.b]
        lengths = sequence_lengths(split)
        facts[name] = {
            "rows": len(split),
            "tokens": int(sum(len(ids) for ids in sides)),
            "unknown": 0 if unknown is None else int(sum((ids == unknown).sum() for ids in sides)),
            "longest": {framing: int(one.max()) for framing, one in lengths.items()},
            "cut": {framing: int((one > longest).sum()) for framing, one in lengths.items()},
        }
    return facts


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id of the token that stands for what the tokenizer does not know; None: there is none."""
    token = getattr(tokenizer.model, "unk_token", None)
    return None if token is None else tokenizer.token_to_id(token)


def sequence_lengths(split: TokenisedSplit) -> dict[str, np.ndarray]:
    """Tokens [rows] of every row's sequence before it is cut, by framing; of two siamese sequences
    those of the longer one."""
    a = np.diff(split.a_offsets)
    if split.b_offsets is None:
        return {"single": a + 2}
    b = np.diff(split.b_offsets)
    return {"joint": a + b + 3, "siamese": np.maximum(a, b) + 2}


def trainings(study: StudyConfig) -> dict[str, tuple[TrainingConfig, ...]]:
    """The training keys that each task is trained with: those of the variants in which it stands in
    a grouping, so none for a task that is never trained."""
    grid = Grid(study)
    groups = {variant: set().union(*grid.groups_of(variant)) for variant in grid.variants}
    return {
        task: tuple(grid.training(v) for v, members in groups.items() if task in members)
        for task in study.tasks
    }


def refuse_unfit_encoder(
    study: StudyConfig, config: BertConfig, has_pooler: bool, source: str
) -> None:
    """Refuse an encoder that some task of some variant cannot be trained with.

    Args:
        study: the study.
        config: the encoder's.
        has_pooler: whether the checkpoint has a pooler.
        source: the encoder in words.

    Raises:
        UserError: joint pairs, but a single segment; a pooler is to be read, but there is none.
    """
    for name, keys in trainings(study).items():
        task = study.tasks[name]
        joined = any(framing(task, training.pair) == "joint" for training in keys)
        if joined and config.type_vocab_size < 2:
            raise UserError(
                f"encoder: {source} tells no first text from a second one (its config.json has "
                f"`type_vocab_size: {config.type_vocab_size}`), so the pairs of task '{name}' "
                "cannot be joined; set `pair: siamese`"
            )
        read = {task.representation or training.representation for training in keys}
        if "pooler" in read and not has_pooler:
            raise UserError(
                f"encoder: {source} has no pooler, which task '{name}' is to read; set "
                "`representation: cls` or `representation: mean`"
            )


def refuse_unknown_ids(
    used: Iterable[tuple[str, np.ndarray]],
    special: SpecialTokens,
    tokenizer: Tokenizer,
    config: BertConfig,
    source: str,
) -> None:
    """Refuse token ids that the encoder has no embedding for.

    Args:
        used: whose texts, and their token ids [n].
        special: the ids that frame every sequence.
        tokenizer: the encoder's.
        config: the encoder's.
        source: the encoder in words.

    Raises:
        UserError: the tokenizer and the embeddings do not belong together.
    """
    frame = np.array([special.first, special.separator])
    for whose, ids in used:
        largest = int(max(frame.max(), ids.max(initial=0)))
        if largest >= config.vocab_size:
            raise UserError(
                f"encoder: the tokenizer of {source} gives token id {largest} "
                f"('{tokenizer.id_to_token(largest)}') in the texts of {whose}, but the checkpoint "
                f"has {config.vocab_size:,} word embeddings (ids 0 to {config.vocab_size - 1}). "
                "Take the tokenizer that the checkpoint was trained with, or give the checkpoint "
                "the missing rows: with transformers `model.resize_token_embeddings("
                "len(tokenizer))`, then `save_pretrained`"
            )
