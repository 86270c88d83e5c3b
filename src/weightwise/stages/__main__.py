"""`python -m weightwise.stages NAME`: one or several stages, without Snakemake."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from weightwise import faults
from weightwise.config import load_study
from weightwise.config.base import nearest
from weightwise.config.stages import chain_of
from weightwise.errors import UserError
from weightwise.files import write_json
from weightwise.layout import Layout
from weightwise.owner import claim
from weightwise.runs import StudyRuns
from weightwise.stages.outcome import told
from weightwise.train.interrupt import stop_requests
from weightwise.train.log import log_to, terminal


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m weightwise.stages",
        description="Compute stages of a study by hand; those before them in their chain, too.",
    )
    parser.add_argument("stages", nargs="+", metavar="NAME", help="keys of `stages` in the study")
    parser.add_argument("--study", default="config.yaml", help="the study's file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--log", action="store_true", help="write a log per stage")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Compute; 0 if every stage is finished, 1 if one failed (those after it are not tried), 2 if
    the command line is wrong, 3 if it was asked to stop (the same command goes on from there)."""
    options = parse(arguments)
    try:
        study = load_study(options.study, options.overrides)
        for name in options.stages:
            if name not in study.stages:
                known = list(study.stages)
                hint = nearest(name, known) if known else "it has no `stages`"
                raise UserError(f"study '{study.name}' has no stage '{name}'; {hint}")
        runs = StudyRuns(study, Layout(study.name, options.results))
        claim(runs.layout, options.study, options.overrides)
    except UserError as error:
        faults.show_traceback(error)
        print(f"error: {faults.told(error)}", file=sys.stderr)
        return 2
    names = dict.fromkeys(one for name in options.stages for one in chain_of(study.stages, name))
    shown = terminal()
    with stop_requests() as stop:
        for name in names:
            if options.log:
                log_to(runs.layout.stage_log(name, runs.grid.stage_fingerprint(name)))
            if not _one(runs, name, shown, stop):
                return 3 if stop() else 1
    return 0


def _one(runs: StudyRuns, name: str, shown, stop) -> bool:
    """One stage, whatever happens in it."""
    from weightwise.stages import run as runner  # torch, after the log is in place
    from weightwise.stages.progress import StageLog
    from weightwise.train import failure
    from weightwise.train.heartbeat import Heartbeat

    mark = runs.grid.stage_fingerprint(name)
    note, log = runs.layout.stage_file("failed", name, mark), runs.layout.stage_log(name, mark)
    print(f"stage {name}", file=sys.stderr, flush=True)
    beating = runs.layout.stage_file("running", name, mark)
    started = time.monotonic()
    try:
        with Heartbeat(beating, f"stage {name}", StageLog()) as beat:
            write_json(note, failure.killed(f"stage {name}", log))
            record, trained = runner.execute(runs, name, beat, stop)
    except Exception as error:
        failure.explain(error, lambda text: print(text, file=sys.stderr, flush=True))
        word = "stopped" if stop() else "FAILED"
        print(f"{word} stage {name}: {error} (log: {log})", file=shown, flush=True)
        return False
    took = f"{time.monotonic() - started:.0f} s" if trained else "already in the store"
    print(f"stage {name}: {told(record)} ({took})", file=shown, flush=True)
    return True


if __name__ == "__main__":
    sys.exit(faults.guarded(main, lambda text: print(f"error: {text}", file=sys.stderr)))
