"""Masked language modelling's data: long texts in pieces, and masks drawn anew for every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from weightwise.model.packed import Packed, pack
from weightwise.stages.inputs import StageInputs

MASKED, RANDOM = 0.8, 0.1
"""Shares of the chosen tokens that become [MASK], and that become a random token; the rest stay
(Devlin et al. 2019, section 3.1)."""


@dataclass(frozen=True)
class MaskedBatch:
    """Sequences with masks: `packed`; the places [M] (int64) of the chosen tokens among the packed
    tokens, and what stood there [M] (int64)."""

    packed: Packed
    places: torch.Tensor
    targets: torch.Tensor

    def to(self, device: torch.device) -> MaskedBatch:
        """The same batch on another device."""
        moved = {k: getattr(self, k).to(device) for k in ("packed", "places", "targets")}
        return replace(self, **moved)


def pieces(texts: Sequence[np.ndarray], longest: int) -> list[np.ndarray]:
    """The texts, those over `longest` tokens divided into pieces of nearly equal length."""
    found: list[np.ndarray] = []
    for ids in texts:
        found += np.array_split(ids, -(-len(ids) // longest))
    return found


def choose(
    ids: np.ndarray, share: float, mask: int, vocabulary: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Choose tokens of a sequence [n] and hide them.

    Args:
        ids: token ids without [CLS] and [SEP], which are never chosen.
        share: share of the tokens to choose; the nearest whole number of them, at least one.
        mask: id of [MASK].
        vocabulary: number of token ids; random tokens are drawn from all of them.
        generator: draws places and fates.

    Returns:
        The ids with the chosen tokens hidden [n], and the chosen places [m], ascending.
    """
    count = max(1, round(share * len(ids)))
    places = np.sort(generator.choice(len(ids), count, replace=False))
    fate = generator.random(count)
    other = generator.integers(vocabulary, size=count)
    hidden = ids.astype(np.int64)
    hidden[places] = np.select(
        [fate < MASKED, fate < MASKED + RANDOM], [np.full(count, mask), other], hidden[places]
    )
    return hidden, places


def masked_batch(
    texts: Sequence[np.ndarray],
    chosen: Sequence[tuple[np.ndarray, np.ndarray]],
    inputs: StageInputs,
) -> MaskedBatch:
    """Pack sequences whose tokens `choose` has hidden.

    Args:
        texts: the ids as they were.
        chosen: what `choose` gave for each.
        inputs: frames them.
    """
    framed = [inputs.frame(hidden) for hidden, _ in chosen]
    starts = np.concatenate(([0], np.cumsum([len(f) for f in framed])[:-1]))
    places = np.concatenate([s + 1 + p for s, (_, p) in zip(starts, chosen, strict=True)])
    targets = np.concatenate([t[p] for t, (_, p) in zip(texts, chosen, strict=True)])
    return MaskedBatch(
        pack(framed), torch.from_numpy(places), torch.from_numpy(targets.astype(np.int64))
    )
