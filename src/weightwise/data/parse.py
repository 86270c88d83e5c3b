"""From the bytes of a table to raw values and row numbers; every error names file and row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from weightwise.config.sources import TableFormat
from weightwise.errors import UserError


def parse_table(
    data: bytes, layout: TableFormat, name: str
) -> tuple[pd.DataFrame, np.ndarray, str]:
    """Frame, row numbers and their unit from the bytes of a table.

    Raises:
        UserError: the bytes are no table of the stated layout.
    """
    if layout.format == "parquet":
        frame, rows = read_parquet(io.BytesIO(data), name)
        return frame, rows, "record"
    try:
        text = data.decode("utf-8-sig" if layout.encoding == "utf-8" else layout.encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{name}, line {line}: is not {layout.encoding.upper()} text; convert the file or set "
            "`encoding`"
        ) from None
    if layout.format == "jsonl":
        records, lines = _jsonl(text, name)
        columns = dict.fromkeys(c for record in records for c in record)
        frame = _frame({c: [record.get(c) for record in records] for c in columns})
        return frame, np.array(lines, dtype=np.int64), "line"
    separator = "\t" if layout.format == "tsv" else ","
    if layout.quoting == "none":
        fields, lines = _unquoted(text, separator)
    else:
        fields, lines = _quoted(text, separator, name)
    columns = layout.columns
    if columns is None:
        if not fields:
            raise UserError(f"{name}: is empty; a header line was expected")
        columns, fields, lines = tuple(fields[0]), fields[1:], lines[1:]
    _refuse_repeated(columns, name)
    _fit(fields, lines, len(columns), layout.extra_columns == "ignore", name)
    frame = pd.DataFrame(fields, columns=list(columns), dtype=object)
    return frame, np.array(lines, dtype=np.int64), "line"


def _refuse_repeated(columns: Sequence[str], name: str) -> None:
    repeated = sorted({c for c in columns if list(columns).count(c) > 1})
    if repeated:
        raise UserError(
            f"{name}: the header names column '{repeated[0]}' twice; rename one, or name `columns` "
            "in the study if the file has no header"
        )


def _unquoted(text: str, separator: str) -> tuple[list[list[str]], list[int]]:
    """Fields and line numbers where quote characters are ordinary text; blank lines are passed."""
    fields, lines = [], []
    # Not str.splitlines: it also splits at characters that occur inside published texts.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if line:
            fields.append(line.split(separator))
            lines.append(number)
    return fields, lines


def _quoted(text: str, separator: str, name: str) -> tuple[list[list[str]], list[int]]:
    """Fields and the line where each row begins, quotes doubled inside quotes; strict."""
    remedy = "; if quote characters are ordinary text in this file, set `quoting: none`"
    fields, lines = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return fields, lines
        except csv.Error as error:
            reason = "a quoted field is never closed" if "end of data" in str(error) else error
            raise UserError(f"{name}, line {begin}: malformed quoting ({reason}){remedy}") from None
        if not row:
            continue
        # A stray quote that happens to be closed rows later leaves whole rows in one field.
        if separator == "\t" and reader.line_num > begin:
            for field in row:
                if "\t" in field and "\n" in field:
                    raise UserError(
                        f"{name}, line {begin}: a quoted field runs on to line {reader.line_num} "
                        f"and holds tabs, so rows were merged{remedy}"
                    )
        fields.append(row)
        lines.append(begin)


def _fit(fields: list[list[str]], lines: list[int], width: int, ignore: bool, name: str) -> None:
    """Check every row's number of fields; cut extra ones in place where they are to be ignored."""
    for position, row in enumerate(fields):
        if len(row) == width:
            continue
        if len(row) > width and ignore:
            fields[position] = row[:width]
            continue
        hint = "; to leave the rest out set `extra_columns: ignore`" if len(row) > width else ""
        raise UserError(
            f"{name}, line {lines[position]}: has {len(row)} fields where {width} are "
            f"expected{hint}"
        )


def _jsonl(text: str, name: str) -> tuple[list[dict], list[int]]:
    records, lines = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UserError(f"{name}, line {number}: is not valid JSON ({error})") from None
        if not isinstance(record, dict):
            raise UserError(f"{name}, line {number}: is not a JSON object of columns")
        records.append(record)
        lines.append(number)
    return records, lines


def _frame(columns: dict[str, list]) -> pd.DataFrame:
    return pd.DataFrame({c: pd.Series(v, dtype=object) for c, v in columns.items()})


def read_parquet(file: io.BytesIO | Path, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Frame and record numbers, from 1, of a Parquet file; null is None.

    Raises:
        UserError: it is no Parquet file, or repeats a column.
    """
    try:
        table = pyarrow.parquet.ParquetFile(file).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{name}: is not a Parquet table ({error})") from None
    _refuse_repeated(table.column_names, name)
    # Through Python objects: pandas would turn integers with a null into floats.
    frame = _frame({c: table[c].to_pylist() for c in table.column_names})
    return frame, np.arange(1, table.num_rows + 1, dtype=np.int64)
