"""Time and memory of every combiner beside addition, with what may be said of them."""

from __future__ import annotations

import math

from weightwise.figures import names
from weightwise.figures.cost import machine
from weightwise.figures.inputs import Inputs, in_variant
from weightwise.report.html import Table, table


def ratio_table(inputs: Inputs, variant: str) -> Table:
    """One row per grouping, combiner and machine."""
    rows = in_variant(inputs.cost_ratios, variant)
    groups = list(rows["group"].unique())
    several = len(rows[["hardware", "precision", "threads"]].drop_duplicates()) > 1
    ordered = sorted(
        rows.itertuples(),
        key=lambda r: (groups.index(r.group), machine(r), names.arm_key(r.combiner, None)),
    )
    lines = [
        [
            names.group_label(row.group),
            names.combiner_label(row.combiner),
            *([machine(row)] if several else []),
            str(row.runs),
            _with_interval(row, "time"),
            names.number(1000 * row.step_seconds, 1),
            _with_interval(row, "memory"),
            names.number(row.peak_memory_bytes / 2**20, 0),
        ]
        for row in ordered
    ]
    head = ["Grouping", "Combiner", *(["Machine"] if several else []), "Runs"]
    head += ["Time of a step, × addition", "ms", "Peak memory, × addition", "MiB"]
    level = f"{100 * inputs.confidence:g} %"
    note = (
        "Median seconds of a step, without the first few and the recorded ones; ratios to addition "
        "in the same grouping with the same seed, geometric means over seeds"
        + (f" with {level} t intervals" if _any_interval(rows) else "")
        + ". Runs on other hardware, precision or threads are not compared. Weights alone cost "
        "nothing, so the arms of one weighted combiner are one row."
    )
    return table("Cost beside addition", head, lines, f"{note} {_disturbed(inputs)}")


def _any_interval(rows) -> bool:
    return bool(rows[["time_low", "memory_low"]].notna().any(axis=None))


def _with_interval(row, column: str) -> str:
    value = getattr(row, column)
    if row.combiner == "addition":
        return "1"
    text = names.number(value, 2)
    low, high = getattr(row, f"{column}_low"), getattr(row, f"{column}_high")
    if text != names.DASH and math.isfinite(low) and math.isfinite(high):
        text += f" ({names.number(low, 2)} to {names.number(high, 2)})"
    return text


def _disturbed(inputs: Inputs) -> str:
    """What shares a machine with a timed run."""
    text = (
        "Times are of runs as they were trained: what else ran on the machine at that time is in "
        "them. On a CPU the memory is that of the whole process, the data included"
    )
    study = inputs.study
    if study is not None and study.runs_per_job > 1:
        text += f"; here up to {study.runs_per_job} runs followed each other in one process"
    if study is not None and study.runs_side_by_side > 1:
        text += f"; {study.runs_side_by_side} runs trained side by side and slowed each other down"
    return f"{text}. A ratio near 1 is worth as much as its interval."
