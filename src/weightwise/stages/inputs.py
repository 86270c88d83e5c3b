"""Everything that a stage's training needs, and what all kinds of stages share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from weightwise.config.stages import StageBase
from weightwise.data.tokens import SpecialTokens, TokenisedSplit
from weightwise.model.checkpoint import load_encoder
from weightwise.model.encoder import Encoder
from weightwise.model.linear import set_product_dtype
from weightwise.seeding import numpy_generator, seed_for


@dataclass(frozen=True)
class StageInputs:
    """Inputs of a stage.

    `train`, `held_out`: token ids of its texts; `special`, `mask`: ids of [CLS] and [SEP], of
    [MASK] (None where the tokenizer has none); `max_length`: longest sequence in tokens; `folder`,
    `layers`: the checkpoint that it starts from and the layers to keep of it.
    """

    name: str
    stage: StageBase
    study_seed: int
    train: TokenisedSplit
    held_out: TokenisedSplit
    special: SpecialTokens
    mask: int | None
    max_length: int
    folder: Path
    layers: int | tuple[int, ...] | None
    device: torch.device
    bf16: bool

    def draws(self, purpose: str) -> np.random.Generator:
        """A NumPy generator of the study's seed, this stage and the purpose."""
        return numpy_generator(self.study_seed, 0, f"stage:{self.name}:{purpose}")

    def dropout(self) -> torch.Generator:
        """The stage's source of dropout."""
        seed = seed_for(self.study_seed, 0, f"stage:{self.name}:dropout")
        return torch.Generator(self.device).manual_seed(seed)

    def encoder(self) -> Encoder:
        """The encoder that the stage starts from, with its whole vocabulary: a stage's texts hold
        other words than the study's, and the study's runs compact the result for themselves.

        Raises:
            UserError: the checkpoint does not fit.
        """
        encoder = load_encoder(self.folder, self.layers, self.stage.dropout).to(self.device)
        set_product_dtype(encoder, self.bf16)
        return encoder

    def frame(self, ids: np.ndarray) -> np.ndarray:
        """[CLS] ids [SEP], cut to the stage's longest length."""
        return framed(ids, self.special, self.max_length)


class Objective(Protocol):
    """What a kind of stage minimises."""

    model: nn.Module
    """The encoder (attribute `encoder`) and whatever is trained with it."""
    size: int
    """Examples of an epoch."""
    facts: dict[str, object]
    """What the stage's record tells of it."""

    def backward(
        self, index: np.ndarray, draws: np.random.Generator, dropout: torch.Generator
    ) -> torch.Tensor:
        """Add the gradient of the mean loss of the examples at `index`; that loss (scalar)."""

    def measure(self) -> dict[str, float]:
        """`held_out_loss` and other figures of the held-out texts, without dropout."""


def framed(ids: np.ndarray, special: SpecialTokens, longest: int) -> np.ndarray:
    """[CLS] ids [SEP], cut to `longest` tokens."""
    return np.concatenate(([special.first], ids[: longest - 2], [special.separator]))


def ragged(values: np.ndarray, offsets: np.ndarray) -> list[np.ndarray]:
    """The texts of one side of a split, token ids each."""
    return [values[a:b] for a, b in itertools.pairwise(offsets)]


def in_batches(order: Sequence[int] | np.ndarray, size: int) -> list[np.ndarray]:
    """Cut positions into as few batches of at most `size` as there must be, of nearly equal length:
    no step rests on one left-over example."""
    return np.array_split(np.asarray(order), -(-len(order) // size))
