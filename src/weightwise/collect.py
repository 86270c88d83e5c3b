"""From the runs in the store to the tables of a study: scores, runs, costs, predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from weightwise.analysis import gradients
from weightwise.analysis.chosen import chosen_arms, chosen_predictions
from weightwise.analysis.claims import claims, gains, wanted_cells
from weightwise.analysis.comparisons import compare_variants
from weightwise.analysis.conflicts import recorded_steps
from weightwise.analysis.confusion import confusions
from weightwise.analysis.cost_ratios import cost_ratios, timed_steps
from weightwise.analysis.errors import most_confident_errors
from weightwise.analysis.intervals import summarise_arms
from weightwise.analysis.learning import learning_of_run
from weightwise.analysis.leave_one_out import leave_one_out, leaving_out
from weightwise.analysis.overall import HowOverall
from weightwise.analysis.overlap import accuracy_by_overlap
from weightwise.analysis.relative_change import relative_changes
from weightwise.analysis.run import analyse
from weightwise.config import StudyConfig
from weightwise.config.report import ReportConfig
from weightwise.config.stages import chain_of
from weightwise.grid import Arm, Cell
from weightwise.published.papers import PAPERS
from weightwise.run_tables import DamagedRun, read_run_table, say_damaged
from weightwise.runs import StudyRuns
from weightwise.tables import (
    ArmPredictions,
    Confusions,
    Costs,
    Epochs,
    Errors,
    Examples,
    Gramians,
    Learning,
    LeftOut,
    Overlap,
    Predictions,
    Runs,
    Scores,
    Steps,
    StepTimes,
    Timings,
    check,
    empty,
    read_table,
    write_table,
)


def collect(runs: StudyRuns) -> pd.DataFrame:
    """Write `scores`, `runs` and `costs` of a study from whatever is finished.

    Runs that failed or were not run are rows of `runs` with the reason; they cost their own cells
    and nothing else.

    Returns:
        The scores (schema Scores).
    """
    records = {run: runs.record(run) for run in runs.grid.runs}
    for run, record in records.items():
        found = runs.store.look(runs.key(run)) if record is None else None
        if isinstance(found, str):
            say_damaged(f"{found}; run {run.id} counts as not finished")
    # Variants can share a run, which was trained, and cost, once.
    trained = {record["key"]: (run, record) for run, record in reversed(records.items()) if record}
    costs, damaged = [], set()
    for run, record in reversed(trained.values()):
        try:
            costs.append(_cost(runs, run, record))
        except DamagedRun as error:
            say_damaged(error)
            damaged.add(record["key"])
    records = {
        run: None if record and record["key"] in damaged else record
        for run, record in records.items()
    }
    table = scores_of(runs, records)
    tables = runs.layout.tables
    write_table(table, Scores, tables / "scores.parquet")
    states = pd.DataFrame([_state(runs, run, record) for run, record in records.items()])
    write_table(states, Runs, tables / "runs.parquet")
    write_table(pd.DataFrame(costs) if costs else empty(Costs), Costs, tables / "costs.parquet")
    return table


def scores_of(runs: StudyRuns, records: Mapping[Cell, dict | None]) -> pd.DataFrame:
    """The scores (schema Scores) of whatever is finished; writes nothing.

    Args:
        runs: the study's runs.
        records: `runs.record` of every run.
    """
    scores = []
    for cell in runs.grid.cells:
        source = runs.grid.runs_as(cell)
        if records[source] is not None:
            scores += _scores(runs, cell, source, records[source])
    return check(pd.DataFrame(scores) if scores else empty(Scores), Scores, "scores")


def analyse_study(runs: StudyRuns) -> None:
    """Analyse the collected scores and the steps of a study: all tables of `weightwise.analysis`.

    Runs that are not finished cost their own rows and nothing else.
    """
    study, tables = runs.study, runs.layout.tables
    scores = read_table(tables / "scores.parquet", Scores)
    report = study.report
    levels = {"confidence": report.confidence, "power": report.power}
    found = analyse(
        scores, tables, **levels, overall=_overall(report), smallest=report.smallest_change
    )
    claimed = gains(found["comparisons" if study.arms else "best"])
    chosen = chosen_arms(scores, not study.arms, claimed)
    left = leave_one_out(scores, leaving_out(runs.grid.variants), **levels)
    write_table(left, LeftOut, tables / "leave_one_out.parquet")
    predictions = _predictions(runs, found["best"], chosen)
    write_table(predictions, ArmPredictions, tables / "predictions.parquet")
    write_table(_learning(runs), Learning, tables / "learning.parquet")
    classes = {
        name: len(task.class_names) for name, task in study.tasks.items() if task.class_names
    }
    write_table(confusions(predictions, classes), Confusions, tables / "confusions.parquet")
    looked_into = chosen_predictions(predictions, chosen)
    examples = _examples(runs, looked_into)
    worst = most_confident_errors(looked_into, examples, classes)
    write_table(worst, Errors, tables / "errors.parquet")
    by_overlap = accuracy_by_overlap(looked_into, examples, classes, report.confidence)
    write_table(by_overlap, Overlap, tables / "overlap.parquet")
    told = gradients.analyse_gradients(_run_steps(runs))
    costs = read_table(tables / "costs.parquet", Costs)
    told["cost_ratios"] = cost_ratios(costs, report.confidence)
    for name, schema in gradients.SCHEMAS.items():
        write_table(told[name], schema, tables / f"{name}.parquet")


def claimed_gains(scores: pd.DataFrame, study: StudyConfig) -> pd.DataFrame:
    """The arms that the report claims as gains (`claims.gains`), from the scores alone."""
    report = study.report
    levels = (report.confidence, report.power)
    if study.arms:
        return gains(compare_variants(scores, *levels, _overall(report)))
    arms = summarise_arms(relative_changes(scores), *levels, report.smallest_change)
    return gains(claims(arms, report.smallest_change))


def _overall(report: ReportConfig) -> HowOverall:
    return PAPERS[report.published].overall if report.published else "mean_mapped"


def own_alpha(arm: Arm, group: tuple[str, ...], task: str) -> str | None:
    """What stands in a table about `task`: its own weight for a pair, so that SEN(0.4)+PAR(0.6) is
    the point 0.4 of SEN and 0.6 of PAR; all weights for larger groupings; None without weights."""
    if arm.alpha is None:
        return None
    if len(group) > 2:
        return arm.alpha
    return arm.weights(2)[group.index(task)]


def _scores(runs: StudyRuns, cell: Cell, source: Cell, record: dict) -> list[dict]:
    rows = []
    for task, found in record["scores"].items():
        for split in ("dev", "test"):
            if split not in found:
                continue
            rows.append(
                {
                    "task": task,
                    "metric": found["metric"],
                    "group": cell.group_name,
                    "combiner": cell.arm.combiner,
                    "alpha": own_alpha(cell.arm, cell.group, task),
                    "variant": cell.variant,
                    "seed": cell.seed,
                    "split": split,
                    "score": found[split],
                    "epoch": found["epoch"],
                    "run": record["key"],
                    "alias_of": None if source == cell else source.arm.label,
                    "undefined": _why_undefined(runs, record, task, split)
                    if found[split] is None
                    else None,
                }
            )
    return rows


def _why_undefined(runs: StudyRuns, record: dict, task: str, split: str) -> str | None:
    """Why a finished run has no score on a split, as its predictions tell; None: they do not."""
    if split == "test" and not runs.study.tasks[task].data.test_labelled:
        return "the rows have no labels"
    path = runs.store.folder(record["key"]) / "predictions.parquet"
    rows = read_table(path, Predictions)
    rows = rows[(rows["task"] == task) & (rows["split"] == split)]
    for column, named in (("prediction", "predictions"), ("label", f"{split} labels")):
        if rows[column].nunique() == 1:
            return f"the {named} are constant, so Pearson's r is undefined"
    return None


def _state(runs: StudyRuns, run: Cell, record: dict | None) -> dict:
    failure = None if record else runs.failure(run)
    found = record or {}
    held_up = None if record or failure else _failed_stage(runs, run)
    return {
        "id": run.id,
        "group": run.group_name,
        "arm": run.arm.label,
        "variant": run.variant,
        "seed": run.seed,
        "status": "done" if record else "failed" if failure else "not run",
        "run": found.get("key") or runs.key(run),
        "error": failure["error"]
        if failure
        else held_up and f"{held_up['id']}: {held_up['error']}",
        "log": str(runs.log(run)) if failure else held_up and held_up["log"],
        "precision": found.get("precision"),
        "hardware": found.get("hardware"),
        "parameters": found.get("parameters"),
        "threads": found.get("threads"),
        "torch": (found.get("versions") or {}).get("torch"),
    }


def _failed_stage(runs: StudyRuns, run: Cell) -> dict | None:
    """The note of a failed stage that the run waits for."""
    start = runs.grid.training(run.variant).start
    chain = () if start is None else chain_of(runs.study.stages, start)
    return next((note for name in chain if (note := runs.stage_failure(name))), None)


def _cost(runs: StudyRuns, run: Cell, record: dict) -> dict:
    timings = read_run_table(runs.store, record, "timings", Timings)
    step_times = read_run_table(runs.store, record, "step_times", StepTimes)
    gramians = read_run_table(runs.store, record, "gramians", Gramians)
    timed = timed_steps(step_times, recorded_steps(gramians))
    steps = int(timings["steps"].sum())
    seconds = float(timings["train_seconds"].sum())
    return {
        "id": run.id,
        "group": run.group_name,
        "combiner": run.arm.combiner,
        "variant": run.variant,
        "seed": run.seed,
        "steps": steps,
        "step_seconds": seconds / steps,
        "median_step_seconds": timed.median(),
        "timed_steps": len(timed),
        "train_seconds": seconds,
        "score_seconds": float(timings["score_seconds"].sum()),
        "peak_memory_bytes": timings["peak_memory_bytes"].max(),
        "hardware": record.get("hardware"),
        "precision": record.get("precision"),
        "threads": record.get("threads"),
    }


def _run_steps(runs: StudyRuns) -> Iterator[gradients.RunSteps]:
    """Every finished run of two or more tasks with its tables, one at a time."""
    for run in runs.grid.runs:
        record = runs.record(run) if len(run.group) > 1 else None
        if record is None:
            continue
        try:
            steps = read_run_table(runs.store, record, "steps", Steps)
            gramians = read_run_table(runs.store, record, "gramians", Gramians)
            predictions = read_run_table(runs.store, record, "predictions", Predictions)
        except DamagedRun as error:
            say_damaged(error)
            continue
        yield gradients.RunSteps(
            group=run.group_name,
            combiner=run.arm.combiner,
            alpha=run.arm.alpha,
            variant=run.variant,
            seed=run.seed,
            run=record["key"],
            steps=steps,
            gramians=gramians,
            predictions=predictions,
        )


def _predictions(runs: StudyRuns, best: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """Predictions of the arms that the report looks into: baselines and best arms of every variant
    and of the study."""
    wanted = {
        (row.task, row.group, row.combiner, None if pd.isna(row.alpha) else row.alpha, row.variant)
        for row in [*wanted_cells(best).itertuples(), *chosen.itertuples()]
    }
    frames = []
    for run in runs.grid.runs:
        for task in run.group:
            alpha = own_alpha(run.arm, run.group, task)
            place = (task, run.group_name, run.arm.combiner, alpha, run.variant)
            record = runs.record(run) if place in wanted else None
            if record is None:
                continue
            try:
                frame = read_run_table(runs.store, record, "predictions", Predictions)
            except DamagedRun as error:
                say_damaged(error)
                continue
            frames.append(
                frame[frame["task"] == task].assign(
                    group=run.group_name,
                    combiner=run.arm.combiner,
                    alpha=alpha,
                    variant=run.variant,
                    seed=run.seed,
                    run=record["key"],
                )
            )
    return pd.concat(frames, ignore_index=True) if frames else empty(ArmPredictions)


def _examples(runs: StudyRuns, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The prepared rows that chosen arms predicted, by task; those of training are let go."""
    found = {}
    for (task, split), _ in predictions.groupby(["task", "split"], sort=False):
        rows = read_table(runs.layout.examples(task), Examples)
        found[task] = rows[rows["split"] == split]
    return found


def _learning(runs: StudyRuns) -> pd.DataFrame:
    """How every finished run learned; a row that shares another's run adds nothing to see."""
    frames = []
    for run in runs.grid.runs:
        record = runs.record(run)
        if record is None:
            continue
        try:
            epochs = read_run_table(runs.store, record, "epochs", Epochs)
            steps = read_run_table(runs.store, record, "steps", Steps)
        except DamagedRun as error:
            say_damaged(error)
            continue
        found = learning_of_run(epochs, steps)
        alphas = {task: own_alpha(run.arm, run.group, task) for task in run.group}
        frames.append(
            found.assign(
                group=run.group_name,
                combiner=run.arm.combiner,
                alpha=found["task"].map(alphas).astype(object),
                variant=run.variant,
                seed=run.seed,
                run=record["key"],
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else empty(Learning)
