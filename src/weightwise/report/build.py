"""The report: one HTML file that needs nothing but itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightwise.config import StudyConfig
from weightwise.config.report import ReportConfig
from weightwise.errors import UserError
from weightwise.figures import names
from weightwise.figures.inputs import Inputs, load_inputs
from weightwise.figures.letters import letters_without_a_font
from weightwise.files import write_text
from weightwise.published.papers import PAPERS
from weightwise.report import data_section, run_section, stage_section, study_tables, verdict
from weightwise.report.arms_verdict import arms_cards, arms_headline
from weightwise.report.beside import Beside, beside_published, beside_study
from weightwise.report.comparison import comparison_tables
from weightwise.report.errors_section import errors_section
from weightwise.report.gradients_section import GradientsSection, gradients_section
from weightwise.report.html import Figure, Table, render, svg_source
from weightwise.report.learning_section import LearningSection, learning_section
from weightwise.report.left_out import left_out_tables
from weightwise.report.score_cautions import cautions_of_variants
from weightwise.report.task_section import TaskSection, task_section


@dataclass(frozen=True)
class VariantSection:
    """Everything about one variant."""

    name: str
    anchor: str
    compared: bool
    """Whether tasks were trained alone, so that pairings can be compared with that."""
    headline: str
    cards: list[verdict.Card]
    overview: list[Figure]
    tasks: list[TaskSection]
    learning: LearningSection | None
    overall: list[Table]
    noise: Table
    gradients: GradientsSection | None
    beside: Beside | None


def build_report(
    tables_dir: str | Path,
    figures_dir: str | Path,
    out_html: str | Path,
    study: StudyConfig | None = None,
    checks: str | Path | None = None,
    partial: bool = False,
    report: ReportConfig | None = None,
    stages: dict[str, dict[str, Any] | None] | None = None,
) -> Path:
    """Write the report of a study, or of a bare table of scores.

    Args:
        tables_dir: the study's Parquet tables.
        figures_dir: what `build_figures` wrote.
        out_html: the page; written whole or not at all.
        study: its configuration; None for a bare analysis.
        checks: the data's `checks.json`; None or a missing file for a bare analysis.
        partial: some runs are missing and more are to come; the page says so first.
        report: confidence and power of the analysis, where there is no study.
        stages: what the stages of the study did, see `stage_section.stage_table`.

    Raises:
        UserError: a table, the index of figures or the checks cannot be read.
    """
    inputs = load_inputs(tables_dir, study, report)
    facts = _read_json(checks, {}) if checks and Path(checks).exists() else {}
    if study is not None:
        _as_told_today(facts, study)
    figures = _figures(Path(figures_dir))
    several = len(inputs.variants) > 1
    sections = [_variant(inputs, v, figures, facts) for v in inputs.variants]
    arms = bool(study and study.arms and several)
    title = (study.report.title if study else None) or _title(study)
    published = study.report.published if study else None
    paper = PAPERS[published] if published else None
    context = {
        "title": title,
        "introduction": (study.report.introduction if study else None) or "",
        "partial": partial,
        "missing": run_section.missing_runs(inputs),
        "one_seed": inputs.scores["seed"].nunique() == 1,
        "dev_only": verdict.selected_on_dev(inputs, inputs.variants[0]) if sections else [],
        "several": several,
        "variants": sections,
        "cautions": _of_all_variants(inputs, facts) if several and not arms else [],
        "comparison": study_tables.variants_table(inputs) if several and not arms else None,
        "comparisons": comparison_tables(inputs),
        "arms": arms,
        "arms_headline": arms_headline(inputs) if arms else "",
        "arms_cards": arms_cards(inputs, facts) if arms else [],
        "beside": beside_study(inputs, study, facts) if study else None,
        "left_out": left_out_tables(inputs, paper),
        "fontless": letters_without_a_font("".join(str(f.get("letters", "")) for f in figures)),
        "overfitting": [f["figure"] for f in figures if f.get("kind") == "overfitting"],
        "facts": run_section.what_was_run(inputs, _encoder(study, facts)),
        "errors": errors_section(inputs, _of_tasks(figures, "overlap")),
        "stages": stage_section.stage_table(stages or {}, facts),
        "data": data_section.data_section(facts, study),
        "has_checks": bool(facts),
        "costs": run_section.cost_table(inputs),
        "runs": run_section.run_table(inputs),
        "versions": run_section.versions(),
        "confidence": f"{100 * inputs.confidence:g} %",
        "error": f"{100 * (1 - inputs.confidence):.3g} %",
        "power": f"{100 * inputs.report.power:g} %",
        "smallest": f"{inputs.report.smallest_change:g} %",
        "signs": {"gain": names.GAIN, "loss": names.LOSS, "same": names.SAME},
    }
    page = Path(out_html)
    write_text(page, render(context))
    return page


def _title(study: StudyConfig | None) -> str:
    name = f": {study.name}" if study else ""
    return f"Which tasks to pair, and how to weight them{name}"


def _variant(
    inputs: Inputs, variant: str, figures: list[dict[str, Any]], facts: dict[str, Any]
) -> VariantSection:
    own = [f for f in figures if f.get("variant") == variant]
    suffix = "" if variant == "default" else f"-{names.slug(variant)}"
    study = inputs.study
    beside = beside_published(inputs, variant, study, facts) if study is not None else None
    splits = [s for s in ("test", "dev") if (inputs.overall["split"] == s).any()]
    overall = [study_tables.overall_table(inputs, variant, split) for split in splits]
    return VariantSection(
        name=variant,
        anchor=f"variant{suffix or '-default'}",
        compared=inputs.has_baselines(variant),
        headline=verdict.headline(inputs, variant),
        cards=verdict.cards(inputs, variant, facts),
        overview=[f["figure"] for f in own if f.get("kind") == "pairings"],
        tasks=[
            task_section(inputs, task, variant, _by_kind(own, task), facts)
            for task in inputs.tasks(variant)
        ],
        learning=learning_section(
            inputs, variant, [f["figure"] for f in own if f.get("kind") == "learning"]
        ),
        overall=[table for table in overall if table],
        noise=study_tables.noise_table(inputs, variant),
        gradients=gradients_section(inputs, variant, own),
        beside=beside,
    )


def _of_all_variants(inputs: Inputs, facts: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """What touches the scores of each task, for the first screen of a study of several variants,
    whose cards stand further down."""
    told = {
        task: cautions_of_variants(inputs, inputs.variants, task, facts) for task in inputs.tasks()
    }
    return [(task, lines) for task, lines in told.items() if lines]


def _by_kind(figures: list[dict[str, Any]], task: str) -> dict[str, list[Figure]]:
    kinds: dict[str, list[Figure]] = {}
    for record in figures:
        if record.get("task") == task:
            kinds.setdefault(record["kind"], []).append(record["figure"])
    return kinds


def _of_tasks(figures: list[dict[str, Any]], kind: str) -> dict[str, list[Figure]]:
    found: dict[str, list[Figure]] = {}
    for record in figures:
        if record.get("kind") == kind:
            found.setdefault(record["task"], []).append(record["figure"])
    return found


def _figures(folder: Path) -> list[dict[str, Any]]:
    """The records of the index, each with its image read in."""
    records = _read_json(folder / "index.json", [])
    for record in records:
        name = str(record["file"])
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise UserError(f"{folder / 'index.json'}: names the missing figure '{name}'")
        record["figure"] = Figure(
            id=f"figure-{record['id']}",
            title=record["title"],
            caption=record["caption"],
            alt=record["alt"],
            source=svg_source(path),
            width=_width(path),
            runs=list(record.get("runs") or []),
        )
    return records


def _width(path: Path) -> int:
    found = re.search(rb'<svg[^>]* width="([\d.]+)pt"', path.read_bytes()[:2000])
    return round(float(found.group(1)) * 4 / 3) if found else 640


def _encoder(study: StudyConfig | None, facts: dict[str, Any]) -> str:
    known = facts.get("encoder") or {}
    if known.get("source"):
        return f"{known['source']}{_layers(known.get('layers'))}"
    if study is None:
        return ""
    source = study.encoder.source
    told = next(
        (getattr(source, k) for k in ("model", "package", "path") if hasattr(source, k)), ""
    )
    return f"{source.type} {told}".strip()


def _as_told_today(facts: dict[str, Any], study: StudyConfig) -> None:
    """Titles and credits are the study's of today: changing them prepares no data again."""
    for name, found in (facts.get("tasks") or {}).items():
        if name in study.tasks:
            found["title"] = study.tasks[name].title
            found["licence"] = study.tasks[name].licence


def _layers(kept: object) -> str:
    if isinstance(kept, list):
        return f", {len(kept)} layers kept (numbers {', '.join(map(str, kept))})"
    return f", first {kept} layers" if kept else ""


def _read_json(path: str | Path, default: Any) -> Any:
    try:
        data = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error})") from None
    if not isinstance(data, type(default)):
        raise UserError(f"{path}: has another layout than expected")
    return data
