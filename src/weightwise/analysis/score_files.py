"""The cells of a table of scores, from the kinds of files that people keep them in."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from weightwise.errors import UserError, nearest

REQUIRED = {
    "task": "the task that is scored",
    "metric": "`accuracy` or `pearson`",
    "group": "the tasks that were trained together, joined by `+`; a task alone: its name",
    "combiner": "how their gradients became one; `baseline` for a task alone",
    "alpha": "the task's OWN weight, an exact decimal such as `0.4`; of three tasks or more all "
    "weights in the order of `group`, joined by commas; empty where there are none",
    "score": "a fraction, `0.519` and not `51.9`; empty: no score",
}
OPTIONAL = {
    "seed": "a whole number, 0 where it is missing; intervals need several",
    "variant": "one configuration of several, `default` where it is missing",
    "table": "stands for `variant` where there is none",
    "split": "`dev` or `test`; `dev` where it is missing",
    "epoch": "the epoch that was chosen on dev, from 1",
    "run": "a name of the run, shown in the report",
    "alias_of": "the arm that was run in this one's place, such as `addition` or `unitary-0.4`",
    "undefined": "why there is no score, shown in the report",
    "paper": "taken and not read",
}
COLUMNS = REQUIRED | OPTIONAL
"""Columns of a table of scores, and what they hold."""
MOST_ROWS = 1_000_000
LONGEST_CELL = 10_000
"""Bytes of a cell in Parquet, whose compression can hide gigabytes in a kilobyte."""
BATCH = 1_000

Row = dict[str, str]


def read_cells(path: Path) -> tuple[list[str], list[tuple[str, Row]]]:
    """All cells as text: the header, and every row with its place in the file.

    Args:
        path: a .csv, .tsv or .parquet file.

    Raises:
        UserError: the file cannot be read, is too large, lacks columns or has one twice.
    """
    kind = path.suffix.lower()
    try:
        if kind in (".csv", ".tsv"):
            return _delimited(path, "," if kind == ".csv" else "\t")
        if kind in (".parquet", ".pq"):
            return _parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: cannot be read, since it is not UTF-8; save it as such") from None
    except (OSError, ValueError, csv.Error, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    raise UserError(f"{path}: scores are read from .csv, .tsv or .parquet")


def _delimited(path: Path, delimiter: str) -> tuple[list[str], list[tuple[str, Row]]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header, delimiter)
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
            _check_size(path, len(rows))
    return header, rows


def _parquet(path: Path) -> tuple[list[str], list[tuple[str, Row]]]:
    file = pyarrow.parquet.ParquetFile(path)
    header = list(file.schema_arrow.names)
    _check_header(path, header)
    _check_size(path, file.metadata.num_rows)
    known = [name for name in dict.fromkeys(header) if name in COLUMNS]
    rows: list[tuple[str, Row]] = []
    for batch in file.iter_batches(BATCH, columns=known):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            _check_cells(path, name, column)
        columns = [[_text(v) for v in batch.column(name).to_pylist()] for name in known]
        for cells in zip(*columns, strict=True):
            rows.append((f"row {len(rows) + 1}", dict(zip(known, cells, strict=True))))
    return header, rows


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _check_cells(path: Path, name: str, column: pyarrow.Array) -> None:
    """Refuse texts that are long before they become Python's."""
    kind = column.type.value_type if pyarrow.types.is_dictionary(column.type) else column.type
    values = column.dictionary if pyarrow.types.is_dictionary(column.type) else column
    if pyarrow.types.is_nested(kind):
        raise UserError(f"{path}: column '{name}' holds {kind}; give one plain value a cell")
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        longest = pyarrow.compute.max(pyarrow.compute.binary_length(values)).as_py() or 0
        if longest > LONGEST_CELL:
            raise UserError(f"{path}: column '{name}' holds a text of {longest:,} bytes")


def _check_size(path: Path, rows: int) -> None:
    if rows > MOST_ROWS:
        raise UserError(f"{path}: has more than {MOST_ROWS:,} rows; divide the table")


def _check_header(path: Path, header: list[str], delimiter: str = "") -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        said = f"columns {names} are missing" if len(missing) > 1 else f"column {names} is missing"
        others = [name for name in header if name and name not in COLUMNS]
        hints = [
            f"'{hint.split(chr(39))[1]}' may be '{name}'"
            for name in missing
            if (hint := nearest(name, others)).startswith("did you mean")
        ]
        wrong = next((d for d in ",;\t|" if d != delimiter and any(d in n for n in header)), "")
        if delimiter and wrong:
            name = {"\t": "tabs"}.get(wrong, f"'{wrong}'")
            hints = [f"its cells are divided by {name}; a .csv has commas and a .tsv has tabs"]
        raise UserError(
            f"{path}: {said}{''.join('; ' + hint for hint in hints)}; a table of scores has the "
            f"columns {', '.join(REQUIRED)}, and may have {', '.join(OPTIONAL)} "
            "(`weightwise analyse --help` tells what they hold)"
        )
    twice = [name for name in COLUMNS if header.count(name) > 1]
    if twice:
        raise UserError(f"{path}: column '{twice[0]}' stands twice")
