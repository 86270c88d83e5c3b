"""Texts of which a tokenizer leaves nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weightwise.data.tokens import load_tokenizer

# WordPiece gives a letter or digit at least [UNK]; what it drops are characters of which text
# seldom consists: replacement and private characters, unassigned ones, accents.
_KEPT = re.compile("[A-Za-z0-9]")
_CHUNK = 10_000


class Tokenless:
    """Finds texts without a token; reads the tokenizer when the first doubtful text comes."""

    def __init__(self, encoder: Path):
        """Args: `encoder` is the checkpoint folder with the tokenizer."""
        self.encoder = encoder
        self._tokenizer = None

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """[n] bool: which of n texts have no token.

        Raises:
            UserError: the tokenizer cannot be read.
        """
        found = np.zeros(len(texts), dtype=bool)
        doubtful = [i for i, text in enumerate(texts) if not _KEPT.search(text)]
        if doubtful and self._tokenizer is None:
            self._tokenizer, _ = load_tokenizer(self.encoder)
        for begin in range(0, len(doubtful), _CHUNK):
            chunk = doubtful[begin : begin + _CHUNK]
            encoded = self._tokenizer.encode_batch(
                [texts[i] for i in chunk], add_special_tokens=False
            )
            found[chunk] = [not one.ids for one in encoded]
        return found
