"""Combiners: how K task gradients become one update. A new one is a file and a line here."""

from __future__ import annotations

from weightwise.combine.base import Combiner
from weightwise.combine.fixed import Addition, Unitary
from weightwise.combine.gradattention import GradAttention
from weightwise.combine.pcgrad import PCGrad

COMBINERS: dict[str, type[Combiner]] = {
    "addition": Addition,
    "baseline": Addition,
    "gradattention": GradAttention,
    "pcgrad": PCGrad,
    "unitary": Unitary,
}


def make_combiner(name: str, weights: tuple[float, ...] | None, generator) -> Combiner:
    """Build a combiner by name.

    Args:
        name: key of COMBINERS.
        weights: weights of the tasks, for combiners that have them.
        generator: NumPy generator of this run for the combiner's own randomness.
    """
    return COMBINERS[name](weights, generator)


__all__ = ["COMBINERS", "Combiner", "make_combiner"]
