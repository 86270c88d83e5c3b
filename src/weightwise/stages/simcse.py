"""Intermediate fine-tuning by the supervised contrastive loss of SimCSE (Gao et al. 2021, section
4; simcse paper, section 4.3.2, whose printed equation lost its index)."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from weightwise.model.encoder import Encoder
from weightwise.model.packed import pack
from weightwise.stages.inputs import StageInputs, in_batches
from weightwise.stages.pairs import Triples, draw_triples, premises_of

SCORING_SEQUENCES = 64
ROWS_AT_ONCE = 1024
"""Rows of the matrix of distances that are computed at a time."""


def contrastive_loss(
    anchors: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Mean over i of -log(exp(s(h_i, h_i+)/t) / sum_j [exp(s(h_i, h_j+)/t) + exp(s(h_i, h_j-)/t)]).

    Args:
        anchors: representations h of n premises [n, H].
        positives: h+ of an entailed hypothesis of each [n, H].
        negatives: h- of the hard negatives that exist [m, H], m from 0 to n; the others' terms are
            left out of the sum.
        temperature: t; s is the cosine.
    """
    h = F.normalize(anchors, dim=1)
    others = F.normalize(torch.cat((positives, negatives)), dim=1)
    logits = h @ others.t() / temperature
    return F.cross_entropy(logits, torch.arange(len(anchors), device=logits.device))


def alignment(first: torch.Tensor, second: torch.Tensor) -> float:
    """Mean squared distance of the normalised representations [n, H] of entailed pairs, in [0, 4]:
    the lower, the closer (Wang and Isola 2020, section 4.1, alpha = 2)."""
    a, b = (F.normalize(x.double(), dim=1) for x in (first, second))
    return float((a - b).square().sum(1).mean())


def uniformity(x: torch.Tensor) -> float:
    """log of the mean of exp(-2 |x_i - x_j|^2) over all i < j of normalised representations [n, H],
    n >= 2, in [-8, 0]: the lower, the evener they are spread (Wang and Isola 2020, section 4.1,
    t = 2)."""
    x = F.normalize(x.double(), dim=1)
    count = len(x)
    total = 0.0
    for start in range(0, count, ROWS_AT_ONCE):
        rows = x[start : start + ROWS_AT_ONCE]
        # Every row against all after it.
        potential = (4 * (rows @ x.t()).clamp(-1, 1) - 4).exp()
        total += float(potential.triu(start + 1).sum())
    return float(np.log(total / (count * (count - 1) / 2)))


@torch.no_grad()
def embed(encoder: Encoder, framed: list[np.ndarray], how: str) -> torch.Tensor:
    """Representations [n, H] of framed sequences, without dropout, in their order."""
    device = encoder.word_embeddings.weight.device
    order = np.argsort([len(ids) for ids in framed], kind="stable")
    parts = []
    for start in range(0, len(order), SCORING_SEQUENCES):
        packed = pack([framed[i] for i in order[start : start + SCORING_SEQUENCES]]).to(device)
        parts.append(encoder.represent(encoder(packed), packed, how).float())
    return torch.cat(parts)[torch.from_numpy(np.argsort(order)).to(device)]


class SentenceModel(nn.Module):
    """The encoder alone: the loss needs no head."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder


class ContrastiveObjective:
    """`contrastive_loss` of a step's premises; their hypotheses are drawn anew every step."""

    def __init__(self, inputs: StageInputs):
        """Load the encoder, group the pairs, draw the held-out triples once for all."""
        self.inputs = inputs
        self.model = SentenceModel(inputs.encoder())
        self.premises = premises_of(inputs.train)
        self.size = len(self.premises)
        held = premises_of(inputs.held_out)
        draws = inputs.draws("held-out")
        self._held_out = [
            draw_triples([held[i] for i in part], draws)
            for part in in_batches(np.arange(len(held)), inputs.stage.batch_size)
        ]
        self._pairs = [(premise.ids, one) for premise in held for one in premise.entailed]
        texts = [t for p in held for t in (p.ids, *p.entailed, *p.contradicted)]
        self._sentences = list({text.tobytes(): text for text in texts}.values())
        both = {"train": self.premises, "held_out": held}
        self.facts: dict[str, object] = {
            "premises": {split: len(those) for split, those in both.items()},
            "hard_negatives": {
                split: sum(bool(p.contradicted) for p in those) for split, those in both.items()
            },
        }

    def _loss(self, triples: Triples, dropout: torch.Generator | None) -> torch.Tensor:
        stage, encoder = self.inputs.stage, self.model.encoder
        texts = [*triples.premises, *triples.positives, *triples.negatives]
        packed = pack([self.inputs.frame(ids) for ids in texts]).to(self.inputs.device)
        h = encoder.represent(encoder(packed, dropout), packed, stage.representation).float()
        count = len(triples.premises)
        parts = h.split([count, count, len(triples.negatives)])
        return contrastive_loss(*parts, stage.temperature)

    def backward(
        self, index: np.ndarray, draws: np.random.Generator, dropout: torch.Generator
    ) -> torch.Tensor:
        """See `Objective`."""
        loss = self._loss(draw_triples([self.premises[i] for i in index], draws), dropout)
        loss.backward()
        return loss.detach()

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """`held_out_loss`, mean over the held-out premises; `alignment` of all their entailed
        pairs, `uniformity` of all their different sentences."""
        losses = [float(self._loss(t, None)) * len(t.premises) for t in self._held_out]
        count = sum(len(t.premises) for t in self._held_out)
        frame, how = self.inputs.frame, self.inputs.stage.representation
        sides = [
            embed(self.model.encoder, [frame(pair[k]) for pair in self._pairs], how) for k in (0, 1)
        ]
        spread = embed(self.model.encoder, [frame(ids) for ids in self._sentences], how)
        return {
            "held_out_loss": math.fsum(losses) / count,
            "alignment": alignment(*sides),
            "uniformity": uniformity(spread),
        }
