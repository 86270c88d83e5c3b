"""Combiners: how K task gradients become one update. A new one is a file and a line here."""

from __future__ import annotations

from weightwise.combine import notation
from weightwise.combine.base import Combiner
from weightwise.combine.cagrad import CAGrad
from weightwise.combine.fixed import Addition, Unitary
from weightwise.combine.gradattention import GradAttention
from weightwise.combine.imtl_g import IMTLG
from weightwise.combine.mgda import MGDA
from weightwise.combine.notation import path_label
from weightwise.combine.pcgrad import PCGrad
from weightwise.combine.pcgrad_alpha import PCGradAlpha
from weightwise.combine.random_loss import RandomLoss
from weightwise.combine.torchjd_weightings import WEIGHTINGS
from weightwise.combine.upgrad import UPGrad

COMBINERS: dict[str, type[Combiner]] = {
    "addition": Addition,
    "baseline": Addition,
    "cagrad": CAGrad,
    "gradattention": GradAttention,
    "imtl_g": IMTLG,
    "mgda": MGDA,
    "pcgrad": PCGrad,
    "pcgrad_alpha": PCGradAlpha,
    "random": RandomLoss,
    "unitary": Unitary,
    "upgrad": UPGrad,
    **WEIGHTINGS,
}

SURGERY = "pcgrad"
"""The combiner of the steps that end an epoch under `training.epoch_surgery`."""


def read_combiner(text: str) -> notation.Named:
    """The combiner that a text names: `cagrad`, `cagrad(c=0.4)`, `torchjd:UPGrad`.

    Raises:
        ValueError: the text names none; the message says what is wrong and what is near.
    """
    return notation.read(text, COMBINERS)


def make_combiner(text: str, weights: tuple[float, ...] | None, generator) -> Combiner:
    """Build a combiner as the configuration names it.

    Args:
        text: `NAME` or `NAME(key=value, ...)`, NAME a key of COMBINERS.
        weights: weights of the tasks, for combiners that are `weighted`.
        generator: NumPy generator of this run for the combiner's own randomness.

    Raises:
        ValueError: the text names none.
        UserError: what it needs is not installed.
    """
    named = read_combiner(text)
    return named.type(weights, generator, named.options)


__all__ = ["COMBINERS", "SURGERY", "Combiner", "make_combiner", "path_label", "read_combiner"]
