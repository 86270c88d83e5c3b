"""A polite end: the first TERM or INT lets the run write a checkpoint, a later one does not."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

# The same request can arrive twice, from Slurm and from a parent process.
ONE_REQUEST = 5.0
NAMES = {signal.SIGTERM: "TERM", signal.SIGINT: "INT (Ctrl-C)"}


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], str | None]]:
    """Give a function that tells which signal asked the process to stop; None: no one did.

    Slurm sends TERM when a job is cancelled or runs out of time, and kills it some 30 seconds later
    (KillWait); a terminal sends INT on Ctrl-C.
    """
    asked: list[tuple[str, float]] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked and time.monotonic() - asked[0][1] > ONE_REQUEST:
            raise KeyboardInterrupt
        asked.append((NAMES[signal.Signals(number)], time.monotonic()))

    before = {number: signal.signal(number, note) for number in NAMES}
    try:
        yield lambda: asked[0][0] if asked else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
