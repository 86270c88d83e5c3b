"""Why runs did not finish: their notes, completed by what Slurm says of their jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from weightwise.alive import is_alive
from weightwise.files import read_json, write_json
from weightwise.runs import StudyRuns
from weightwise.slurm import explain_end


def notes(
    runs: StudyRuns, given_up: Collection[str] = (), stages: Iterable[tuple[Path, Path]] = ()
) -> list[dict]:
    """Notes of the stages and runs that did not finish, in their order; on disk, too.

    Args:
        runs: the study's.
        stages: of every stage, where its note and its sign of life lie.
        given_up: markers of runs whose Slurm job failed as often as Snakemake tries. Such a run
            failed, even if it was only asked to stop (a time limit, `scancel`) or never began.

    Returns:
        Each as `weightwise.train.run.failure` gives it; `stopped` is true of runs that were asked
        to stop and go on by the same command.
    """
    found = []
    for place, beating in stages:
        note, beat = read_json(place), read_json(beating)
        if not isinstance(note, dict) or (isinstance(beat, dict) and is_alive(beat)):
            continue
        known = _explained(note)
        if known != note:
            write_json(place, known)
        found.append(known)
    for run in runs.grid.runs:
        if runs.record(run) is not None:
            continue  # finished, though its pack may have failed
        mark, place = runs.grid.fingerprint(run), runs.failed(run)
        note, beat = read_json(place), read_json(runs.layout.running(run, mark))
        if isinstance(beat, dict) and is_alive(beat):
            continue
        failed = str(runs.layout.done(run, mark)) in given_up
        if isinstance(note, dict):
            known = _explained(note) | ({"stopped": False} if failed else {})
        elif failed:
            known = _never_began(run.id)
        else:
            continue
        if known != note:
            write_json(place, known)
        found.append(known)
    return found


def _explained(note: dict) -> dict:
    """The note, with how Slurm ended the run's job where that tells more."""
    if not note.get("slurm_job") or note.get("explained"):
        return note
    end = explain_end(str(note["slurm_job"]))
    if end is None or end.plain:
        return note
    # What a killed process left is a guess; Slurm knows.
    error = end.line if note.get("killed") else f"{note['error']}; {end.line}"
    return note | {"error": error, "explained": True}


def _never_began(run: str) -> dict:
    return {
        "id": run,
        "key": None,
        "error": "its Slurm job ended before this training began; the job's log tells why",
        "log": "results/slurm",
        "stopped": False,
        "slurm_job": None,
    }
