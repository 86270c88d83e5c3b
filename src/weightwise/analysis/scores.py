"""Reading any tidy table of absolute scores into `tables.Scores`."""

from __future__ import annotations

import math
import re
import unicodedata
import warnings
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from weightwise.analysis.labels import BASELINE, arm_label, tasks_of
from weightwise.analysis.score_files import COLUMNS, Row, read_cells
from weightwise.config.base import nearest
from weightwise.config.study import exact_decimal
from weightwise.config.variants import DEFAULT_VARIANT
from weightwise.duration import duration
from weightwise.errors import UserError
from weightwise.grid import plain
from weightwise.tables import Scores, check

RANGES = {"accuracy": (0.0, 1.0), "pearson": (-1.0, 1.0)}
MISSING = {"", "na", "n/a", "nan", "none", "null"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Exponents of two digits: written out in full, 1e-999999999 would fill the memory.
WEIGHT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
# An alpha with more decimals is a float that lost its last digit: 0.30000000000000004.
MOST_DECIMALS = 10
LONGEST_NAME = 200
"""Characters of a task's, grouping's, combiner's or variant's name."""
MOST_VARIANTS = 1000
"""Variants of a table; one takes about a second and 50 kB of the report."""
MANY_VARIANTS = 20
"""From so many on it is said beforehand what they cost."""
# The weights at the end of an arm's label: `unitary-0.4`, `unitary-0.5,0.25,0.25`.
ALIAS = re.compile(r"(?P<name>.+)-(?P<weights>[\d.]+(,[\d.]+)*)")


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read a tidy table of absolute scores (csv, tsv or Parquet) as `tables.Scores`.

    `score_files.COLUMNS` says which columns there are. Other ones are ignored with a warning. Rows
    keep their order. A group may be a plain name (`best` in a leaderboard) where it names no task
    of the table; such rows are never compared. `A+B`, `B+A` and `B + A` are one grouping, in the
    order that the table names first.

    Args:
        path: the file, .csv, .tsv or .parquet.

    Raises:
        UserError: the file or a column is missing, or a row is wrong; file and row are named.
    """
    path = Path(path)
    header, numbered = read_cells(path)
    unknown = [repr(name) for name in header if name not in COLUMNS]
    if unknown:
        warnings.warn(f"{path}: ignored columns: {', '.join(unknown)}", stacklevel=2)
    variant = next((c for c in ("variant", "table") if c in header), None)
    tasks = {row["task"] for _, row in numbered}
    orders: dict[frozenset[str], str] = {}
    records = []
    for where, row in numbered:
        try:
            records.append(_record(row, variant, tasks, orders) | {"where": where})
        except ValueError as error:
            raise UserError(f"{path}, {where}: {error}") from None
    if not records:
        raise UserError(f"{path}: holds no rows")
    _check_number_of_variants(path, len({record["variant"] for record in records}))
    _check_cells(path, [SimpleNamespace(**record) for record in records])
    return check(pd.DataFrame(records).drop(columns="where"), Scores, str(path))


def _check_number_of_variants(path: Path, count: int) -> None:
    if count > MOST_VARIANTS:
        raise UserError(
            f"{path}: has {count:,} variants, and at most {MOST_VARIANTS:,} can be compared; "
            "divide the table, or leave the column `variant` out if its rows are no variants"
        )
    if count >= MANY_VARIANTS:
        warnings.warn(
            f"{path}: has {count} variants: the analysis takes about {duration(count)}, and the "
            f"report about {count * 0.055:.0f} MB; divide the table for a smaller one",
            stacklevel=3,
        )


def _record(
    row: Row, variant: str | None, tasks: set[str], orders: dict[frozenset[str], str]
) -> dict[str, object]:
    """One checked row; ValueError says what is wrong with it."""
    for name in ("task", "group", "combiner"):
        if not row[name]:
            raise ValueError(f"{name} is empty")
    for name in ("task", "group", "combiner", variant or "task", "run", "alias_of"):
        _check_name(name, row.get(name) or "")
    if "+" in row["task"]:
        raise ValueError(
            f"the name of task '{row['task']}' has a +, which joins the tasks of a grouping"
        )
    metric = row["metric"]
    if metric not in RANGES:
        # Not the nearest one: a Spearman that is called Pearson would be believed.
        same = next((name for name in RANGES if name == metric.casefold()), None)
        hint = f"write '{same}'" if same else f"known: {', '.join(RANGES)}"
        raise ValueError(f"metric '{metric}' is unknown; {hint}")
    row = row | {"group": "+".join(part.strip() for part in row["group"].split("+"))}
    row = _turned(row, _group(row, tasks), tasks, orders)
    return {
        "task": row["task"],
        "metric": metric,
        "group": row["group"],
        "combiner": row["combiner"],
        "alpha": _alpha(row),
        "variant": (row[variant] if variant else "") or DEFAULT_VARIANT,
        "seed": _whole(row, "seed", 0),
        "split": _split(row),
        "score": _score(row["score"], metric),
        "epoch": _whole(row, "epoch", None),
        "run": row.get("run") or None,
        "alias_of": row.get("alias_of") or None,
        "undefined": row.get("undefined") or None,
    }


def _check_name(column: str, name: str) -> None:
    if len(name) > LONGEST_NAME:
        raise ValueError(
            f"{column} has {len(name):,} characters, and at most {LONGEST_NAME} may be"
        )
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise ValueError(f"{column} {name!r} holds U+{ord(character):04X}, which is no letter")


def _turned(row: Row, group: str, tasks: set[str], orders: dict[frozenset[str], str]) -> Row:
    """The row with its grouping in the order in which the table first names it, and with it what
    follows that order: all weights joined by commas, and the label of the arm in `alias_of`, which
    of a pair has the FIRST task's weight. A pair's own column `alpha` is the task's own weight in
    either order."""
    members = tasks_of(group)
    if not tasks & set(members):
        return row | {"group": group}  # a plain name
    order = orders.setdefault(frozenset(members), group)
    if order == group:
        return row | {"group": group}
    turned = row | {"group": order}
    if "," in row["alpha"]:
        turned["alpha"] = _reordered(row["alpha"], members, tasks_of(order))
    alias = ALIAS.fullmatch(row.get("alias_of") or "")
    if alias:
        weights = alias["weights"]
        if "," in weights:
            weights = _reordered(weights, members, tasks_of(order))
        elif len(members) == 2 and Decimal(weights) <= 1:
            weights = plain(1 - Decimal(weights))
        turned["alias_of"] = f"{alias['name']}-{weights}"
    return turned


def _reordered(weights: str, members: tuple[str, ...], order: tuple[str, ...]) -> str:
    parts = weights.split(",")
    if len(parts) != len(members):
        return weights  # refused as such in a moment
    by_task = dict(zip(members, parts, strict=True))
    return ",".join(by_task[task] for task in order)


def _group(row: Row, tasks: set[str]) -> str:
    task, group = row["task"], row["group"]
    members = tasks_of(group)
    if "" in members and tasks & set(members):
        raise ValueError(f"group '{group}' has a + with no task beside it")
    if row["combiner"] == BASELINE and group != task:
        raise ValueError(f"the baseline of '{task}' is the task alone, but its group is '{group}'")
    if task not in members and tasks & set(members):
        raise ValueError(f"group '{group}' does not hold the task '{task}'")
    if len(set(members)) < len(members):
        raise ValueError(f"group '{group}' names a task twice")
    return group


def _alpha(row: Row) -> str | None:
    text = row["alpha"]
    if text.lower() in MISSING:
        if row["combiner"] == "unitary":
            raise ValueError("'unitary' needs an alpha, the task's own weight")
        return None
    size = len(tasks_of(row["group"]))
    parts = [_weight(part) for part in text.split(",")]
    if row["combiner"] == BASELINE:
        if parts != ["1"]:
            raise ValueError(f"a baseline has no alpha, but here it is {text}")
        return None
    if len(parts) > 1 and (size < 3 or len(parts) != size):
        raise ValueError(f"alpha {text} does not fit the group '{row['group']}'")
    if len(parts) > 1 and sum(map(Decimal, parts)) != 1:
        raise ValueError(f"the weights {text} do not add up to 1")
    return ",".join(parts)


def _weight(text: str) -> str:
    if not WEIGHT.fullmatch(text.strip()):
        raise ValueError(f"alpha {text!r} is not a number")
    weight = exact_decimal(text)
    if len(weight.partition(".")[2]) > MOST_DECIMALS:
        raise ValueError(
            f"alpha {text} has more than {MOST_DECIMALS} decimals; write exact decimals as text, "
            f"such as {exact_decimal(round(float(weight), MOST_DECIMALS))}"
        )
    return weight


def _whole(row: Row, name: str, default: int | None) -> int | None:
    text = row.get(name) or ""
    if text.lower() in MISSING:
        return default
    if not re.fullmatch(r"-?\d{1,19}(\.0*)?", text, re.ASCII):
        raise ValueError(f"{name} {text!r} is not a whole number")
    number = int(text.partition(".")[0])
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{name} {text} is outside -2^63 to 2^63 - 1, what tables can hold")
    if name == "epoch" and number < 1:
        raise ValueError(f"epoch {text} is below 1")
    return number


def _split(row: Row) -> str:
    split = row.get("split") or "dev"
    if split not in ("dev", "test"):
        raise ValueError(f"split '{split}' is unknown; {nearest(split, ['dev', 'test'])}")
    return split


def _score(text: str, metric: str) -> float | None:
    if text.lower() in MISSING:
        return None
    if not NUMBER.fullmatch(text):
        raise ValueError(f"score {text!r} is not a number")
    score, (low, high) = float(text), RANGES[metric]
    if not (math.isfinite(score) and low <= score <= high):
        hint = "; scores are fractions: 0.519, not 51.9" if 1 < score <= 100 else ""
        raise ValueError(f"score {text} is outside [{low:g}, {high:g}] of {metric}{hint}")
    return score


def _check_cells(path: Path, rows: list[SimpleNamespace]) -> None:
    """Refuse rows that contradict each other; both are named."""
    cells: dict[tuple, SimpleNamespace] = {}
    metrics: dict[tuple, SimpleNamespace] = {}
    for row in rows:
        key = (row.task, row.group, row.combiner, row.alpha, row.variant, row.seed, row.split)
        first = cells.setdefault(key, row)
        if first is not row:
            many = len(tasks_of(row.group)) > 2 and row.alpha and "," not in row.alpha
            hint = "; give all weights of its arm, joined by commas" if many else ""
            if first.epoch != row.epoch:
                hint = (
                    f", of different epochs ({first.epoch} and {row.epoch}): keep the chosen "
                    "epoch's row alone, such as the one with the best dev score"
                )
            raise UserError(f"{path}: {first.where} and {row.where} are the same cell{hint}")
        first = metrics.setdefault((row.task, row.variant), row)
        if first.metric != row.metric:
            raise UserError(
                f"{path}: {first.where} measures '{row.task}' by {first.metric}, "
                f"{row.where} by {row.metric}"
            )
    _check_aliases(path, rows)


def _check_aliases(path: Path, rows: list[SimpleNamespace]) -> None:
    """A row that is said to be another arm's run must hold that run's score."""

    def place(row: SimpleNamespace, label: str) -> tuple:
        return (row.task, row.group, label, row.variant, row.seed, row.split)

    runs = {
        place(row, arm_label(row.task, row.group, row.combiner, row.alpha)): row
        for row in rows
        if row.alias_of is None
    }
    for row in rows:
        original = runs.get(place(row, row.alias_of)) if row.alias_of else None
        if original is not None and row.score != original.score:
            raise UserError(
                f"{path}: {row.where} is said to be the same run as '{row.alias_of}' "
                f"({original.where}), but their scores differ"
            )
