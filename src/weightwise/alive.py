"""Whether the process behind a note still runs.

Imports nothing large: every job of Snakemake reads the Snakefile, which needs it.
"""

from __future__ import annotations

import socket
import time

import psutil

# Signs of life come every ten seconds; clocks of machines differ, file systems lag.
SILENCE = 60.0


def is_alive(beat: dict) -> bool:
    """Whether the process behind a sign of life still trains: on this machine its number tells, on
    another one the time of the last sign."""
    try:
        if beat["host"] == socket.gethostname():
            return is_process(int(beat["pid"]), float(beat["created"]))
        return time.time() - float(beat["written"]) < SILENCE
    except (KeyError, TypeError, ValueError):
        return False


def is_process(number: int, created: float) -> bool:
    """Whether the process of this machine that had the number at that time still runs: numbers are
    given again."""
    try:
        process = psutil.Process(number)
        return abs(process.create_time() - created) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
