"""From token ids to packed batches: framing, cutting, joining of pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from weightwise.data.tokens import SpecialTokens, TokenisedSplit
from weightwise.model.packed import Packed, pack


@dataclass(frozen=True)
class Batch:
    """n examples of one task. Siamese pairs make 2n sequences: all first texts, then all second.

    `labels` [n] float32; `rows` [n] row numbers in the source.
    """

    packed: Packed
    labels: torch.Tensor
    rows: np.ndarray

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return replace(self, packed=self.packed.to(device), labels=self.labels.to(device))


@dataclass(frozen=True)
class Framing:
    """How texts become sequences.

    `pair`: joint or siamese (ignored for single texts); `max_length`: longest sequence in tokens;
    `vocabulary`: ascending token ids that the encoder kept, or None for all of them.
    """

    special: SpecialTokens
    pair: str
    max_length: int
    vocabulary: np.ndarray | None = None

    def single(self, ids: np.ndarray) -> np.ndarray:
        """[CLS] a [SEP], cut to the longest length."""
        cut = ids[: self.max_length - 2]
        return self._known(np.concatenate(([self.special.first], cut, [self.special.separator])))

    def joint(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[CLS] a [SEP] b [SEP] with segment ids 0 and 1; the longer text is cut first."""
        room = self.max_length - 3
        if len(a) + len(b) > room:
            keep_a, keep_b = (room + 1) // 2, room // 2
            if min(len(a), len(b)) <= room // 2:
                shorter_a = len(a) < len(b)
                keep_a = len(a) if shorter_a else room - len(b)
                keep_b = room - len(a) if shorter_a else len(b)
            a, b = a[:keep_a], b[:keep_b]
        separator = [self.special.separator]
        ids = np.concatenate(([self.special.first], a, separator, b, separator))
        segments = np.zeros(len(ids), dtype=np.int64)
        segments[len(a) + 2 :] = 1
        return self._known(ids), segments

    def _known(self, ids: np.ndarray) -> np.ndarray:
        return ids if self.vocabulary is None else np.searchsorted(self.vocabulary, ids)


def make_batch(split: TokenisedSplit, index: np.ndarray, framing: Framing) -> Batch:
    """The batch of the examples at `index` (positions in the split), in that order."""
    first = [split.a[split.a_offsets[i] : split.a_offsets[i + 1]] for i in index]
    if split.b is None:
        packed = pack([framing.single(ids) for ids in first])
    else:
        second = [split.b[split.b_offsets[i] : split.b_offsets[i + 1]] for i in index]
        if framing.pair == "joint":
            pairs = [framing.joint(a, b) for a, b in zip(first, second, strict=True)]
            packed = pack([ids for ids, _ in pairs], [segments for _, segments in pairs])
        else:
            packed = pack([framing.single(ids) for ids in (*first, *second)])
    labels = torch.from_numpy(split.labels[index].astype(np.float32))
    return Batch(packed, labels, split.rows[index])


def scoring_batches(split: TokenisedSplit, framing: Framing, size: int) -> Iterator[Batch]:
    """All examples once, neighbours in length together: the grid of attention wastes little."""
    lengths = np.diff(split.a_offsets)
    if split.b_offsets is not None:
        lengths = lengths + np.diff(split.b_offsets)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), size):
        yield make_batch(split, order[start : start + size], framing)


def vocabulary_of(splits: list[TokenisedSplit], special: SpecialTokens) -> np.ndarray:
    """Ascending ids of all tokens that occur, the framing ones included."""
    sides = [s.a for s in splits] + [s.b for s in splits if s.b is not None]
    frame = np.array([special.first, special.separator], dtype=np.int32)
    return np.unique(np.concatenate([*sides, frame]))
