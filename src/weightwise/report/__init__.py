"""The HTML report."""

from weightwise.report.build import build_report

__all__ = ["build_report"]
