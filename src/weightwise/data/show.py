"""The checks of a study as tables for the terminal (`weightwise check`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from weightwise.config import StudyConfig
from weightwise.data.cautions import cautions, task_fits, task_framings
from weightwise.stages.outcome import told as told_of_stage


def render(
    checks: dict[str, Any],
    stages: Mapping[str, dict[str, Any] | None] | None = None,
    study: StudyConfig | None = None,
    warnings: Sequence[str] = (),
) -> list[RenderableType]:
    """Tables of rows and labels, tokens, sources, leakage, stages and the encoder, then warnings.

    Args:
        checks: laid out as `weightwise.data.checks` says.
        stages: what came of the stages (`StudyRuns.stage_record`); None for one not finished.
        study: adds how its tasks' texts fit into the encoder, and its cautions.
        warnings: more of them, of whatever else is known.
    """
    parts: list[RenderableType] = [_rows(checks)]
    if study is not None:
        parts.append(_tokens(checks, study))
    parts += [_sources(checks), _leakage(checks)]
    if checks.get("stages"):
        parts.append(_stages(checks["stages"]))
    parts += [_what_came(name, record) for name, record in (stages or {}).items()]
    encoder = checks["encoder"]
    if encoder.get("source"):
        licence = f", licence {encoder['licence']}" if encoder.get("licence") else ""
        parts.append(
            Text(f"Encoder: {encoder['source']} (sha256 {encoder['sha256'][:12]}{licence})")
        )
    told = [*checks["warnings"], *(cautions(study, checks) if study else ()), *warnings]
    for warning in told:
        parts.append(Text(f"Warning: {warning}", style="yellow"))
    if not told:
        parts.append(Text("No warnings.", style="green"))
    return parts


def _table(title: str, *columns: str, numbers: tuple[str, ...] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left")
    return table


def _add(table: Table, *cells: object) -> None:
    # As Text, so that brackets in names and reasons are not taken for markup.
    table.add_row(*(Text(str(cell)) for cell in cells))


def _rows(checks: dict[str, Any]) -> Table:
    numbers = ("rows", "words")
    table = _table("Rows and labels", "task", "split", "rows", "labels", "words", numbers=numbers)
    for name, task in checks["tasks"].items():
        for split, facts in task["splits"].items():
            words = f"{facts['words']['mean']:.1f}"
            _add(table, name, split, f"{facts['rows']:,}", _labels(task, facts), words)
    return table


def _tokens(checks: dict[str, Any], study: StudyConfig) -> Table:
    title = f"Tokens: rows that are cut at {study.encoder.max_length}, tokens that are unknown"
    numbers = ("longest row", "rows cut", "cut", "unknown")
    table = _table(title, "task", "split", "texts", *numbers, numbers=numbers)
    for name, ways in task_framings(study).items():
        for fit in (fit for way in ways for fit in task_fits(checks, name, way)):
            counts = f"{fit.longest:,}", f"{fit.cut:,}", f"{fit.cut_share:.1%}"
            _add(table, name, fit.split, fit.framing, *counts, f"{fit.unknown:.2%}")
    return table


def _labels(task: dict[str, Any], facts: dict[str, Any]) -> str:
    labels = facts["labels"]
    if labels is None:
        return "none (predictions only)"
    if task["kind"] == "regression":
        return (
            f"mean {labels['mean']:.2f}, sd {labels['sd']:.2f}, "
            f"from {labels['min']:g} to {labels['max']:g}"
        )
    counts = zip(task["classes"], labels["counts"], strict=True)
    return (
        ", ".join(f"{name} {count:,}" for name, count in counts)
        + f"; majority {labels['majority_share']:.1%}"
    )


def _sources(checks: dict[str, Any]) -> Table:
    table = _table("Sources", "task", "splits", "source", "rows", "left out", "sha256")
    for name, task in checks["tasks"].items():
        for source in task["sources"]:
            reasons = [
                f"{count:,} {reason}"
                for split in dict.fromkeys(source["splits"])
                for reason, count in task["dropped"].get(split, {}).items()
            ]
            _add(
                table,
                name,
                ", ".join(source["splits"]),
                source["description"],
                f"{source['rows']:,}",
                "; ".join(reasons) or "-",
                source["sha256"][:12],
            )
    return table


def _stages(prepared: dict[str, Any]) -> RenderableType:
    numbers = ("train", "held out")
    columns = ("stage", "kind", "source", "train", "held out", "left out", "sha256")
    table = _table("Texts of the stages", *columns, numbers=numbers)
    for name, facts in prepared.items():
        _add(
            table,
            name,
            facts["kind"],
            facts["source"]["description"],
            f"{facts['texts']['train']:,}",
            f"{facts['texts']['held_out']:,}",
            "; ".join(f"{count:,} {reason}" for reason, count in facts["dropped"].items()) or "-",
            facts["source"]["sha256"][:12],
        )
    return table


def _what_came(name: str, record: dict[str, Any] | None) -> Text:
    if record is None:
        return Text(f"Stage {name}: not computed yet")
    return Text(f"Stage {name} ({record['key'][:12]}): {told_of_stage(record)}")


def _leakage(checks: dict[str, Any]) -> RenderableType:
    shared = [leak for leak in checks["leakage"] if leak["count"]]
    if not shared:
        return Text("No text is shared between splits that train and splits that score.")
    table = _table("Shared texts", "what", "of", "also in", "rows", "share", "for example (rows)")
    for leak in shared:
        whole = "the whole example" if leak["kind"] == "example" else "a text of it"
        _add(
            table,
            whole,
            f"{leak['task_b']} {leak['split_b']}",
            f"{leak['task_a']} {leak['split_a']}",
            f"{leak['count']:,}",
            f"{leak['share_of_b']:.1%}",
            ", ".join(f"{a} and {b}" for a, b in leak["examples"]),
        )
    return table
