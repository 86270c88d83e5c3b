"""What was run, what is missing and why, what it cost; every run with its key."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import pandas as pd

from weightwise.figures import names
from weightwise.figures.inputs import Inputs
from weightwise.report.html import Cell, Table, table

PACKAGES = (
    *("weightwise", "torch", "tokenizers", "numpy", "pandas", "scipy", "scikit-learn"),
    *("statsmodels", "matplotlib", "seaborn", "snakemake", "pydantic", "jinja2"),
)

MADE_WITH = (
    ("Hardware", "hardware", "{}"),
    ("Precision", "precision", "{}"),
    ("CPU threads", "threads", "{:.0f}"),
    ("Trained with", "torch", "torch {}"),
)
"""Fact, column of `tables.Runs`, how a value is written."""
FEW = 4
UNEQUAL = "Mixed: differences between arms may come from it"


@dataclass(frozen=True)
class Missing:
    """A run that gave no scores."""

    id: str
    status: str
    error: str
    log: str


def missing_runs(inputs: Inputs) -> list[Missing]:
    """Failed runs first, then those that were not run."""
    rows = inputs.runs[inputs.runs["status"] != "done"]
    found = [
        Missing(
            row.id,
            row.status,
            row.error if names.is_text(row.error) else "",
            row.log if names.is_text(row.log) else "",
        )
        for row in rows.itertuples()
    ]
    return sorted(found, key=lambda m: m.status != "failed")


def what_was_run(inputs: Inputs, encoder: str) -> list[tuple[str, str]]:
    """Facts under the verdict."""
    scores, runs, study = inputs.scores, inputs.runs, inputs.study
    tasks = [t if inputs.title(t) == t else f"{t} ({inputs.title(t)})" for t in inputs.tasks()]
    arms = names.arms_of(scores)
    seeds = sorted(scores["seed"].unique())
    facts = [("Tasks", ", ".join(tasks))]
    if encoder:
        facts.append(("Encoder", encoder))
    groups = [g for g in scores["group"].unique() if "+" in g]
    facts.append(("Groupings", ", ".join(names.group_label(g) for g in groups) or "none"))
    facts.append(("Arms", _arms(arms)))
    facts.append(("Seeds", ", ".join(map(str, seeds))))
    if study is not None:
        training = study.training
        facts.append(
            (
                "Training",
                f"{_steps(inputs.costs)}{training.epochs} epochs, {training.schedule}, batch "
                f"{training.batch_size} per task, AdamW, learning rate "
                f"{training.learning_rate:g}"
                + (
                    f" (heads {training.head_learning_rate:g})"
                    if training.head_learning_rate
                    else ""
                ),
            )
        )
    if len(inputs.variants) > 1:
        facts.append(("Variants", ", ".join(inputs.variants)))
    if len(runs):
        counts = runs["status"].value_counts()
        texts = [f"{int(counts.get(s, 0)):,} {s}" for s in ("done", "failed", "not run")]
        facts.append(("Runs", ", ".join(texts)))
        facts += made_with(runs)
        sizes = runs["parameters"].dropna()
        if len(sizes):
            ends = dict.fromkeys(f"{size / 1e6:.1f}" for size in (sizes.min(), sizes.max()))
            facts.append(("Parameters", f"{' to '.join(ends)} million"))
    else:
        facts.append(("Runs", "unknown: only a table of scores was analysed"))
    return facts


def made_with(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """What trained the runs: hardware, precision, threads, version of torch. Where runs were not
    all trained alike, how many each was, and which where they are few.

    Args:
        runs: `tables.Runs` of the study.
    """
    facts = []
    for label, column, word in MADE_WITH:
        if column not in runs:
            continue
        known = runs[runs[column].notna()]
        groups = {value: rows["id"].tolist() for value, rows in known.groupby(column, sort=False)}
        told = {value: word.format(value) for value in groups}
        if len(groups) == 1:
            facts.append((label, next(iter(told.values()))))
        elif groups:
            parts = [f"{told[value]} ({_which(ids)})" for value, ids in groups.items()]
            facts.append((label, f"{'; '.join(parts)}. {UNEQUAL}"))
    return facts


def _which(ids: list[str]) -> str:
    """`40 runs`, or `2 runs: ID, ID` where they are few."""
    count = f"{len(ids):,} run{'' if len(ids) == 1 else 's'}"
    return count + (f": {', '.join(ids)}" if len(ids) <= FEW else "")


def _steps(costs: pd.DataFrame) -> str:
    """`80 steps in `, where the runs say so."""
    if not len(costs):
        return ""
    ends = dict.fromkeys(f"{int(n):,}" for n in (costs["steps"].min(), costs["steps"].max()))
    return f"{' to '.join(ends)} steps in "


def _arms(arms: list[tuple[str, str | None]]) -> str:
    """`unitary with α = 0.1, 0.2; Addition; PCGrad`."""
    weights: dict[str, list[str]] = {}
    for combiner, alpha in arms:
        weights.setdefault(combiner, []).extend([alpha.replace(",", "/")] if alpha else [])
    told = [
        names.combiner_label(c) + (f" with α = {', '.join(found)}" if found else "")
        for c, found in weights.items()
    ]
    return "; ".join(told) or "baselines only"


def run_table(inputs: Inputs) -> Table:
    """Every run with its status, scores and key in the store."""
    scored = inputs.scores[inputs.scores["score"].notna() & inputs.scores["alias_of"].isna()]
    texts: dict[str, list[str]] = {}
    for row in scored[scored["run"].notna()].itertuples():
        texts.setdefault(row.run, []).append(f"{row.task} {row.split} {names.score(row.score)}")
    lines = [
        [
            row.id,
            Cell(row.status, look="" if row.status == "done" else "loss"),
            str(row.seed),
            ", ".join(texts.get(row.run, [])) or names.DASH,
            row.run if names.is_text(row.run) else names.DASH,
        ]
        for row in inputs.runs.itertuples()
    ]
    head = ["Run", "Status", "Seed", "Scores", "Key in the store"]
    return table("Every run", head, lines, numeric=False)


def cost_table(inputs: Inputs) -> Table:
    """Seconds per step, memory and minutes of every combiner, over all its runs."""
    costs = inputs.costs
    lines = []
    for combiner in sorted(costs["combiner"].unique(), key=lambda c: names.arm_key(c, None)):
        rows = costs[costs["combiner"] == combiner]
        minutes = (rows["train_seconds"].sum() + rows["score_seconds"].sum()) / 60
        lines.append(
            [
                names.combiner_label(combiner),
                str(len(rows)),
                names.number(float(rows["step_seconds"].mean()), 4),
                names.number(float(rows["peak_memory_bytes"].mean()) / 2**20, 0),
                names.number(float(minutes), 1),
            ]
        )
    head = ["Combiner", "Runs", "Seconds per step", "Peak memory, MiB", "Minutes in all"]
    note = (
        "Means over all runs of a combiner, all steps counted; a baseline has one task in a step. "
        "What a combiner costs beside addition, run by run, is told where the gradients are. "
        "Times depend on the machine and are not reproducible."
    )
    return table("Cost of every combiner", head, lines, note)


def versions() -> list[tuple[str, str]]:
    """Versions of what computed this page."""
    found = [("python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return found
