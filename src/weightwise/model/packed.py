"""Packed batches: the token ids of all sequences one after another, no padding.

Everything outside attention works on the N tokens. Attention alone needs a rectangle, so a batch
carries the place of every token in a [sequences, longest] grid and the mask of that grid.

N is rounded up to a multiple of ROUND by filler tokens at the end, since CPU libraries compile (and
keep) a kernel for every new size of a product. Fillers take no part in attention or in any mean,
their outputs are never read and their gradients are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

ROUND = 32


@dataclass(frozen=True)
class Packed:
    """B sequences with N tokens in all, fillers included, the longest of T tokens.

    Shapes: `ids`, `positions`, `segments` [N] (int64); `rows` [N], the sequence of every token, B
    for fillers; `slots` [N], its place in the grid, B * T for fillers; `sources` [N], the place to
    read its mixed value from, 0 for fillers; `first` [B] (int64), the place of every sequence's
    first token; `lengths` [B] (float32); `mask` [B, 1, 1, T] (float32), 0 where there is a token
    and a large negative number where there is none.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    segments: torch.Tensor
    rows: torch.Tensor
    slots: torch.Tensor
    sources: torch.Tensor
    first: torch.Tensor
    lengths: torch.Tensor
    mask: torch.Tensor

    @property
    def sequences(self) -> int:
        """B."""
        return self.mask.shape[0]

    @property
    def longest(self) -> int:
        """T."""
        return self.mask.shape[3]

    def to(self, device: torch.device) -> Packed:
        """The same batch on another device."""
        return Packed(**{k: v.to(device, non_blocking=True) for k, v in vars(self).items()})


def pack(
    sequences: Sequence[np.ndarray],
    segments: Sequence[np.ndarray] | None = None,
    multiple: int = ROUND,
) -> Packed:
    """Pack sequences of token ids.

    Args:
        sequences: B arrays of token ids, each with at least one token.
        segments: B arrays of segment ids (0 or 1) of the same lengths; None: all 0.
        multiple: round the number of tokens up to a multiple of this; 1: no fillers.
    """
    lengths = np.fromiter((len(s) for s in sequences), dtype=np.int64, count=len(sequences))
    if len(lengths) == 0 or lengths.min() == 0:
        raise ValueError("pack: needs at least one sequence, and no empty one")
    count, longest = len(lengths), int(lengths.max())
    fillers = int(-lengths.sum() % multiple)
    first = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    rows = np.repeat(np.arange(count), lengths)
    positions = np.arange(lengths.sum()) - first[rows]
    slots = rows * longest + positions
    ids = np.concatenate(sequences).astype(np.int64)
    segment = np.zeros_like(ids) if segments is None else np.concatenate(segments).astype(np.int64)
    mask = np.where(np.arange(longest) < lengths[:, None], 0.0, -1e9).astype(np.float32)

    def fill(values: np.ndarray, value: int) -> torch.Tensor:
        return torch.from_numpy(np.pad(values, (0, fillers), constant_values=value))

    return Packed(
        ids=fill(ids, ids[0]),
        positions=fill(positions, 0),
        segments=fill(segment, 0),
        rows=fill(rows, count),
        slots=fill(slots, count * longest),
        sources=fill(slots, 0),
        first=torch.from_numpy(first),
        lengths=torch.from_numpy(lengths.astype(np.float32)),
        mask=torch.from_numpy(mask[:, None, None, :]),
    )
