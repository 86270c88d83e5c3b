"""Before a workflow starts: its markers say what the stores hold, whatever happened meanwhile.

Snakemake compares dates and remembers what it did. Neither knows of a data file replaced by an
older one, of a run's folder deleted behind its marker, of a damaged record or of data that a
command prepared by hand. So the markers are made to tell the truth, and a marker that is missing is
what makes a job due. Imports no torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from weightwise.data.prepared import Asked, NotPrepared, entry, why_not
from weightwise.files import bring_back, put_away, read_json, write_json
from weightwise.grid import Cell
from weightwise.layout import Layout
from weightwise.made import Made, forget
from weightwise.runs import StudyRuns
from weightwise.store import RunStore

SHOWN = 10
"""Most runs that are named one by one."""


def reconcile_data(layout: Layout, wanted: Asked) -> list[str]:
    """Make the marker of the prepared data true.

    Args:
        layout: where the study's files lie.
        wanted: the data that it asks for.

    Returns:
        What was found wrong, a line each.
    """
    found = entry(layout, wanted.digest)
    marker = layout.prepared
    if isinstance(found, Layout):
        mark_data(layout, wanted.digest)
        return []
    # Snakemake makes what is missing only where something that it was asked for is missing, too.
    forget(layout)
    if not marker.exists():
        return [found] if found else []
    marker.unlink(missing_ok=True)
    return [f"{found or why_not(layout, wanted)}: they are prepared again"]


def mark_data(layout: Layout, digest: str) -> None:
    """Write the marker of the prepared data, as old as they are."""
    if read_json(layout.prepared) != {"data": digest}:
        write_json(layout.prepared, {"data": digest})
        _as_old_as(layout.prepared, layout.data_store / digest / "checks.json")


def reconcile_runs(runs: StudyRuns) -> list[str]:
    """Make the markers of runs, stages and tables true; the study's data are prepared.

    Returns:
        What was found wrong, a line each.
    """
    said = []
    for name in runs.grid.stages:
        marker = runs.layout.stage_done(name, runs.grid.stage_fingerprint(name))
        # It holds what only a computation tells, so it is not made anew like a run's.
        bring_back(marker)
        _, why = _named(
            marker, lambda key, name=name: key in runs.stage_keys(name), runs.stage_store
        )
        if why:
            put_away(marker)
            said.append(f"stage {name}: {why}: it is computed again")
    lost, finished = [], {}
    for run in runs.grid.runs:
        marker = runs.layout.done(run, runs.grid.fingerprint(run))
        named, why = _named(marker, lambda key, run=run: _may_name(runs, run, key), runs.store)
        if named is None and (key := runs.key(run)) and runs.store.record(key) is not None:
            # Another study's, or one from before the data went there and back.
            write_json(marker, {"id": run.id, "key": key})
            _as_old_as(marker, runs.store.folder(key) / runs.store.record_name)
            named = key
        elif why:
            marker.unlink(missing_ok=True)
            lost.append(f"run {run.id}: {why}: it is trained again")
        finished[run] = named
    old = Made(runs, finished).forget_old()
    if said or lost:
        forget(runs.layout)
    said += lost[:SHOWN]
    if len(lost) > SHOWN:
        said.append(f"and {len(lost) - SHOWN} more runs")
    return [f"{old}: made again"] if old and not said else said


def _named(
    marker: Path, may_name: Callable[[str], bool], store: RunStore
) -> tuple[str | None, str | None]:
    """The key that a marker names, if that is so, and why not if it is there and it is not so.

    Args:
        marker: of a run or a stage.
        may_name: whether it may name a key.
        store: where what it names should be.
    """
    note = read_json(marker)
    if note is None and not marker.exists():
        return None, None
    key = note.get("key") if isinstance(note, dict) else None
    if not isinstance(key, str):
        return None, f"its marker {marker} is damaged"
    if not may_name(key):
        return None, "it was made from other data or another encoder"
    found = store.look(key)
    if isinstance(found, dict):
        return key, None
    return None, found or f"{store.folder(key)} is gone"


def _may_name(runs: StudyRuns, run: Cell, key: str) -> bool:
    """Whether a key is one of the run's; mostly it is this machine's."""
    return key == runs.key(run) or key in runs.keys(run)


def _as_old_as(path: Path, other: Path) -> None:
    """Give a file the date of what it stands for: what was made after that is not older."""
    with suppress(OSError):
        state = os.stat(other)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def reconcile(study, layout: Layout, wanted: Asked) -> None:
    """Make all markers of a study true, and say what was wrong.

    Args:
        study: its configuration.
        layout: where its files lie.
        wanted: the data that it asks for.
    """
    said = reconcile_data(layout, wanted)
    with suppress(NotPrepared):
        said += reconcile_runs(StudyRuns(study, layout))
    for line in said:
        print(f"weightwise: {line}", file=sys.stderr)
