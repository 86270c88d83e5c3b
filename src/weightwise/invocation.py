"""Who works on a study: a note that a Snakemake leaves while it runs, and what follows from it.

Snakemake locks the folder while it works. Killed (KILL, a lost terminal, a rebooted login node), it
leaves the lock, and under Slurm its jobs. The note tells whether the one that locked still lives:
if it certainly does not, the next one clears both away; else it says in a line what to do. Imports
no torch.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from weightwise.alive import is_alive, is_process
from weightwise.files import read_json, write_json
from weightwise.layout import Layout

# Seconds that stopped trainings get to write their checkpoints; Slurm gives them KillWait (30).
GRACE = 60.0
LOCKS = Path(".snakemake/locks")


def begin(
    layout: Layout,
    study: Path,
    overrides: list[str],
    executor: str,
    slurm_run: str | None = None,
    data: str | None = None,
) -> None:
    """Note that this process works on the study.

    Args: where its files lie; its file and overrides; Snakemake's executor, and the name that all
    its Slurm jobs have (the `SLURM run ID`); name of the prepared data that it works on.
    """
    note = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "created": psutil.Process().create_time(),
        "started": time.time(),
        "ended": None,
        "study": str(study),
        "set": overrides,
        "results": str(layout.results),
        "reports": str(layout.reports),
        "folder": str(Path.cwd()),
        "executor": executor,
        "slurm_run": slurm_run,
        "data": data,
    }
    write_json(layout.invocation, note)


def stop_orphans(layout: Layout) -> None:
    """Stop the trainings that a killed Snakemake left, here or in Slurm: they would be started a
    second time.

    To be called by who holds the folder's lock, so that whoever wrote the note is gone. Trainings
    write checkpoints when they are told to end.
    """
    note = _unfinished(layout)
    if note is None:
        return
    if note.get("executor") == "slurm":
        who = f"the snakemake that was killed (process {note['pid']} on {note['host']})"
        _cancel_jobs(note, who)
    else:
        _stop_processes(layout, note)


def stop_jobs_left(layout: Layout) -> None:
    """Cancel the Slurm jobs that this Snakemake, which ends, has lost sight of.

    Control-C while it asks for states cancels nothing in version 2.8.0 of the plugin, and it gives
    up all jobs when that fails.
    """
    note = read_json(layout.invocation)
    if isinstance(note, dict) and note.get("executor") == "slurm" and note.get("slurm_run"):
        _cancel_jobs(note, "this command")


def _stop_processes(layout: Layout, note: dict) -> None:
    beats = [read_json(path) for path in (layout.root / "running").rglob("*.json")]
    here = [
        beat["pid"]
        for beat in beats
        if isinstance(beat, dict)
        and beat.get("host") == socket.gethostname()
        and beat.get("snakemake") == str(note["pid"])
        and is_alive(beat)
    ]
    if not here:
        return
    _say(
        f"{len(here)} trainings of the snakemake that was killed still run: process "
        f"{', '.join(map(str, here))}; stopping them. They go on from their checkpoints."
    )
    processes = []
    for pid in here:
        with contextlib.suppress(psutil.Error):
            processes.append(psutil.Process(pid))
            processes[-1].terminate()
    psutil.wait_procs(processes, timeout=GRACE)


def _cancel_jobs(note: dict, who: str) -> None:
    from weightwise import slurm

    def left() -> list[slurm.Job]:
        # Another study may be trained from the same folder, by a Snakemake that lives.
        name = note.get("slurm_run")
        return [job for job in slurm.orphans(Path.cwd()) if name in (None, job.name)]

    try:
        jobs = [job for job in left() if job.state != "COMPLETING"]
        if jobs:
            _say(
                f"{len(jobs)} Slurm jobs of {who} are still there: {_shown(jobs)}; cancelling "
                "them. They go on from their checkpoints."
            )
            slurm.cancel([job.id for job in jobs])
        until = time.monotonic() + GRACE
        while (jobs := left()) and time.monotonic() < until:
            time.sleep(1)
        if jobs:
            _say(f"Slurm has not ended {_shown(jobs)} in {GRACE:g} seconds; see `squeue --me`")
    except slurm.SlurmError as error:
        _say(f"Slurm jobs of {who} may still run: {error}")


def _shown(jobs: list) -> str:
    return ", ".join(job.id for job in jobs[:20]) + (", ..." if len(jobs) > 20 else "")


def end(layout: Layout, reason: str | None = None) -> None:
    """Note that it ended, by success or failure, and what kept it from starting."""
    note = read_json(layout.invocation)
    if isinstance(note, dict) and note.get("pid") == os.getpid() and note.get("ended") is None:
        write_json(layout.invocation, note | {"ended": time.time(), "reason": reason})


def working(layout: Layout) -> bool:
    """Whether another Snakemake works on the study, as far as can be known from here."""
    note = _unfinished(layout)
    if note is None or (note["pid"] == os.getpid() and note["host"] == socket.gethostname()):
        return False
    return note["host"] != socket.gethostname() or is_process(note["pid"], note["created"])


def data_of(layout: Layout, study: Path, overrides: list[str]) -> str | None:
    """Name of the prepared data of the Snakemake that works on the study with this file and these
    overrides; None where none does."""
    note = _unfinished(layout)
    if note is None or note.get("study") != str(study) or note.get("set") != overrides:
        return None
    data = note.get("data")
    return data if isinstance(data, str) else None


def left_behind(layout: Layout) -> dict | None:
    """The note of a Snakemake that died on this machine without a word; None: there is none."""
    note = _unfinished(layout)
    if note is None or note["host"] != socket.gethostname():
        return None
    return None if is_process(note["pid"], note["created"]) else note


def remove_stale_lock(layout: Layout) -> None:
    """Let a study go on whose Snakemake died: remove its lock, or say why that cannot be done."""
    locks = [path for path in LOCKS.glob("*.lock") if _is_of(path, layout)]
    if not locks:
        return
    note = _unfinished(layout)
    if left_behind(layout) is not None:
        for path in locks:
            path.unlink(missing_ok=True)
        _say(
            f"the snakemake that worked on this study (process {note['pid']}, since "
            f"{_when(note['started'])}) was killed; its lock is removed, its finished runs are kept"
        )
    elif note is not None:
        _say(
            f"a snakemake works on this study on {note['host']} (process {note['pid']}, since "
            f"{_when(note['started'])}); if it is dead: snakemake --unlock"
        )


def _unfinished(layout: Layout) -> dict | None:
    note = read_json(layout.invocation)
    try:
        if note["ended"] is None:
            return note | {
                "pid": int(note["pid"]),
                "created": float(note["created"]),
                "started": float(note["started"]),
            }
    except (TypeError, KeyError, ValueError):
        pass
    return None


def _is_of(lock: Path, layout: Layout) -> bool:
    """Whether the lock holds files of the study: studies in one folder do not lock each other."""
    try:
        return f"{layout.root}{os.sep}" in lock.read_text("utf-8", "replace")
    except OSError:
        return False


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def end_when_told(scheduler: Any) -> None:
    """Let Snakemake's answer to SIGTERM run in a thread of its own.

    Its handler takes a lock that the main thread may hold at that moment, and waits for it in the
    main thread: Snakemake then never ends. Another thread gets the lock when it is free.

    Args:
        scheduler: Snakemake's, whose handler of SIGTERM is `exit_gracefully`.
    """
    answer = getattr(scheduler, "exit_gracefully", None)
    if answer is not None and signal.getsignal(signal.SIGTERM) == answer:
        signal.signal(
            signal.SIGTERM, lambda *_: threading.Thread(target=answer, daemon=True).start()
        )
