"""What the kinds of fuzzing share: the outcome of a case, limits, a payload that nothing may run.

A kind is a module with `CASES` (a strategy) and `attempt(case, folder)`, which tries one case as
the commands do and returns whether it was accepted or refused. All else is a fault.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from weightwise.errors import UserError

SECONDS = 20
"""Seconds of the processor; a case that takes more counts as a hang."""
WAITED = 600
"""Seconds of the clock, however busy the machine is."""
BYTES = 4 << 30
"""Memory that a process may take beyond what it has at the start."""
SHOWN = 10
"""Faults of a kind that are told in full."""


class RowsLost(AssertionError):
    """Rows of a table are neither kept nor counted as left out."""


@dataclass
class Outcome:
    """What became of the cases of a kind."""

    kind: str
    counts: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        """All counts; zeros, too."""
        names = ("cases", "accepted", "refused", "tracebacks", "rows lost", "executed")
        return f"{self.kind}: " + ", ".join(f"{self.counts[name]:,} {name}" for name in names)


@dataclass
class Payload:
    """A pickle that makes a folder when it is opened."""

    folder: Path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


def marker(folder: Path) -> Path:
    """What a payload makes when it is run; it stands in the cases under this name."""
    return folder.parent / "executed"


@dataclass
class Trials:
    """Tries cases of a kind, one after another, in a folder that is made anew for each.

    Attributes:
        kind: its name.
        attempt: tries a case in a folder of its own: "accepted" or "refused".
        folder: where the cases are written.
    """

    kind: str
    attempt: Callable[[Any, Path], str]
    folder: Path

    def __post_init__(self) -> None:
        self.outcome = Outcome(self.kind)

    def one(self, case: Any) -> None:
        """Try a case and count what became of it."""
        outcome, place = self.outcome, self.folder / "case"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        outcome.counts["cases"] += 1
        try:
            with _limited():
                outcome.counts[self.attempt(case, place)] += 1
        except RowsLost as error:
            _note(outcome, "rows lost", case, error)
        except BaseException as error:  # a panic of a library in Rust is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            _note(outcome, "tracebacks", case, error)
        if marker(place).exists():
            marker(place).rmdir()
            _note(outcome, "executed", case, None)

    def drawn(self, cases: SearchStrategy, count: int) -> Outcome:
        """Try so many cases of a strategy, the same ones each time."""

        @settings(
            max_examples=count,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(cases)
        def one(case: Any) -> None:
            self.one(case)

        one()
        return self.outcome


def refused(error: UserError) -> str:
    """A refusal that is fit to be read.

    Raises:
        AssertionError: it says nothing, goes on for pages or cannot be printed.
    """
    said = str(error)
    assert said.strip(), "a refusal without a word"
    assert len(said) < 20_000, f"a refusal of {len(said):,} characters: {said[:300]}"
    assert "Traceback" not in said, said
    # Surrogates that stand for bytes of a file's name are printed as escapes.
    said.encode("utf-8", "backslashreplace")
    return "refused"


def _note(outcome: Outcome, what: str, case: Any, error: BaseException | None) -> None:
    outcome.counts[what] += 1
    if len(outcome.faults) < SHOWN:
        reason = f"{type(error).__name__}: {str(error)[:400]}" if error is not None else ""
        outcome.faults.append(
            f"{outcome.kind}, {what}: {reason}\n    {str(case)[:600]}{_at(error)}"
        )


def _at(error: BaseException | None) -> str:
    """Where it was raised: the last line of our own code, and the last of all."""
    places = []
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append((code.co_filename, f"{Path(code.co_filename).name}:{trace.tb_lineno}"))
        trace = trace.tb_next
    ours = [line for name, line in places if "weightwise" in name]
    return f"\n    at {', '.join(dict.fromkeys([*ours[-1:], places[-1][1]]))}" if places else ""


@contextmanager
def _limited() -> Iterator[None]:
    """An alarm clock, and an end to what memory may be taken."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {SECONDS} seconds of the processor, or {WAITED} in all")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = {number: signal.signal(number, late) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAITED)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
