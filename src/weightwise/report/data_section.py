"""The data section, from `checks.json`; what is absent there is skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weightwise.config import StudyConfig
from weightwise.data.cautions import cautions, task_fits, task_framings
from weightwise.figures import names
from weightwise.report.html import Table, table


@dataclass(frozen=True)
class DataSection:
    """What is known of the data."""

    warnings: list[str]
    tables: list[Table]
    licences: list[tuple[str, str]]
    encoder: list[tuple[str, str]]


def data_section(checks: dict[str, Any], study: StudyConfig | None = None) -> DataSection:
    """The section; empty tables are left out. The study adds how its texts fit the encoder, and its
    own cautions."""
    tasks = {name: facts for name, facts in _mapping(checks, "tasks").items() if facts}
    stages = _mapping(checks, "stages")
    tables = [_rows(tasks), _labels(tasks), _tokens(checks, study), _dropped(tasks)]
    tables += [_leakage(checks), _sources(tasks), _stages(stages)]
    credited = [*tasks.items(), *stages.items()]
    licences = [(name, str(f["licence"])) for name, f in credited if f.get("licence")]
    encoder = [
        (str(key).replace("_", " "), _text(value))
        for key, value in _mapping(checks, "encoder").items()
        if value is not None
    ]
    found = [str(warning) for warning in checks.get("warnings") or []]
    if study is not None and tasks:
        found += cautions(study, checks)
    return DataSection(found, [t for t in tables if t], licences, encoder)


def _mapping(facts: dict[str, Any], key: str) -> dict[str, Any]:
    value = facts.get(key)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else names.DASH


def _rows(tasks: dict[str, Any]) -> Table:
    lines = []
    for name, facts in tasks.items():
        splits = _mapping(facts, "splits")
        line = [name, str(facts.get("kind", names.DASH))]
        for split in ("train", "dev", "test"):
            line.append(_count(_mapping(splits, split).get("rows")))
        words = _mapping(_mapping(splits, "train"), "words")
        line.append(
            f"{names.number(words.get('mean'), 1)} (p95 {names.number(words.get('p95'), 0)})"
        )
        lines.append(line)
    head = ["Task", "Kind", "Train", "Dev", "Test", "Words of a training row"]
    return table("Rows of every split", head, lines)


def _labels(tasks: dict[str, Any]) -> Table:
    lines = []
    for name, facts in tasks.items():
        classes = facts.get("classes") or []
        for split, one in _mapping(facts, "splits").items():
            labels = _mapping(one or {}, "labels")
            counts = labels.get("counts") or []
            if not counts:
                continue
            total = sum(counts) or 1
            if classes:
                keys = [str(c) for c in classes]
            else:
                edges = labels.get("edges") or range(len(counts) + 1)
                keys = [f"{a:g} to {b:g}" for a, b in zip(edges, list(edges)[1:], strict=False)]
            shares = [
                f"{key} {100 * count / total:.1f} %"
                for key, count in zip(keys, counts, strict=False)
            ]
            lines.append([name, split, "; ".join(shares)])
    return table("Labels", ["Task", "Split", "Share of rows"], lines, numeric=False)


def _tokens(checks: dict[str, Any], study: StudyConfig | None) -> Table | None:
    if study is None:
        return None
    lines = [
        [
            name,
            fit.split,
            fit.framing,
            f"{fit.longest:,}",
            _count(fit.cut),
            f"{100 * fit.cut_share:.1f} %",
            f"{100 * fit.unknown:.2f} %",
        ]
        for name, ways in task_framings(study).items()
        for way in ways
        for fit in task_fits(checks, name, way)
    ]
    head = ["Task", "Split", "Texts", "Longest row", "Rows cut", "Share cut", "Unknown tokens"]
    note = (
        f"Tokens of a row with those that frame it; rows longer than {study.encoder.max_length} "
        "are cut. joint: both texts in one sequence; siamese: each in one of its own."
    )
    return table("How the texts fit into the encoder", head, lines, note)


def _dropped(tasks: dict[str, Any]) -> Table:
    lines = []
    for name, facts in tasks.items():
        for source, reasons in _mapping(facts, "dropped").items():
            for reason, count in (reasons or {}).items():
                if count:
                    lines.append([name, source, str(reason), _count(count)])
    return table("Rows that were left out", ["Task", "Table", "Reason", "Rows"], lines)


def _leakage(checks: dict[str, Any]) -> Table:
    found = [leak for leak in checks.get("leakage") or [] if isinstance(leak, dict)]
    lines = [
        [
            f"{leak.get('task_b')} {leak.get('split_b')}",
            f"{leak.get('task_a')} {leak.get('split_a')}",
            str(leak.get("kind")),
            _count(leak.get("count")),
            f"{100 * leak['share_of_b']:.1f} %"
            if isinstance(leak.get("share_of_b"), int | float)
            else names.DASH,
        ]
        for leak in found
        if leak.get("count")
    ]
    note = (
        f"{len(found)} combinations of splits were looked at; those not listed share nothing. "
        "example: the whole text or pair; sentence: any of its texts."
    )
    head = ["Rows of", "also stand in", "Kind", "Rows", "Share"]
    if found and not lines:
        lines = [["none", names.DASH, names.DASH, "0", names.DASH]]
    return table("Leakage: texts shared between splits", head, lines, note)


def _sources(tasks: dict[str, Any]) -> Table:
    lines = []
    for name, facts in tasks.items():
        for source in facts.get("sources") or []:
            splits = ", ".join(map(str, source.get("splits") or []))
            lines.append(
                [
                    name,
                    splits,
                    str(source.get("description", names.DASH)),
                    _count(source.get("rows")),
                    str(source.get("sha256") or names.DASH),
                ]
            )
        if facts.get("content_sha256"):
            lines.append(
                [name, "all", "rows as prepared", names.DASH, str(facts["content_sha256"])]
            )
    head = ["Task", "Splits", "Source", "Rows", "SHA-256"]
    return table("Sources and checksums", head, lines, numeric=False)


def _stages(stages: dict[str, Any]) -> Table:
    lines = []
    for name, facts in stages.items():
        source, dropped = _mapping(facts, "source"), _mapping(facts, "dropped")
        left_out = "; ".join(f"{_count(count)} {reason}" for reason, count in dropped.items())
        shared = "; ".join(
            f"{one['rows']:,} of {one['task']} {one['split']} ({100 * one['share']:.1f} %)"
            for one in facts.get("shared") or []
        )
        lines.append(
            [
                name,
                str(source.get("description", names.DASH)),
                _count(source.get("rows")),
                left_out or names.DASH,
                shared or "none",
                str(source.get("sha256") or names.DASH),
            ]
        )
    head = ["Stage", "Source", "Rows", "Left out", "Rows with a text of its", "SHA-256"]
    return table("Texts of the stages", head, lines, numeric=False)
