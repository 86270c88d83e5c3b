"""Predictions of a study in the form that leaderboards take, from the best arm of every task.

`submission.json` beside the files says where they come from:

    {"study", "form", "split", "weightwise": version,
     "selection": how the runs were chosen, in words,
     "runs": {"finished", "planned"} of the study,
     "tasks": {NAME: {
         "file", "sha256", "rows": lines after the header,
         "predictions": what stands for the classes, in the order of their numbers, or null,
         "run": id, "key": in the store, "group", "arm", "variant", "seed",
         "metric", "dev_score": of this run, "dev_mean": of its arm, "seeds": of that mean,
         "id": column or null,
         "source": {"description", "sha256", "rows"},
         "left_out": `rows.left_out`}}}
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weightwise import __version__
from weightwise.config import StudyConfig
from weightwise.data.sources import SourceTable
from weightwise.errors import UserError, nearest
from weightwise.files import read_json, write_json, write_text
from weightwise.layout import Layout
from weightwise.run_tables import read_run_table
from weightwise.runs import StudyRuns
from weightwise.submit.choose import Choice, choose
from weightwise.submit.forms import Form, class_texts, file_names, prediction_texts, render, row_ids
from weightwise.submit.rows import (
    left_out,
    positions_of,
    read_ids,
    read_split_source,
    refuse_other_classes,
)
from weightwise.tables import Predictions

SELECTION = (
    "the arm with the highest mean dev score over its seeds, and of its seeds the highest dev "
    "score; dev scores are optimistic: selected on dev"
)
RECORD = "submission.json"


def submit(
    study: StudyConfig,
    layout: Layout,
    form: Form = "plain",
    split: str = "test",
    tasks: Sequence[str] = (),
    out: Path | None = None,
    allow_missing: bool = False,
    force: bool = False,
    class_names: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the predictions of a split, one file per task, each from one run.

    Args:
        study: the study, whose runs are finished as far as they are.
        layout: where its files lie.
        form: `plain`, `glue` or `cs224n`; `weightwise.submit.forms` says what they are.
        split: `test` or `dev`.
        tasks: the tasks wanted; none: all that the study trains.
        out: folder to write; None: the study's own for this form and split.
        allow_missing: write what there is where rows of the source were left out.
        force: write into a folder that holds something; its other files stay.
        class_names: write every class by its name in `classes`.
        report: told one line per thing done.

    Returns:
        The folder.

    Raises:
        UserError: anything that keeps a task's file from being whole and right; nothing is written
            then.
    """
    runs = StudyRuns(study, layout)
    layout = runs.layout
    facts = read_json(layout.checks)["tasks"]
    wanted = _wanted(runs, tasks)
    _refuse_without_split(study, wanted, split, facts)
    names = file_names(form, split, {name: study.tasks[name] for name in wanted})
    folder = layout.submission(form, split) if out is None else Path(out)
    _refuse_full(folder, force)
    records = {run: runs.record(run) for run in runs.grid.runs}
    chosen = choose(runs, records, wanted)
    contents, told = {}, {}
    for name in wanted:
        contents[name], told[name] = _task_file(
            runs, name, form, split, chosen[name], facts[name], allow_missing, class_names
        )
        told[name] = {"file": names[name]} | told[name]
    done = sum(record is not None for record in records.values())
    record = {
        "study": study.name,
        "form": form,
        "split": split,
        "weightwise": __version__,
        "selection": SELECTION,
        "runs": {"finished": done, "planned": len(records)},
        "tasks": told,
    }
    try:
        # Written last: what it says is then true of the files beside it.
        (folder / RECORD).unlink(missing_ok=True)
        for name in wanted:
            write_text(folder / names[name], contents[name])
        write_json(folder / RECORD, record)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from None
    if done < len(records):
        report(f"{done} of {len(records)} runs are finished; the best arm is one of theirs")
    for name in wanted:
        report(_line(name, chosen[name], told[name]))
    report(f"{split} predictions: {folder}")
    return folder


def _wanted(runs: StudyRuns, tasks: Sequence[str]) -> list[str]:
    """The tasks wanted, in the study's order; where none is named, all that it trains."""
    study, trained = runs.study, {task for group in runs.grid.groups for task in group}
    for name in tasks:
        if name not in study.tasks:
            raise UserError(f"--task {name}: no such task; {nearest(name, study.tasks)}")
        if name not in trained:
            raise UserError(
                f"--task {name}: no run of study '{study.name}' trains it; name it in `groupings`"
            )
    return [name for name in study.tasks if name in (tasks or trained)]


