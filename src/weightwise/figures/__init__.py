"""Figures from the declared tables.

A new figure is one file with a `draw` function, and its name in KINDS.
"""

from typing import Any

KINDS = (
    *("pairings", "heatmap", "forest", "regression", "simplex", "confusion", "scatter"),
    *("conflict", "weights", "cost", "learning", "overfitting", "overlap"),
)
"""Names of the figures' modules, in the order of the report."""


def __getattr__(name: str) -> Any:
    """Drawing costs seconds of imports, which whoever wants KINDS alone must not pay."""
    if name in ("FIGURES", "build_figures"):
        from weightwise.figures import build

        return getattr(build, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
