"""The Gramian of task gradients: G_ij = g_i . g_j over the trunk, whole and by layer block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

ALL = "all"
"""The block of the whole trunk."""


def block_of(name: str) -> str:
    """The layer block of an encoder parameter: `layer_3` of `layers.3.output.weight`, `pooler`, and
    `embeddings` for everything before the first layer."""
    parts = name.split(".")
    if parts[0] == "layers":
        return f"layer_{parts[1]}"
    return "pooler" if parts[0] == "pooler" else "embeddings"


def blocks_of(names: Sequence[str]) -> dict[str, list[int]]:
    """For every block the places of its parameters in `names`, in the order of the names."""
    blocks: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        blocks.setdefault(block_of(name), []).append(place)
    return blocks


def inner_products(gradients: Sequence[Sequence[torch.Tensor]]) -> torch.Tensor:
    """g_i . g_j parameter by parameter, computed in the gradients' own precision (fp32).

    Args:
        gradients: K lists of P tensors of equal shapes.

    Returns:
        [K (K + 1) / 2, P] on the gradients' device; rows are the pairs i <= j as
        `numpy.triu_indices` orders them. A sum over parameters on the host, in double precision,
        gives any block's Gramian without another pass over the gradients.
    """
    rows = []
    for i, one in enumerate(gradients):
        rows.append(torch.stack(torch._foreach_norm(list(one))).square())
        for other in gradients[i + 1 :]:
            pairs = zip(one, other, strict=True)
            rows.append(torch.stack([torch.dot(a.reshape(-1), b.reshape(-1)) for a, b in pairs]))
    return torch.stack(rows)


def assemble(products: np.ndarray, tasks: int, places: Sequence[int] | None = None) -> np.ndarray:
    """The Gramian [K, K] (float64) of some parameters.

    Args:
        products: what `inner_products` gave, on the host.
        tasks: K.
        places: which parameters; None: all of them.
    """
    chosen = products if places is None else products[:, places]
    gramian = np.empty((tasks, tasks))
    rows, columns = np.triu_indices(tasks)
    gramian[rows, columns] = gramian[columns, rows] = chosen.sum(axis=1, dtype=np.float64)
    return gramian


def gramian_of(gradients: Sequence[Sequence[torch.Tensor]]) -> np.ndarray:
    """G_ij = g_i . g_j over lists of tensors, [K, K] float64."""
    return assemble(inner_products(gradients).double().cpu().numpy(), len(gradients))


def lowest_cosines(gramian: np.ndarray) -> np.ndarray:
    """For each task the lowest cosine of its gradient with another's, [K]; NaN for one task or a
    zero gradient."""
    norms = np.sqrt(np.diag(gramian))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = gramian / np.outer(norms, norms)
    np.fill_diagonal(cosines, np.nan)
    if len(gramian) == 1:
        return np.full(1, np.nan)
    return np.array([np.nan if np.isnan(row).all() else np.nanmin(row) for row in cosines])


def update_cosine(gramian: np.ndarray, weights: np.ndarray) -> float:
    """Cosine between the update sum_k w_k g_k and the plain sum of the gradients, [-1, 1].

    w'G1 / sqrt(w'Gw 1'G1): 1 where the combiner kept the direction; NaN where either is zero.
    """
    ones = np.ones(len(gramian))
    lengths = (weights @ gramian @ weights) * (ones @ gramian @ ones)
    if not lengths > 0:
        return float("nan")
    return float(np.clip(weights @ gramian @ ones / np.sqrt(lengths), -1.0, 1.0))
