"""What the reference and the best arm of every task get wrong: single rows, and by shared words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from weightwise.analysis.chosen import CELL
from weightwise.figures import names
from weightwise.figures.drawing import OPTIMISTIC
from weightwise.figures.inputs import Inputs
from weightwise.figures.roles import ROLES, capital, named_roles, role_arm
from weightwise.report.foreign import text_cell
from weightwise.report.html import Cell, Figure, Table, cells, table

# Shares and accuracies of fewer pairs are not told in a sentence.
ENOUGH = 30


@dataclass(frozen=True)
class ErrorsOfTask:
    """One task: its arms, tables, those folded away, and a sentence, figures and a table about
    shared words."""

    title: str
    anchor: str
    arms: str
    tables: list[Table]
    folded: list[Table]
    reading: str
    figures: list[Figure]
    overlap: Table | None


def errors_section(
    inputs: Inputs, figures: Mapping[str, Sequence[Figure]] | None = None
) -> list[ErrorsOfTask]:
    """Every task of which errors or overlaps are known, in the study's order.

    `figures` are those of shared words, by task.
    """
    found = []
    for task in inputs.tasks():
        errors = inputs.errors[inputs.errors["task"] == task]
        overlap = inputs.overlap[inputs.overlap["task"] == task]
        known = [one[["role", *CELL]] for one in (errors, overlap) if len(one)]
        if not known:
            continue
        rows = pd.concat(known)
        arms = named_roles(rows)
        tables = [_table(inputs, task, errors, role, name) for role, name in arms.items()]
        tables = [one for one in tables if one]
        found.append(
            ErrorsOfTask(
                title=inputs.title(task),
                anchor=f"errors-{names.slug(task)}",
                arms=_told(inputs, rows, arms),
                tables=tables[:1],
                folded=tables[1:],
                reading=reading(inputs, task),
                figures=list((figures or {}).get(task, ())),
                overlap=overlap_table(inputs, task, arms) if len(overlap) else None,
            )
        )
    return found


def _told(inputs: Inputs, rows: pd.DataFrame, arms: dict[str, str]) -> str:
    parts = []
    for role, name in arms.items():
        row = rows[rows["role"] == role].iloc[0]
        parts.append(f"{capital(name)}: {role_arm(inputs, row)}.")
    return " ".join(parts)


def _table(inputs: Inputs, task: str, errors: pd.DataFrame, role: str, name: str) -> Table:
    """The worst rows of one arm; empty where it made no error."""
    rows = errors[errors["role"] == role]
    if rows.empty:
        return Table("", [], [])
    pair, classes = rows["text_b"].notna().any(), rows["error"].isna().all()
    lines = [
        [
            str(row.rank),
            text_cell(row.text_a),
            *([text_cell(row.text_b)] if pair else []),
            *(_class_cells(inputs, task, row) if classes else _value_cells(row)),
            str(row.row),
        ]
        for row in rows.itertuples()
    ]
    head = ["", *(["First text", "Second text"] if pair else ["Text"]), "Label", "Predicted"]
    head += ["Confidence", "Wrong in", "Row"] if classes else ["Error", "Seeds", "Row"]
    split = rows["split"].iloc[0]
    what = "most confident errors" if classes else "largest errors"
    note = _class_note() if classes else _value_note()
    note += " Row: its number in the source. Long texts are cut."
    if split == "dev":
        note += f" {OPTIMISTIC}"
    return table(f"{inputs.title(task)}: {what} of {name} on {split}", head, lines, note)


def _class_note() -> str:
    return (
        "Rows that are wrong in most seeds first, of those the ones predicted with the highest "
        "confidence: the mean, over the seeds that are wrong, of the probability of the class that "
        "each gave. Predicted: the wrong class that most seeds gave."
    )


def _value_note() -> str:
    return (
        "The value predicted is the mean over seeds, and the error its distance from the label. "
        "A predicted value has no confidence, so these are the largest errors, not the surest."
    )


def _class_cells(inputs: Inputs, task: str, row) -> list[Cell]:
    classes = inputs.classes(task, int(max(row.label, row.prediction)) + 1)
    agreeing = f"in {row.agreeing:g} of them" if row.agreeing < row.wrong_seeds else ""
    return [
        Cell(classes[int(row.label)]),
        Cell(classes[int(row.prediction)], agreeing),
        Cell(names.score(row.confidence)),
        Cell(f"{row.wrong_seeds:g} of {row.seeds} seeds"),
    ]


def _value_cells(row) -> list[Cell]:
    values = (row.label, row.prediction, row.error)
    return [*(Cell(names.number(value, 2)) for value in values), Cell(str(row.seeds))]


def overlap_table(inputs: Inputs, task: str, arms: dict[str, str]) -> Table:
    """Per bin of shared words: pairs, labels, and what the arms predict, side by side."""
    rows = inputs.overlap[inputs.overlap["task"] == task]
    found = {role: of_role for role in arms if len(of_role := rows[rows["role"] == role])}
    first = next(iter(found.values()))
    accuracy = first["measure"].iloc[0] == "accuracy"
    means = first["label"].notna().any()
    measured = "Accuracy" if accuracy else "Mean absolute error"
    top = [Cell("Words shared"), Cell("Pairs")]
    if means:
        top.append(Cell(f"Labelled “{inputs.classes(task, 2)[1]}”" if accuracy else "Mean label"))
    under = [Cell("")] * len(top)
    said = f"Predicted “{inputs.classes(task, 2)[1]}”" if accuracy else "Mean prediction"
    for role in found:
        own = cells([*([said] if means else []), measured])
        top.append(Cell(capital(arms[role]), span=len(own)))
        under += own
    show = _share if accuracy else names.score
    lines = []
    for place, one in enumerate(first.itertuples()):
        line = [Cell(_bin(one)), Cell(f"{one.pairs:,}")]
        line += [Cell(show(one.label))] if means else []
        for of_role in found.values():
            row = of_role.iloc[place]
            line += [_with_interval(row, "prediction", show)] if means else []
            line.append(_with_interval(row, "score", names.score))
        lines.append(line)
    split = first["split"].iloc[0]
    caption = f"{inputs.title(task)}: {measured.lower()} by the words that a pair shares, {split}"
    return Table(caption, [top, under], lines, _overlap_note(inputs, split))


def _overlap_note(inputs: Inputs, split: str) -> str:
    note = (
        "Words shared: the different words that stand in both texts, divided by those that stand "
        "in any of them (Jaccard index of the words in lower case; 0 where neither text has a "
        f"word). Means over seeds; small: {100 * inputs.confidence:g} % t intervals over seeds, "
        "none where all seeds agree. They tell how much training varies, not how much the pairs "
        "of a bin do: a bin of few pairs says little."
    )
    return f"{note} {OPTIMISTIC}" if split == "dev" else note


def reading(inputs: Inputs, task: str) -> str:
    """The bins of most and of fewest shared words in numbers, for tasks of two classes.

    Empty where there are no two bins of enough pairs. It sets numbers side by side and explains
    none: labels themselves go with shared words.
    """
    rows = inputs.overlap[inputs.overlap["task"] == task]
    role = "best" if (rows["role"] == "best").any() else "reference"
    rows = rows[(rows["role"] == role) & (rows["pairs"] >= ENOUGH) & rows["label"].notna()]
    if len(rows) < 2 or rows["measure"].iloc[0] != "accuracy":
        return ""
    few, most = rows.iloc[0], rows.iloc[-1]
    name = inputs.classes(task, 2)[1]
    return (
        f"Of the {most['pairs']:,} pairs that share most words ({_bin(most)}), "
        f"{_share(most['label'])} are labelled “{name}”, and {ROLES[role]} predicts it for "
        f"{_share(most['prediction'])}; of the {few['pairs']:,} that share fewest ({_bin(few)}), "
        f"{_share(few['label'])} and {_share(few['prediction'])}. Its accuracy is "
        f"{names.score(most['score'])} on the former and {names.score(few['score'])} on the "
        f"latter. Bins of fewer than {ENOUGH} pairs are left aside."
    )


def _bin(row) -> str:
    return f"{row.low:g} to {row.high:g}"


def _share(value: object) -> str:
    known = isinstance(value, float) and math.isfinite(value)
    return f"{names.number(100 * value, 1)} %" if known else names.DASH


def _with_interval(row: pd.Series, column: str, show) -> Cell:
    low, high = (show(row[f"{column}_{end}"]) for end in ("low", "high"))
    return Cell(show(row[column]), "" if names.DASH in (low, high) else f"{low} to {high}")
