"""Losses of graded similarity beyond the squared error, and their read-outs.

Labels lie in [low, high]. Where the output is the cosine of two sentence vectors, the label range
is laid on the cosines from 0 to 1: unrelated is orthogonal, equal is parallel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def graded_cosine_loss(
    cosines: torch.Tensor, labels: torch.Tensor, low: float, high: float
) -> torch.Tensor:
    """Mean squared distance of cosines [B] to the labels' [B] place in their range (mlm, 3.2.3).

    The paper says that the cosine is compared to a target derived from the label and follows
    Reimers and Gurevych (2019, section 3, regression objective), whose distance is squared.
    """
    return F.mse_loss(cosines, (labels - low) / (high - low))


def two_class_cosine_loss(
    cosines: torch.Tensor, labels: torch.Tensor, low: float, high: float
) -> torch.Tensor:
    """Mean of 1 - cos for similar pairs and max(0, cos) for the others (bertram, 3.1; margin 0).

    Similar are labels [B] of at least three fifths of the range: 3 on the scale from 0 to 5.
    """
    similar = labels >= (2 * low + 3 * high) / 5
    return torch.where(similar, 1 - cosines, F.relu(cosines)).mean()


def rounded_label_loss(
    logits: torch.Tensor, labels: torch.Tensor, low: float, high: float
) -> torch.Tensor:
    """Mean cross-entropy of logits [B, high - low + 1] over the rounded labels [B] (bertram, 3.1).

    Class c is the whole label low + c; halves are rounded up.
    """
    return F.cross_entropy(logits, torch.floor(labels - low + 0.5).long())


def expected_label(logits: torch.Tensor, low: float) -> torch.Tensor:
    """Expectation [B] over the whole labels low, low + 1, ... under logits [B, classes]."""
    places = torch.arange(logits.shape[1], dtype=logits.dtype, device=logits.device)
    return low + logits.softmax(-1) @ places


def logits_with_mean(classes: int, mean: float) -> torch.Tensor:
    """Logits [classes] under which the expected class is `mean`, evenly spaced.

    Of all distributions with that mean it is the one of the largest entropy, so that no class is
    preferred for another reason.

    Args:
        classes: at least two.
        mean: in [0, classes - 1]; at the very ends it is met to a thousandth of the range.
    """
    places = torch.arange(classes, dtype=torch.float64)
    last = classes - 1
    wanted = min(max(mean, 1e-3 * last), (1 - 1e-3) * last)
    low, high = -50.0, 50.0  # steps between neighbouring logits; the mean rises with the step
    for _ in range(80):
        middle = (low + high) / 2
        if float((middle * places).softmax(-1) @ places) < wanted:
            low = middle
        else:
            high = middle
    return ((low + high) / 2 * places).float()
