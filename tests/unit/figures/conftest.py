"""One small study for all tests of figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from figure_inputs import make_study_tables


@pytest.fixture(scope="session")
def small_tables(tmp_path_factory) -> Path:
    """Three tasks, three seeds, dev and test."""
    return make_study_tables(tmp_path_factory.mktemp("small"), runs=True, gradients=True)
