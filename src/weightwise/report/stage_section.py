"""The section about the stages that runs start from: what each did, traced to its key."""

from __future__ import annotations

from typing import Any

from weightwise.figures import names
from weightwise.report.html import Table, table
from weightwise.stages.outcome import measures

HEAD = ["Stage", "Kind", "Texts", "Measure", "Before", "After", "Key in the store"]
NOTE = (
    "Losses are means over held-out texts without dropout, in nats. Zero-shot r: Pearson's r of "
    "the cosine of two sentences' representations with the label, on the task's dev split, nothing "
    "being trained for it. Alignment and uniformity: lower is closer, and more evenly spread. A "
    "key is the stage's folder in the store (results/stages/KEY/)."
)
FRESH = (
    " The head of masked language modelling was drawn anew where the checkpoint has none: a part "
    "of that fall is its own learning."
)


def stage_table(stages: dict[str, dict[str, Any] | None], facts: dict[str, Any]) -> Table:
    """What every stage did; empty where the study has none.

    Args:
        stages: `stage.json` of every stage with its marker's `similarity`, by name; None for one
            that is not finished.
        facts: the study's `checks.json`.
    """
    prepared = facts.get("stages") or {}
    lines: list[list[object]] = []
    note = NOTE
    for name, record in stages.items():
        texts = (prepared.get(name) or {}).get("texts") or {}
        told = f"{texts['train']:,} + {texts['held_out']:,} held out" if texts else names.DASH
        if record is None:
            kind = (prepared.get(name) or {}).get("kind", names.DASH)
            lines.append([name, kind, told, "not finished", *[names.DASH] * 3])
            continue
        if record.get("head") == "fresh" and FRESH not in note:
            note += FRESH
        for measure, before, after in measures(record):
            numbers = (names.number(before, 4), names.number(after, 4))
            lines.append([name, record["kind"], told, measure, *numbers, record["key"]])
    return table("What the stages did", HEAD, lines, note, numeric=False)
