"""Fuzzing of everything that is read from outside. `make fuzz` tries 10,000 cases, the same ones
each time, and prints what became of them; a few of them are tried in every run of the tests.

No case may end in a traceback, lose a row without a count, or execute what a file holds.
"""

from __future__ import annotations

import pickle
from importlib import import_module
from pathlib import Path

import harness
import pytest
from harness import Outcome, Payload, RowsLost, Trials, marker

MANY = {
    "studies": 2000,
    "readers": 3000,
    "archives": 2500,
    "checkpoints": 1500,
    "score_tables": 1000,
}
"""Cases of a kind in `make fuzz`: 10,000."""
FEW = 40
"""Cases of a kind in an ordinary run of the tests."""


def tried(kind: str, count: int, folder: Path) -> Outcome:
    """What became of so many cases of a kind."""
    module = import_module(kind)
    trials = Trials(kind, module.attempt, folder)
    if hasattr(module, "CASES"):
        return trials.drawn(module.CASES, count)
    for case in module.cases(count):
        trials.one(case)
    return trials.outcome


def hold(kind: str, count: int, folder: Path) -> None:
    """Nothing goes wrong, and the cases are worth trying."""
    outcome = tried(kind, count, folder)
    print(f"\n{outcome.line()}")
    assert not outcome.faults, "\n".join([outcome.line(), *outcome.faults])
    assert outcome.counts["cases"] >= 0.9 * count, outcome.line()
    for name in ("accepted", "refused"):
        assert outcome.counts[name] >= 0.05 * count, f"{outcome.line()}: hardly any {name}"


@pytest.mark.parametrize("kind", MANY)
def test_a_few_cases(kind, tmp_path):
    hold(kind, FEW, tmp_path)


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", MANY)
def test_many_cases(kind, tmp_path):
    hold(kind, MANY[kind], tmp_path)


def test_what_is_held_can_fail(tmp_path, monkeypatch):
    """A traceback, a lost row, a payload that runs, a bomb and a hang are each seen and told."""

    def attempt(case: str, folder: Path) -> str:
        if case == "lost":
            raise RowsLost("one")
        if case == "executed":
            pickle.loads(pickle.dumps(Payload(marker(folder))))
        while case == "hang":
            pass
        if case == "memory":
            return "accepted" if bytearray(harness.BYTES + 1) else ""
        return {"fine": "accepted", "executed": "accepted"}[case]

    monkeypatch.setattr(harness, "SECONDS", 0.3)
    trials = Trials("known", attempt, tmp_path)
    for case in ("fine", "lost", "executed", "wrong", "memory", "hang"):
        trials.one(case)
    counts = trials.outcome.counts
    assert dict(counts) == {
        "cases": 6,
        "accepted": 2,
        "rows lost": 1,
        "executed": 1,
        "tracebacks": 3,
    }
    assert len(trials.outcome.faults) == 5
