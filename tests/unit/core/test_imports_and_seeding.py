"""What must not import torch, and generators that differ by purpose."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from weightwise.seeding import numpy_generator, seed_for

LIGHT = (
    "weightwise.grid",
    "weightwise.config",
    "weightwise.layout",
    "weightwise.store",
    "weightwise.tables",
    "weightwise.runs",
    "weightwise.plan",
    "weightwise.collect",
    "weightwise.cli",
    "weightwise.analysis.run",
    "weightwise.stages.definition",
    "weightwise.stages.jobs",
    "weightwise.stages.outcome",
    "weightwise.workflow",
    "weightwise.report.stage_section",
)


@pytest.mark.parametrize("modules", [("weightwise.grid", "weightwise.layout"), LIGHT])
def test_no_torch(modules):
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or "torch was imported"


def test_the_snakefile_imports_nothing_large():
    """Every Slurm job reads it twice."""
    code = "import sys, weightwise.workflow; sys.exit(bool({'pandas', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or "pandas or torch was imported"


def test_streams_differ_by_purpose_and_seeds():
    purposes = [(s, r, p) for s in (0, 1, 11) for r in (1, 2, 11) for p in ("order:A", "head:A")]
    seeds = [seed_for(*p) for p in purposes]
    assert len(set(seeds)) == len(purposes)
    assert all(0 <= s < 2**63 for s in seeds)
    draws = {tuple(numpy_generator(*p).integers(0, 1 << 30, 4)) for p in purposes}
    assert len(draws) == len(purposes)


def test_equal_purposes_give_equal_streams():
    one, two = numpy_generator(3, 1, "x"), numpy_generator(3, 1, "x")
    assert np.array_equal(one.random(5), two.random(5))


def test_seeds_stay_what_they_were():
    """A change here would silently change every result."""
    assert seed_for(0, 1, "order:SEN:1") == 2656147343386720514
