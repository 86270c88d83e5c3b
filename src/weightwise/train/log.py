"""Where a training's words go: a log of its own, and the terminal for what everybody should see."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO


def terminal() -> TextIO:
    """The standard error that the process was started with, whatever is redirected later."""
    return os.fdopen(os.dup(sys.stderr.fileno()), "w")


def log_to(path: Path) -> None:
    """Send standard output and error, of native code too, into a log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
