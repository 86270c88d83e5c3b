"""What a run or a stage leaves that did not finish, for the report and `weightwise status`."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from weightwise.errors import Diverged, UserError
from weightwise.faults import told
from weightwise.slurm import PROFILE
from weightwise.train.resumable import Progress, Stopped

KNOWN = UserError | Diverged | Stopped


def failure(name: str, key: str | None, error: BaseException, log: Path) -> dict[str, Any]:
    """The note of what did not finish.

    `stopped` tells what was asked to stop, and goes on, from what failed.

    Args:
        name: the run's id, or `stage NAME`.
        key: its key in the store, if that is known.
        error: what ended it.
        log: its log.
    """
    text = str(error) if isinstance(error, KNOWN) else told(error)
    text = text or f"{type(error).__name__}: {error}"
    return {
        "id": name,
        "key": key,
        "error": text[:2000],
        "log": str(log),
        "stopped": isinstance(error, Stopped),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }


def killed(name: str, log: Path) -> dict[str, Any]:
    """The note that stands while it is trained: it is true if nothing has the chance to say more,
    and gone when it is finished."""
    remedy = f"; raise mem_mb in {PROFILE}" if os.environ.get("SLURM_JOB_ID") else ""
    what = "computed this stage" if name.startswith("stage ") else "trained this run"
    error = UserError(
        f"the process was killed while it {what}, most often because its memory was not "
        f"enough{remedy}"
    )
    return failure(name, None, error, log) | {"killed": True}


def explain(error: BaseException, say: Callable[[str], None]) -> None:
    """Tell the log what happened: a known error in a line, anything else with its traceback."""
    if isinstance(error, KNOWN):
        say(f"error: {error}")
    else:
        say("".join(traceback.format_exception(error)))


def waiting(progress: Progress, stop: Callable[[], str | None], what: str) -> Callable[[], None]:
    """What to do every second while another process holds the lock: say so once, and give up when
    asked to stop. `what` is `this run` or `this stage`."""
    said = False

    def wait() -> None:
        nonlocal said
        if stop():
            raise Stopped(f"stopped by {stop()} while another process trained {what}")
        if not said:
            progress.note(f"another process trains {what}; waiting for it")
        said = True

    return wait
