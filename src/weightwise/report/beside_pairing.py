"""The pairing paper's tables next to ours, in the same layout."""

from __future__ import annotations

import tempfile
import warnings

import numpy as np

from weightwise.analysis.run import analyse
from weightwise.analysis.scores import read_scores
from weightwise.figures import names
from weightwise.figures.inputs import Inputs, load_inputs, of
from weightwise.published import published_path, published_table
from weightwise.report import verdict
from weightwise.report.html import Cell, Table, table
from weightwise.report.task_section import optimum

PAPER = "appendix_b"
LEADERBOARD = 0.779  # section 5.4.4: the mean of the three test scores with Pearson mapped


def beside(inputs: Inputs, variant: str) -> tuple[list[str], list[str], list[Table]]:
    """The tasks that both studies have, what to keep in mind, and the paper's absolute scores,
    changes, R², optima and overall score beside ours."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # columns that only this section reads
        analyse(read_scores(published_path("pairing_absolute")), folder)
        paper = load_inputs(folder)
    tasks = [t for t in inputs.tasks(variant) if t in paper.tasks(PAPER)]
    tables = []
    for task in tasks:
        tables += [_scores(inputs, paper, task, variant, kind) for kind in ("score", "change")]
    tables += [_fits(inputs, paper, tasks, variant), _overall(inputs, tasks, variant)]
    return tasks, _cautions(paper, tasks), tables


def _cautions(paper: Inputs, tasks: list[str]) -> list[str]:
    gaps = []
    for task in tasks:
        row = of(paper.noise, task, PAPER, "dev")
        if len(row) and np.isfinite(row.iloc[0]["same_method_gap"]):
            gaps.append(f"{task} {names.score(row.iloc[0]['same_method_gap'])}")
    notes = [
        "The published table is one seed: it has no interval, and a difference between two of its "
        "cells may be chance."
    ]
    if gaps:
        notes.append(
            "Its rows α = 0.5 and Addition are one method (under AdamW the scale of a gradient "
            f"cancels), but their scores differ by up to {', '.join(gaps)}. That is a floor under "
            "every gain the table shows."
        )
    return notes


def _scores(inputs: Inputs, paper: Inputs, task: str, variant: str, kind: str) -> Table:
    theirs = of(paper.arms, task, PAPER, "dev")
    columns = {"paper": theirs, "ours": of(inputs.arms, task, variant, "dev")}
    if "test" in inputs.splits(task, variant):
        columns |= {"ours, test": of(inputs.arms, task, variant, "test")}
    groups = [g for g in paper.groups(task, PAPER) if (columns["ours"]["group"] == g).any()]
    if not groups:
        return Table("", [], [])
    show = names.score if kind == "score" else _plain_percent
    lines = []
    if kind == "score":
        base = [_value(f[f["combiner"] == "baseline"], kind, show) for f in columns.values()]
        lines.append([Cell("Baseline"), *base * len(groups)])
    for arm in names.arms_of(theirs):
        line = [Cell(names.arm_label(*arm))]
        for group in groups:
            for frame in columns.values():
                found = frame[(frame["group"] == group) & names.same_arm(frame, *arm)]
                line.append(_value(found, kind, show))
        lines.append(line)
    what = inputs.metric(task) if kind == "score" else "change to the baseline, %"
    note = "The paper's scores and ours are dev scores, optimistic: selected on dev."
    if kind == "change":
        note += f" {names.GAIN} gain, {names.LOSS} loss that survive correction."
    return Table(
        caption=f"{inputs.title(task)}: {what}, the paper beside ours",
        head=[
            [Cell("Loss function")]
            + [Cell(names.group_label(g), span=len(columns)) for g in groups],
            [Cell(""), *([Cell(name) for name in columns] * len(groups))],
        ],
        rows=lines,
        note=note,
    )


def _plain_percent(value: object) -> str:
    return names.number(value, 2, signed=True)


def _value(found, kind: str, show) -> Cell:
    if not len(found):
        return Cell(names.DASH)
    row = found.iloc[0]
    sign = names.sign_of(row["verdict"]) if kind == "change" else ""
    text = show(row[kind]) + (f" {sign}" if sign else "")
    return Cell(text, look=row["verdict"] if sign else "")


def _fits(inputs: Inputs, paper: Inputs, tasks: list[str], variant: str) -> Table:
    printed = published_table("pairing_regression")
    lines = []
    for fit in printed.itertuples():
        if fit.task not in tasks:
            continue
        again = of(paper.regressions, fit.task, PAPER, "dev")
        ours = of(inputs.regressions, fit.task, variant, "dev")
        again, ours = (f[f["group"] == fit.group] for f in (again, ours))
        said = names.number(fit.optimum_alpha, 2)
        lines.append(
            [
                f"{fit.task} in {names.group_label(fit.group)}",
                names.score(fit.r_squared),
                *(
                    names.score(f.iloc[0]["r_squared"]) if len(f) else names.DASH
                    for f in (again, ours)
                ),
                said if said != names.DASH else f"{names.DASH} ({fit.note})",
                *(optimum(next(f.itertuples())) if len(f) else names.DASH for f in (again, ours)),
            ]
        )
    head = ["Regression", "R² printed", "R² recomputed", "R² ours"]
    head += ["Optimum α printed", "recomputed", "ours"]
    note = "Recomputed: our fit of the paper's own table, with the baseline as the point (1, 0)."
    return table("Regressions of the paper beside ours (dev)", head, lines, note)


def _overall(inputs: Inputs, tasks: list[str], variant: str) -> Table:
    """The paper's overall score takes the best model of each task, so does this row."""
    printed = published_table("pairing_absolute")
    printed = printed[printed["table"] == "leaderboard_test"].set_index("task")["score"]
    rows: list[list[object]] = []
    if set(printed.index) <= set(tasks):
        scores = [names.score(float(printed[t])) for t in tasks]
        rows.append(["paper, leaderboard test, 25 epochs", *scores, names.score(LEADERBOARD)])
    for split in ("dev", "test"):
        for label, picked in (
            ("ours, each task alone", _alone(inputs, tasks, variant, split)),
            ("ours, best arm of each task on dev", _best(inputs, tasks, variant, split)),
        ):
            if all(verdict.number(value) for value in picked):
                mapped = [
                    (v + 1) / 2 if inputs.metric(t) == "Pearson r" else v
                    for t, v in zip(tasks, picked, strict=True)
                ]
                shown = [names.score(v) for v in picked]
                rows.append([f"{label}, {split}", *shown, names.score(float(np.mean(mapped)))])
    return table(
        "Overall score as the paper computes it: the mean with Pearson mapped to (r + 1) / 2",
        ["Models", *tasks, "Overall"],
        rows if tasks else [],
        "The best arm of each task is its own model, as in the paper's leaderboard entry; on dev "
        "that is optimistic: selected on dev.",
    )


def _alone(inputs: Inputs, tasks: list[str], variant: str, split: str) -> list[float]:
    frames = [of(inputs.arms, t, variant, split) for t in tasks]
    found = [f[f["combiner"] == "baseline"]["score"] for f in frames]
    return [float(f.iloc[0]) if len(f) else float("nan") for f in found]


def _best(inputs: Inputs, tasks: list[str], variant: str, split: str) -> list[float]:
    values = []
    for task in tasks:
        best = of(inputs.best, task, variant)
        best = best[best["speaks"].astype(bool)]
        arms = of(inputs.arms, task, variant, split)
        for row in best.itertuples():
            arms = arms[
                (arms["group"] == row.group) & names.same_arm(arms, row.combiner, row.alpha)
            ]
        values.append(float(arms["score"].iloc[0]) if len(best) and len(arms) else float("nan"))
    return values
