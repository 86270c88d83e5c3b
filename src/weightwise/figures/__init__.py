"""Figures from the declared tables. The registry of figures is `build.FIGURES`."""

from weightwise.figures.build import FIGURES, build_figures

__all__ = ["FIGURES", "build_figures"]
