"""Beside the published results: a paper's tables next to ours, in the same layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weightwise.config import StudyConfig
from weightwise.figures.inputs import Inputs, in_variant
from weightwise.grid import Grid
from weightwise.published import published_arms
from weightwise.published.papers import PAPERS
from weightwise.report import beside_arms, beside_pairing
from weightwise.report.beside_named import beside_named
from weightwise.report.html import Table

NO_TASK = "No task of this study has the name of one of the paper's (SEN, PAR, SIM)."


@dataclass(frozen=True)
class Beside:
    """The section: what was published where, what to keep in mind, the tables."""

    citation: str
    notes: list[str]
    tables: list[Table]


def beside_published(
    inputs: Inputs, variant: str, study: StudyConfig, checks: dict[str, Any]
) -> Beside | None:
    """The section of a variant; None where the study names no published results."""
    if study.report.published is None:
        return None
    paper = PAPERS[study.report.published]
    if paper.named_arms:
        return None  # stands once for all variants, see `beside_study`
    if paper.arms is None:
        tasks, cautions, tables = beside_pairing.beside(inputs, variant)
    else:
        tasks, cautions, tables = beside_arms.beside(inputs, variant, paper)
    if not tasks:
        return Beside(paper.citation, [NO_TASK], [])
    ours = (
        f"How ours differs: the paper {paper.setting}. Ours: "
        f"{_ours(inputs, variant, study, checks, tasks)}. Scores of different encoders and data "
        "are not to be compared with each other; what may be compared is the shape: "
        f"{paper.shape}."
    )
    return Beside(paper.citation, [ours, *cautions], [table for table in tables if table])


def beside_study(inputs: Inputs, study: StudyConfig, checks: dict[str, Any]) -> Beside | None:
    """The section of a paper whose arms are whole configurations; None where the study names none.

    Says so where the study has no counterparts, or none of the paper's tasks.
    """
    paper = PAPERS[study.report.published] if study.report.published else None
    if paper is None or not paper.named_arms:
        return None
    columns = published_arms(paper.arms).columns
    if not any(task in columns for task in study.tasks):
        return Beside(paper.citation, [NO_TASK], [])
    tasks = [task for task in inputs.tasks() if task in columns]
    if not tasks:
        return None  # no run is finished
    ours = (
        f"How ours differs: the paper {paper.setting}. Ours, but for what an arm changes: "
        f"{_ours(inputs, inputs.variants[0], study, checks, tasks)}. Scores of different encoders "
        f"and data are not to be compared with each other; what may be compared is {paper.shape}."
    )
    notes = [ours, *paper.cautions]
    if not study.report.counterparts:
        notes.append("This study names none of its arms as counterparts (report.counterparts).")
    return Beside(paper.citation, notes, beside_named(inputs, paper))


def _ours(
    inputs: Inputs, variant: str, study: StudyConfig, checks: dict[str, Any], tasks: list[str]
) -> str:
    known = Grid(study).variants.get(variant)
    training = known.training if known else study.training
    layers = (checks.get("encoder") or {}).get("layers") or study.encoder.layers
    source = (checks.get("encoder") or {}).get("source") or _source(study)
    rows = []
    for task in tasks:
        splits = ((checks.get("tasks") or {}).get(task) or {}).get("splits") or {}
        count = (splits.get("train") or {}).get("rows")
        if isinstance(count, int):
            used = min(count, (training.train_rows or {}).get(task, count))
            rows.append(f"{task} {used:,}")
    seeds = in_variant(inputs.scores, variant)["seed"].nunique()
    per_epoch = training.examples_per_epoch
    return (
        f"encoder {source}"
        + (
            f" with {len(layers) if isinstance(layers, list | tuple) else layers} layers"
            if layers
            else ""
        )
        + f", batch {training.batch_size}, {training.epochs} epochs"
        + (f" of {per_epoch:,} examples per task" if per_epoch else "")
        + f", learning rate {training.learning_rate:g}, {seeds} seed{'s' if seeds != 1 else ''}"
        + (f"; training rows: {', '.join(rows)}" if rows else "")
    )


def _source(study: StudyConfig) -> str:
    source = study.encoder.source
    for key in ("model", "package", "path"):
        if hasattr(source, key):
            return str(getattr(source, key))
    return source.type
