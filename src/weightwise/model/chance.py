"""Chance level: predictions that read no text, the first row of bertram's table (section 4.2)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


class ChanceHead(nn.Module):
    """Outputs [n, outputs] of n examples that know nothing of their texts.

    Class tasks: the log shares of the classes among the training labels, so that the most frequent
    one is predicted, with its share as confidence. Regression: a number drawn evenly from the label
    range for every row, since Pearson's r of a constant does not exist. It learns nothing.
    """

    def __init__(self, labels: np.ndarray, classes: int, low: float, high: float, seed: int):
        """Settle the predictions.

        Args:
            labels: [rows] of the training split, class numbers for class tasks.
            classes: number of classes, two for a binary task; 0 for regression.
            low, high: regression: the label range.
            seed: regression: of the numbers; row r has the same one in every split.
        """
        super().__init__()
        self.low, self.high, self.seed = low, high, seed
        self.fixed: torch.Tensor | None
        fixed = None
        if classes:
            # A class that never occurs still has a finite logarithm.
            counts = np.bincount(labels.astype(int), minlength=classes) + 1e-6
            logs = np.log(counts / counts.sum())
            fixed = logs[1:] - logs[:1] if classes == 2 else logs
        self.register_buffer("fixed", None if fixed is None else torch.tensor(fixed).float())
        # The loss needs something to be differentiated by; it counts for nothing.
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, rows: np.ndarray) -> torch.Tensor:
        """Row numbers [n] of the source -> [n, outputs]: class logits (binary: one), or values."""
        if self.fixed is not None:
            outputs = self.fixed.expand(len(rows), -1)
        else:
            drawn = [np.random.default_rng([self.seed, int(row)]).random() for row in rows]
            values = self.low + (self.high - self.low) * np.array(drawn)
            outputs = torch.tensor(values, device=self.anchor.device).float().unsqueeze(1)
        return outputs + 0.0 * self.anchor
