"""Fuzzing of everything that is read from outside. `make fuzz` tries 10,000 cases, the same ones
each time, and prints what became of them; a few of them are tried in every run of the tests.

No case may end in a traceback, lose a row without a count, or execute what a file holds.
"""

from __future__ import annotations

import archives
import checkpoints
import pytest
import readers
import score_tables
from harness import Outcome, fuzz

KINDS = {
    "readers": (readers, 3000),
    "archives": (archives, 2000),
    "checkpoints": (checkpoints, 1500),
    "score tables": (score_tables, 1500),
}
FEW = 40
"""Cases of a kind in an ordinary run."""


def hold(outcome: Outcome, count: int) -> None:
    """Nothing went wrong, and the cases were worth trying."""
    print(outcome.line())
    assert not outcome.faults, "\n".join([outcome.line(), *outcome.faults])
    assert outcome.counts["cases"] >= 0.9 * count, outcome.line()
    for name in ("accepted", "refused"):
        assert outcome.counts[name] >= 0.05 * count, f"{outcome.line()}: hardly any {name}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_cases(kind, tmp_path):
    module, _ = KINDS[kind]
    hold(fuzz(kind, module.CASES, module.attempt, FEW, tmp_path), FEW)


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_many_cases(kind, tmp_path):
    module, count = KINDS[kind]
    hold(fuzz(kind, module.CASES, module.attempt, count, tmp_path), count)
