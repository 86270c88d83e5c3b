"""Pages of small studies, shared by the tests of the report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "figures"))

from figure_inputs import make_checks, make_study, make_study_tables, no_figures

from weightwise.figures import build_figures
from weightwise.report import build_report


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """Make tables, figures and page in one go; returns the page's text."""

    def made(study=None, checks=None, partial=False, draw=False, **options) -> str:
        folder = tmp_path_factory.mktemp("report")
        tables = make_study_tables(folder / "tables", **options)
        if draw:
            build_figures(tables, folder / "figures", study)
        else:
            no_figures(folder / "figures")
        path = None
        if checks is not None:
            path = folder / "checks.json"
            path.write_text(json.dumps(checks))
        out = build_report(tables, folder / "figures", folder / "r.html", study, path, partial)
        return out.read_text("utf-8")

    return made


@pytest.fixture(scope="session")
def full_page(build) -> str:
    """Everything at once: runs, checks, published tables."""
    study = make_study(published="pairing", introduction="A study & its <aim>.")
    return build(study, make_checks(), draw=True, runs=True, gradients=True)


@pytest.fixture(scope="session")
def hostile_page(build) -> str:
    """Titles, classes and data facts that try to run code."""
    study = make_study(hostile=True, title='"><script>alert(9)</script>', published="pairing")
    more = {"gradients": True, "runs": True, "splits": ("dev",)}
    return build(study, make_checks(), draw=True, partial=True, **more)
