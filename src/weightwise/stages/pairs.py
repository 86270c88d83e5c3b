"""SimCSE's data: premises with what they entail and what they contradict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weightwise.data.tokens import TokenisedSplit
from weightwise.stages.inputs import ragged


@dataclass(frozen=True)
class Premise:
    """Token ids of a premise, of at least one hypothesis that it entails, and of those (there may
    be none) that it contradicts."""

    ids: np.ndarray
    entailed: tuple[np.ndarray, ...]
    contradicted: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Triples:
    """Premises and an entailed hypothesis of each [n], and the hard negatives of those that have
    one [m <= n]: a missing one is left out, never invented."""

    premises: list[np.ndarray]
    positives: list[np.ndarray]
    negatives: list[np.ndarray]


def premises_of(split: TokenisedSplit) -> list[Premise]:
    """The premises of labelled pairs (1 entailed, 0 contradicted), in the order of their first row.

    Premises with the same tokens are one, so that what a premise entails is not among its negatives
    under another row's number. It can still be: where premises of one step entail the same
    sentence, or one is what another entails (1.2 per cent of SICK's premises). SimCSE's loss as
    published does not leave such negatives out either.
    """
    found: dict[bytes, tuple[np.ndarray, list, list]] = {}
    pairs = zip(
        ragged(split.a, split.a_offsets),
        ragged(split.b, split.b_offsets),
        split.labels,
        strict=True,
    )
    for premise, hypothesis, label in pairs:
        _, entailed, contradicted = found.setdefault(premise.tobytes(), (premise, [], []))
        (entailed if label == 1 else contradicted).append(hypothesis)
    return [Premise(ids, tuple(yes), tuple(no)) for ids, yes, no in found.values() if yes]


def draw_triples(premises: list[Premise], generator: np.random.Generator) -> Triples:
    """One entailed hypothesis of each premise and, where there is any, one contradicted."""
    positives, negatives = [], []
    for premise in premises:
        positives.append(premise.entailed[generator.integers(len(premise.entailed))])
        if premise.contradicted:
            negatives.append(premise.contradicted[generator.integers(len(premise.contradicted))])
    return Triples([premise.ids for premise in premises], positives, negatives)
