"""Dropout from a generator of its own.

`torch.nn.functional.dropout` draws from the global generator. Here every run, and every task
within it, has its own stream: runs can share a process, and the same task with the same seed sees
the same noise in every arm, which is what makes arms comparable seed by seed.
"""

from __future__ import annotations

import torch


def dropout(x: torch.Tensor, p: float, generator: torch.Generator | None) -> torch.Tensor:
    """Inverted dropout of any shape; `generator=None` (scoring) or p = 0 returns x itself."""
    if generator is None or p == 0.0:
        return x
    keep = torch.empty_like(x, requires_grad=False).bernoulli_(1.0 - p, generator=generator)
    return x * keep.div_(1.0 - p)
