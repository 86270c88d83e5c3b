"""The command line: `weightwise plan`, `check`, `train`, `analyse` and the steps between."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from weightwise import __version__, faults
from weightwise.config import load_study
from weightwise.layout import Layout

# Modules that cost seconds to import are imported where they are used: `weightwise plan` is quick.

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True, highlight=False)

StudyFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The study's file.")]
Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as seeds=[1].")
]
Results = Annotated[Path, typer.Option(help="Folder of everything that is computed.")]
Reports = Annotated[Path, typer.Option(help="Folder of the reports.")]
DEFAULT_STUDY = Path("config.yaml")
RESULTS, REPORTS = Path("results"), Path("reports")


def _open(path: Path, overrides: list[str], results: Path, reports: Path = REPORTS):
    study = load_study(path, overrides)
    return study, Layout(study.name, results, reports)


def _runs(path: Path, overrides: list[str], results: Path, reports: Path = REPORTS):
    """The runs of a prepared study into whose folder a command is to write."""
    from weightwise.owner import claim
    from weightwise.runs import StudyRuns

    study, layout = _open(path, overrides, results, reports)
    claim(layout, path, overrides)
    return StudyRuns(study, layout)


@app.command()
def plan(
    config: StudyFile = DEFAULT_STUDY,
    overrides: Overrides = [],  # noqa: B006 (typer copies it)
    results: Results = RESULTS,
    every: Annotated[bool, typer.Option("--runs", help="List every run, too.")] = False,
) -> None:
    """Print the runs of a study: how many, of what kind, at what cost."""
    from weightwise.data.cautions import machine_cautions, ungrouped_caution
    from weightwise.duration import duration
    from weightwise.grid import Grid
    from weightwise.plan import planned

    study, layout = _open(config, overrides, results)
    rows, estimate = planned(study, layout)
    out = Console(highlight=False)
    table = Table(title=f"Study {escape(study.name)}", title_justify="left")
    for column in ("grouping", "arms", "variants", "seeds", "runs", "steps of a run"):
        table.add_column(column, justify="right" if column != "grouping" else "left")
    groups: dict[str, list] = {}
    for row in rows:
        groups.setdefault(row.run.group_name, []).append(row)
    for name, members in groups.items():
        counts = [len({getattr(m.run, k) for m in members}) for k in ("arm", "variant", "seed")]
        steps = sorted({m.steps for m in members if m.steps is not None})
        table.add_row(
            escape(name), *map(str, counts), str(len(members)), " or ".join(map(str, steps)) or "?"
        )
    out.print(table)
    if every:
        for row in rows:
            state = {True: "done", False: "to do", None: "?"}[row.done]
            out.print(f"{state:6s} {row.run.id}", markup=False)
    for caution in [*ungrouped_caution(study), *machine_cautions(study)]:
        out.print(f"Warning: {caution}.", style="yellow", markup=False)
    done = sum(row.done is True for row in rows)
    out.print(f"{len(rows)} runs, {done} done, {len(rows) - done} to do.")
    stages = Grid(study).stages
    if stages:
        chain = ", ".join(f"{name} ({study.stages[name].kind})" for name in stages)
        out.print(f"Before them {len(stages)} stages, not in the cost: {chain}.", markup=False)
    out.print(
        f"Training still to do: about {duration(estimate.seconds)} of one core ({estimate.basis})."
    )
    _print_sight(study, layout, out)
    file = "" if config == DEFAULT_STUDY else f" --configfile {shlex.quote(str(config))}"
    out.print(
        f"Start it: snakemake{file}; a target stands first: snakemake trained{file}",
        markup=False,
        soft_wrap=True,
    )


def _print_sight(study, layout: Layout, out: Console) -> None:
    """What the study's design can see; in per cent where finished runs tell its noise."""
    from weightwise.analysis.design import sights
    from weightwise.grid import Grid
    from weightwise.tables import Noise, read_table

    path = layout.tables / "noise.parquet"
    noise = read_table(path, Noise) if path.exists() else None
    for sight in sights(Grid(study), noise):
        variant = "" if sight.variant in ("", "default") else f"[{sight.variant}] "
        out.print(f"{variant}{sight}.", markup=False)


