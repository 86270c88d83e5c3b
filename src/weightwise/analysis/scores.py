"""Reading any tidy table of absolute scores into `tables.Scores`."""

from __future__ import annotations

import csv
import math
import re
import warnings
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow
import pyarrow.parquet

from weightwise.analysis.labels import BASELINE, arm_label, tasks_of
from weightwise.config.base import nearest
from weightwise.config.study import exact_decimal
from weightwise.config.variants import DEFAULT_VARIANT
from weightwise.errors import UserError
from weightwise.tables import Scores, check

REQUIRED = ("task", "metric", "group", "combiner", "alpha", "score")
OPTIONAL = ("seed", "variant", "split", "table", "paper", "epoch", "run", "alias_of", "undefined")
RANGES = {"accuracy": (0.0, 1.0), "pearson": (-1.0, 1.0)}
MISSING = {"", "na", "n/a", "nan", "none", "null"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Exponents of two digits: written out in full, 1e-999999999 would fill the memory.
WEIGHT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
# An alpha with more decimals is a float that lost its last digit: 0.30000000000000004.
MOST_DECIMALS = 10

Row = dict[str, str]


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read a tidy table of absolute scores (csv, tsv or Parquet) as `tables.Scores`.

    Required columns: task, metric, group (tasks joined by +), combiner (`baseline` for the task
    alone), alpha (the task's OWN weight, an exact decimal; for groupings of three or more all
    weights joined by commas), score (a fraction, not per cent; empty: no score). Optional: seed
    (missing: 0, so one seed), variant (missing: the column `table`, else `default`), split
    (missing: dev), epoch, run, alias_of, undefined (why there is no
    score), paper. Others are ignored with a warning. Rows keep
    their order. A group may be a plain name (`best` in a leaderboard) where it names no task of
    the table; such rows are never compared.

    Raises:
        UserError: the file or a column is missing, or a row is wrong; file and row are named.
    """
    path = Path(path)
    header, numbered = _cells(path)
    _check_header(path, header)
    variant = next((c for c in ("variant", "table") if c in header), None)
    tasks = {row["task"] for _, row in numbered}
    records = []
    for where, row in numbered:
        try:
            records.append(_record(row, variant, tasks) | {"where": where})
        except ValueError as error:
            raise UserError(f"{path}, {where}: {error}") from None
    if not records:
        raise UserError(f"{path}: holds no rows")
    _check_cells(path, [SimpleNamespace(**record) for record in records])
    return check(pd.DataFrame(records).drop(columns="where"), Scores, str(path))


def _cells(path: Path) -> tuple[list[str], list[tuple[str, Row]]]:
    """All cells as text: the header, and every row with its place in the file."""
    kind = path.suffix.lower()
    try:
        if kind in (".csv", ".tsv"):
            return _delimited(path, "," if kind == ".csv" else "\t")
        if kind in (".parquet", ".pq"):
            return _parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    raise UserError(f"{path}: scores are read from .csv, .tsv or .parquet")


def _delimited(path: Path, delimiter: str) -> tuple[list[str], list[tuple[str, Row]]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header = [name.strip() for name in next(reader, [])]
        rows = []
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"line {reader.line_num}"
            if len(cells) != len(header):
                raise UserError(
                    f"{path}, {where}: {len(cells)} cells under {len(header)} column names"
                )
            rows.append((where, dict(zip(header, (c.strip() for c in cells), strict=True))))
    return header, rows


def _parquet(path: Path) -> tuple[list[str], list[tuple[str, Row]]]:
    file = pyarrow.parquet.ParquetFile(path)
    header = list(file.schema_arrow.names)
    known = [name for name in dict.fromkeys(header) if name in REQUIRED + OPTIONAL]
    columns = file.read(columns=known).to_pydict()
    texts = {name: ["" if v is None else str(v) for v in columns[name]] for name in known}
    rows = [
        (f"row {i}", {name: texts[name][i - 1].strip() for name in known})
        for i in range(1, file.metadata.num_rows + 1)
    ]
    return header, rows


def _check_header(path: Path, header: list[str]) -> None:
    for name in REQUIRED:
        if name not in header:
            raise UserError(f"{path}: column '{name}' is missing; {nearest(name, header)}")
    known = REQUIRED + OPTIONAL
    for name in known:
        if header.count(name) > 1:
            raise UserError(f"{path}: column '{name}' stands twice")
    unknown = [repr(name) for name in header if name not in known]
    if unknown:
        warnings.warn(f"{path}: ignored columns: {', '.join(unknown)}", stacklevel=3)


def _record(row: Row, variant: str | None, tasks: set[str]) -> dict[str, object]:
    """One checked row; ValueError says what is wrong with it."""
    for name in ("task", "group", "combiner"):
        if not row[name]:
            raise ValueError(f"{name} is empty")
    metric = row["metric"]
    if metric not in RANGES:
        raise ValueError(f"metric '{metric}' is unknown; {nearest(metric, list(RANGES))}")
    return {
        "task": row["task"],
        "metric": metric,
        "group": _group(row, tasks),
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


def _group(row: Row, tasks: set[str]) -> str:
    task, group = row["task"], row["group"]
    members = tasks_of(group)
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
