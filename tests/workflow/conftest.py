"""Real Snakemake runs on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_study import Project, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project folder with everything that a clone has, and the tiny study."""
    return make_project(tmp_path)