@app.command()
def status(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Its file or its name.")] = str(
        DEFAULT_STUDY
    ),
    overrides: Overrides = [],  # noqa: B006
    results: Results = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show how far a study is: done, running, waiting, failed and why, elapsed, ETA.

    Reads files only, so that it works from any shell that sees the folder, beside a running study
    or after it.
    """
    from weightwise import status as shown
    from weightwise.progress import study_status

    file = Path(study)
    if not file.exists():
        file, overrides = shown.named_study(study, results)
    config, layout = _open(file, overrides, results)
    found = study_status(config, layout)
    if as_json:
        print(json.dumps(shown.as_json(config.name, found), indent=1))
    else:
        shown.show(config.name, found)
        _print_sight(config, layout, Console(highlight=False))


@app.command()
def check(
    config: StudyFile = DEFAULT_STUDY,
    overrides: Overrides = [],  # noqa: B006
    results: Results = RESULTS,
) -> None:
    """Check a configuration and its data; print rows, labels, checksums and shared texts."""
    from weightwise.data.cautions import machine_cautions
    from weightwise.data.show import render
    from weightwise.data.stage import prepare_study
    from weightwise.runs import StudyRuns

    study, layout = _open(config, overrides, results)
    checks = prepare_study(study, layout, lambda line: console.print(line, markup=False))
    out = Console(highlight=False)
    stages = StudyRuns(study, layout).stage_records() if study.stages else {}
    for part in render(checks, stages, study, machine_cautions(study)):
        out.print(part)


@app.command()
def prepare(
    config: StudyFile = DEFAULT_STUDY,
    overrides: Overrides = [],  # noqa: B006
    results: Results = RESULTS,
    marker: Annotated[bool, typer.Option("--marker", hidden=True, help="For Snakemake.")] = False,
) -> None:
    """Prepare rows, token ids and the encoder of a study."""
    from weightwise.data.prepared import refuse_others
    from weightwise.data.stage import prepare_study
    from weightwise.reconcile import mark_data

    study, layout = _open(config, overrides, results)
    prepare_study(study, layout, lambda line: console.print(line, markup=False))
    if marker:
        refuse_others(layout.data.name)
        mark_data(layout, layout.data.name)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def train(context: typer.Context) -> None:
    """Train one run by hand, with a progress bar: `weightwise train RUN --study config.yaml`."""
    from weightwise.train.__main__ import main as train_main

    raise typer.Exit(train_main(context.args))


@app.command()
def collect(
    config: StudyFile = DEFAULT_STUDY,
    overrides: Overrides = [],  # noqa: B006
    results: Results = RESULTS,
) -> None:
    """Gather the scores, states and costs of all runs of a study."""
    from weightwise.collect import collect as gather
    from weightwise.made import Made

    runs = _runs(config, overrides, results)
    with Made(runs).making("collect"):
        gather(runs)


@app.command()
def tables(
    config: StudyFile = DEFAULT_STUDY,
    overrides: Overrides = [],  # noqa: B006
    results: Results = RESULTS,
) -> None:
    """Analyse the gathered scores: changes, intervals, regressions, best arms, confusions."""
    from weightwise.collect import analyse_study
    from weightwise.made import Made

    runs = _runs(config, overrides, results)
    with Made(runs).making("tables"):
        analyse_study(runs)


@app.command()
def figures(
    config: StudyFile = DEFAULT_STUDY,
    overrides: Overrides = [],  # noqa: B006
    results: Results = RESULTS,
) -> None:
    """Draw the figures of a study."""
    from weightwise.figures import build_figures
    from weightwise.made import Made

    runs = _runs(config, overrides, results)
    with Made(runs).making("figures"):
        build_figures(runs.layout.tables, runs.layout.figures, runs.study)


@app.command()
def report(
    config: StudyFile = DEFAULT_STUDY,
    overrides: Overrides = [],  # noqa: B006
    results: Results = RESULTS,
    reports: Reports = REPORTS,
    partial: Annotated[bool, typer.Option(help="Say that runs are missing.")] = False,
) -> None:
    """Write the HTML report of a study."""
    from weightwise.made import Made
    from weightwise.report import build_report

    runs = _runs(config, overrides, results, reports)
    with Made(runs).making("report", partial):
        path = build_report(
            runs.layout.tables,
            runs.layout.figures,
            runs.layout.report,
            runs.study,
            runs.layout.checks,
            partial,
            stages=runs.stage_records() if runs.study.stages else None,
        )
    console.print(f"report: {path}", markup=False)


@app.command()
def submit(
    config: StudyFile = DEFAULT_STUDY,
    form: Annotated[
        Literal["plain", "glue", "cs224n"], typer.Option(help="What the leaderboard takes.")
    ] = "plain",
    split: Annotated[Literal["test", "dev"], typer.Option(help="Which predictions.")] = "test",
    tasks: Annotated[
        list[str], typer.Option("--task", metavar="NAME", help="Only this task; may be repeated.")
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. [default: below the study's results]")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Write what there is if rows were left out.")
    ] = False,
    class_names: Annotated[
        bool, typer.Option("--class-names", help="Write classes by their names in `classes`.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that holds something.")
    ] = False,
    overrides: Overrides = [],  # noqa: B006
    results: Results = RESULTS,
) -> None:
    """Write test predictions in the form that leaderboards take, from the best arm per task."""
    from weightwise.submit import submit as write_submission

    study, layout = _open(config, overrides, results)
    write_submission(
        study,
        layout,
        form=form,
        split=split,
        tasks=tasks,
        out=out,
        allow_missing=allow_missing,
        force=force,
        class_names=class_names,
        report=lambda line: console.print(line, markup=False, soft_wrap=True),
    )


@app.command()
def analyse(
    scores: Annotated[Path, typer.Argument(help="A tidy table of absolute scores.")],
    out: Annotated[Path, typer.Option(help="Folder for tables, figures and the report.")],
    confidence: Annotated[float, typer.Option(min=0.51, max=0.999)] = 0.95,
    power: Annotated[float, typer.Option(min=0.51, max=0.999)] = 0.8,
) -> None:
    """The whole analysis of any table of scores, no training needed (docs/analyse.md).

    A row is the score of a task in a run. Columns: task; metric (accuracy or pearson); group
    (tasks trained together, joined by +); combiner (baseline: the task alone); alpha (the task's
    own weight, or empty); score (a fraction). If there are: seed, variant, split (dev or test),
    epoch, run, alias_of.
    """
    from weightwise.analysis.run import analyse as run_analysis
    from weightwise.analysis.scores import read_scores
    from weightwise.config.report import ReportConfig
    from weightwise.figures import build_figures
    from weightwise.report import build_report
    from weightwise.tables import write_csv

    warnings.showwarning = _say_warning
    found = run_analysis(read_scores(scores), out / "tables", None, None, confidence, power)
    for name, table in found.items():
        write_csv(table, out / "tables" / f"{name}.csv")
    told = ReportConfig(confidence=confidence, power=power)
    build_figures(out / "tables", out / "figures", report=told)
    page = build_report(out / "tables", out / "figures", out / "index.html", report=told)
    shown = Console(highlight=False)
    fits = Table(title="Quadratic regressions", title_justify="left")
    for column in ("variant", "task", "group", "R²", "optimum", "note"):
        fits.add_column(column)
    for row in found["regressions"].itertuples():
        numbers = (_number(row.r_squared, ".3f"), _number(row.optimum, ".2f"))
        fits.add_row(*map(escape, (row.variant, row.task, row.group, *numbers, row.note)))
    best = Table(title="What is claimed of every pairing, and its arm", title_justify="left")
    for column in (
        "variant",
        "task",
        "group",
        "combiner",
        "alpha",
        "change %",
        "judged on",
        "verdict",
    ):
        best.add_column(column)
    for row in found["best"].itertuples():
        alpha = row.alpha if isinstance(row.alpha, str) else ""
        cells = (row.variant, row.task, row.group, row.combiner, alpha)
        change = row.test_change if row.judged == "test" else row.dev_change
        best.add_row(*map(escape, cells), _number(change, "+.2f"), row.judged, row.verdict)
    shown.print(fits, best)
    for reason, count in found["arms"]["undefined"].value_counts().items():
        shown.print(f"not comparable, {count} arms: {faults.printable(reason)}", markup=False)
    shown.print(f"report: {page}", markup=False)


def _say_warning(message: Warning | str, *_: object) -> None:
    """What the user should know, without the place in our code."""
    console.print(f"warning: {faults.printable(str(message))}", style="yellow", markup=False)


def _number(value: float, form: str) -> str:
    """A number, or nothing where it is undefined."""
    return "" if math.isnan(value) else format(value, form)


@app.command()
def convert(
    folder: Annotated[Path, typer.Argument(help="Checkpoint folder with pytorch_model.bin.")],
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
) -> None:
    """Turn a checkpoint's pickle into safetensors, in a process of its own that runs no code."""
    from weightwise.data.convert import convert as run_convert

    done = run_convert(folder, out)
    more = f", {done['left_out']} other entries left out" if done["left_out"] else ""
    console.print(f"{out}: {done['tensors']} tensors{more}", markup=False)


