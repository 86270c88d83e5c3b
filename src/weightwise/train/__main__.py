"""`python -m weightwise.train RUN`: one or several runs, without Snakemake."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from weightwise import faults
from weightwise.config import load_study
from weightwise.errors import UserError
from weightwise.files import write_json
from weightwise.grid import Cell, Grid
from weightwise.layout import Layout
from weightwise.owner import claim
from weightwise.progress import study_progress
from weightwise.train.interrupt import stop_requests
from weightwise.train.log import log_to, terminal


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="weightwise train", description="Train one or several runs of a study by hand."
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="ids, as `weightwise plan` prints, or their markers"
    )
    parser.add_argument("--study", default="config.yaml", help="the study's file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--log", action="store_true", help="write a log per run, not a bar")
    parser.add_argument(
        "--side-by-side", type=int, default=1, metavar="N", help="train so many at the same time"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Train; 0 if every run is finished, 1 if any failed, 2 if the command line is wrong, 3 if it
    was asked to stop (the same command goes on from there)."""
    options = parse(arguments)
    try:
        study = load_study(options.study, options.overrides)
        grid = Grid(study)
        layout = Layout(study.name, options.results)
        runs = {name: _find(name, grid, layout) for name in options.runs}
        claim(layout, options.study, options.overrides)
    except UserError as error:
        faults.show_traceback(error)
        print(f"error: {faults.told(error)}", file=sys.stderr)
        return 2
    # Those that failed before come last: one that is killed every time starves nobody.
    names = sorted(
        runs, key=lambda name: layout.failed(runs[name], grid.fingerprint(runs[name])).exists()
    )
    if min(options.side_by_side, len(names)) > 1:
        return _side_by_side(names, options)
    shown = terminal()
    state: dict = {}
    failed = 0
    with stop_requests() as stop:
        for name in names:
            run = runs[name]
            if stop():
                return 3
            if options.log:
                log_to(layout.log(run, grid.fingerprint(run)))
            failed += not _one(run, grid, layout, options, state, shown, stop)
        return 3 if stop() else 1 if failed else 0


def _side_by_side(names: list[str], options: argparse.Namespace) -> int:
    """Deal the runs out to processes of their own; the highest exit status of them."""
    command = [sys.executable, "-m", "weightwise.train", "--study", options.study, "--log"]
    command += ["--results", str(options.results)]
    for one in options.overrides:
        command += ["--set", one]
    hands = [names[i :: options.side_by_side] for i in range(options.side_by_side)]
    processes = [subprocess.Popen([*command, *hand]) for hand in hands if hand]
    with stop_requests() as stop:
        told = False
        while any(process.poll() is None for process in processes):
            if stop() and not told:  # they may have had the signal as well; once more does no harm
                told = True
                for process in processes:
                    process.terminate()
            time.sleep(0.2)
    return max(abs(process.returncode) for process in processes)


def _find(name: str, grid: Grid, layout: Layout) -> Cell:
    """The run of an id or of a marker.

    Raises:
        UserError: there is none, or the configuration changed since the marker was planned.
    """
    if not name.endswith(".json"):
        return grid.run(name)
    path, folder = Path(name), layout.root / "done"
    if path.is_relative_to(folder):
        run = grid.run(str(path.relative_to(folder)).rpartition("-")[0])
        if layout.done(run, grid.fingerprint(run)) == path:
            return run
    raise UserError(f"{name}: is no run of this study any more; start the same command again")


def _one(run, grid: Grid, layout: Layout, options, state: dict, shown, stop) -> bool:
    """One run, whatever happens in it; its failure is its own."""
    from weightwise.train import failure  # torch, after the log is in place
    from weightwise.train import run as runner
    from weightwise.train.heartbeat import Heartbeat
    from weightwise.train.inputs import Prepared
    from weightwise.train.progress import BarProgress, LogProgress

    progress = LogProgress() if options.log else BarProgress(run.id)
    log = layout.log(run, grid.fingerprint(run))
    note = layout.failed(run, grid.fingerprint(run))
    print(f"run {run.id}", file=sys.stderr)
    try:
        with Heartbeat(layout.running(run, grid.fingerprint(run)), run.id, progress) as beat:
            write_json(note, failure.killed(run.id, log))
            if "prepared" not in state:
                state["prepared"] = Prepared(grid.study, layout)
            key, trained = runner.execute(state["prepared"], run, beat, stop)
    except Exception as error:
        progress.stop()
        if "prepared" not in state:  # then nobody has written yet what is wrong
            write_json(note, failure.failure(run.id, None, error, log))
        failure.explain(error, lambda text: print(text, file=sys.stderr, flush=True))
        word = "stopped" if stop() else "FAILED"
        print(f"{word} {run.id}: {error} (log: {log})", file=shown, flush=True)
        return False
    progress.stop()
    record = state["prepared"].store.record(key)
    scores = ", ".join(f"{t} {_shown(s['dev'])}" for t, s in record["scores"].items())
    how = "" if trained else " (already in the store)"
    print(f"{run.id}: dev {scores}{how}", file=sys.stderr)
    if options.log:
        whole = study_progress(state["prepared"])
        print(f"{whole} | {run.id}: dev {scores}{how}", file=shown, flush=True)
    return True


def _shown(score: float | None) -> str:
    return "undefined" if score is None else f"{score:.3f}"


if __name__ == "__main__":
    sys.exit(faults.guarded(main, lambda text: print(f"error: {text}", file=sys.stderr)))
