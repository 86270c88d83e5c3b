"""Task gradients on a few coordinates of the trunk, for combiners that look at the gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


class CoordinateReader:
    """Reads the same coordinates of every task's gradient.

    The trunk counts as one long vector: the word embeddings first, then the other parameters in
    their order, each row by row. Of the word embeddings a step has only the rows that it used; the
    gradient on all others is zero.
    """

    def __init__(
        self, coordinates: np.ndarray, table: torch.Tensor, parameters: Sequence[torch.Tensor]
    ):
        """Args: m coordinates, ascending; the word embeddings [V, H]; the trunk's other parameters.

        Raises:
            ValueError: a coordinate lies outside the trunk, or they do not ascend.
        """
        sizes = [table.numel(), *(p.numel() for p in parameters)]
        ends = np.cumsum(sizes)
        coordinates = np.asarray(coordinates, dtype=np.int64)
        if len(coordinates) and (coordinates[0] < 0 or coordinates[-1] >= ends[-1]):
            raise ValueError(f"coordinates outside the trunk's {ends[-1]} parameters")
        if (np.diff(coordinates) <= 0).any():
            raise ValueError("coordinates must ascend")
        device = table.device
        cuts = np.searchsorted(coordinates, ends)
        in_table = coordinates[: cuts[0]]
        width = table.shape[1]
        self.rows = torch.from_numpy(in_table // width).to(device)
        self.columns = torch.from_numpy(in_table % width).to(device)
        # (place among the other parameters, places inside it), for those that hold any.
        self.inside: list[tuple[int, torch.Tensor]] = []
        for place, (start, low, high) in enumerate(
            zip(ends[:-1], cuts[:-1], cuts[1:], strict=True)
        ):
            if high > low:
                own = torch.from_numpy(coordinates[low:high] - start)
                self.inside.append((place, own.to(device)))

    def read(self, gradient: Sequence[torch.Tensor], used: torch.Tensor) -> torch.Tensor:
        """One task's gradient on the coordinates, [m].

        Args:
            gradient: that of the used rows of the word embeddings [U, H], then of the parameters.
            used: numbers of these rows [U], ascending.
        """
        places = torch.searchsorted(used, self.rows).clamp_(max=len(used) - 1)
        found = gradient[0][places, self.columns] * (used[places] == self.rows)
        parts = [gradient[1 + k].reshape(-1).index_select(0, own) for k, own in self.inside]
        return torch.cat([found, *parts])