def _refuse_without_split(
    study: StudyConfig, wanted: Sequence[str], split: str, facts: dict[str, Any]
) -> None:
    without = [name for name in wanted if split not in facts[name]["splits"]]
    if not without:
        return
    having = [name for name in study.tasks if split in facts[name]["splits"]]
    remedy = "name one in `data.test`, or write the dev predictions with --split dev"
    if having:
        remedy += f"; with a {split} split: " + " ".join(f"--task {name}" for name in having)
    raise UserError(f"no {split} split: {', '.join(without)} of study '{study.name}'; {remedy}")


def _refuse_full(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is no folder; name another one in --out")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f"{folder}: holds something already; name another folder in --out, or write over what "
            "has the same names with --force"
        )


def _task_file(
    runs: StudyRuns,
    name: str,
    form: Form,
    split: str,
    choice: Choice,
    facts: dict[str, Any],
    allow_missing: bool,
    class_names: bool,
) -> tuple[str, dict[str, Any]]:
    """The content of a task's file, and what `submission.json` says of it."""
    task = runs.study.tasks[name]
    table = read_split_source(runs.study, name, split, facts, runs.layout.cache)
    record = runs.store.record(choice.key) or {"key": choice.key, "id": choice.run.id}
    predicted = read_run_table(runs.store, record, "predictions", Predictions)
    predicted = predicted[predicted["task"] == name].sort_values("row")
    mine = predicted[predicted["split"] == split]
    rows = mine["row"].to_numpy()
    positions = positions_of(table, rows)
    missing = left_out(table, task, split, positions, facts)
    if missing["rows"] and not allow_missing:
        raise UserError(_missing(name, split, table.name, missing))
    if form == "glue":
        ids = row_ids(form, rows, positions)
    elif task.id is not None:
        ids = read_ids(table, name, task.id, positions)
    elif form == "cs224n":
        raise UserError(
            f"task '{name}': form cs224n knows rows by their ids; name their column, such as "
            f"`id: id` of the task (or --set tasks.{name}.id=id)"
        )
    else:
        ids = row_ids(form, rows, positions)
    if any(way is not None for way in (task.label_values, task.cut_points, task.bands)):
        _refuse_other_classes(runs, name, split, table, predicted, facts)
    classes = class_texts(name, task, form, class_names)
    texts = prediction_texts(name, mine["prediction"], classes)
    content = render(form, name, task, ids, texts)
    return content, {
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
        "rows": len(mine),
        "predictions": None if classes is None else list(classes),
        "run": choice.run.id,
        "key": choice.key,
        "group": choice.run.group_name,
        "arm": choice.run.arm.label,
        "variant": choice.run.variant,
        "seed": choice.run.seed,
        "metric": choice.metric,
        "dev_score": choice.score,
        "dev_mean": choice.mean,
        "seeds": choice.seeds,
        "id": None if form == "glue" else task.id,
        "source": {
            "description": table.description,
            "sha256": table.sha256,
            "rows": len(table.frame),
        },
        "left_out": missing,
    }


def _refuse_other_classes(
    runs: StudyRuns,
    name: str,
    split: str,
    table: SourceTable,
    predicted: pd.DataFrame,
    facts: dict[str, Any],
) -> None:
    """Compare classes on the split itself where it has labels, else on dev, which always has."""
    if predicted.loc[predicted["split"] == split, "label"].isna().any():
        split = "dev"
        table = read_split_source(runs.study, name, split, facts, runs.layout.cache)
    labelled = predicted[predicted["split"] == split]
    rows, labels = (labelled[column].to_numpy() for column in ("row", "label"))
    refuse_other_classes(table, name, runs.study.tasks[name], rows, labels.astype(np.float64))


def _missing(name: str, split: str, source: str, missing: dict[str, Any]) -> str:
    reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in missing["reasons"].items())
    first = ", ".join(map(str, missing["first"]))
    if missing["rows"] > len(missing["first"]):
        first += ", ..." if first else ""
    unit = missing["unit"] + "s" * (len(missing["first"]) > 1)
    where = f", {unit} {first}" if first else ""
    return (
        f"{source}{where}: rows left out of {split} of task '{name}': {missing['rows']:,} "
        f"({reasons or 'why is not known'}), and a leaderboard wants every row; take away what "
        "leaves them out and run the study again, or write the others with --allow-missing"
    )


def _line(name: str, choice: Choice, told: dict[str, Any]) -> str:
    seeds = f"mean of {choice.seeds} seeds {choice.mean:.4f}" if choice.seeds > 1 else "one seed"
    lost = told["left_out"]["rows"]
    without = f", {lost:,} left out" if lost else ""
    return (
        f"{told['file']}: {name}, {told['rows']:,} rows{without}, from {choice.run.id}; dev "
        f"{choice.metric} {choice.score:.4f}, {seeds} (optimistic: selected on dev)"
    )