@app.command()
def clean(
    configs: Annotated[
        list[Path],
        typer.Argument(metavar="[CONFIG]...", help="Other studies to keep."),
    ] = [],  # noqa: B006
    results: Results = RESULTS,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed.")] = False,
) -> None:
    """List what no study needs any more, with its size, or remove it."""
    from weightwise.clean import left_over, remove

    found = left_over(results, [load_study(path) for path in configs])
    kinds: dict[str, list] = {}
    for one in found:
        kinds.setdefault(one.what, []).append(one)
    table = Table(title=f"Left over in {escape(str(results))}", title_justify="left")
    for column in ("what", "how many", "MB"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, those in kinds.items():
        table.add_row(what, str(len(those)), f"{sum(one.bytes for one in those) / 1e6:,.1f}")
    out = Console(highlight=False)
    total = sum(one.bytes for one in found) / 1e6
    if not found:
        out.print(f"Nothing is left over in {results}.", markup=False)
        return
    out.print(table)
    if not yes:
        for one in found:
            if one.what != "lock":
                out.print(f"{one.bytes / 1e6:10,.1f} MB  {one.what}: {one.path}", markup=False)
        out.print(f"{total:,.1f} MB; `weightwise clean --yes` removes them.", markup=False)
        return
    kept = [one for one in found if not remove(one)]
    for one in kept:
        out.print(f"kept, a process holds it: {one.path}", markup=False)
    gone = total - sum(one.bytes for one in kept) / 1e6
    out.print(f"{len(found) - len(kept)} removed, {gone:,.1f} MB.", markup=False)


@app.command()
def schema() -> None:
    """Print the JSON schema of a study's file."""
    from weightwise.config.document import json_schema

    print(json_schema(), end="")


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@app.callback()
def options(
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show the traceback of an error, anywhere on the line."),
    ] = False,
) -> None:
    """Which tasks to fine-tune together, how to weight them, and whether the gain is real."""
    if debug:
        os.environ[faults.DEBUG_VARIABLE] = "1"


def main() -> None:
    """Entry point: an error is one paragraph, see `weightwise.faults`."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without Unicode shows a question mark for what it lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:]
    if "--debug" in words:
        words.remove("--debug")
        os.environ[faults.DEBUG_VARIABLE] = "1"
    sys.exit(faults.guarded(lambda: app(words), _say_error))


def _say_error(text: str) -> None:
    console.print(f"error: {text}", style="red", markup=False)


if __name__ == "__main__":
    main()
