"""The base of all tables, and how they are checked, written and read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pandera.pandas as pa
import pyarrow
import pyarrow.parquet

from weightwise.errors import UserError
from weightwise.files import replacing

SPLITS = ("train", "dev", "test")


VERDICTS = (
    "gain",  # the adjusted interval lies above zero
    "loss",  # the adjusted interval lies below zero
    "no change worth having",  # it lies within the smallest change that is worth having
    "not decided",  # none of these is shown
    "one seed",  # no interval exists
    "not comparable",  # no baseline, or no score
    "reference",  # the baseline itself
)


class Table(pa.DataFrameModel):
    """Base: exactly the declared columns, coerced to the declared types."""

    class Config:
        strict = True
        coerce = True
        ordered = False


T = TypeVar("T", bound=type[Table])


def empty(schema: type[Table]) -> pd.DataFrame:
    """A table of that schema without rows."""
    return check(pd.DataFrame(columns=list(schema.to_schema().columns)), schema, "empty table")


def check(frame: pd.DataFrame, schema: type[Table], name: str) -> pd.DataFrame:
    """The frame with declared types and column order.

    Raises:
        UserError: a column is missing, unknown, of another type or out of range.
    """
    try:
        checked = schema.validate(frame, lazy=True)
    except (pa.errors.SchemaErrors, pa.errors.SchemaError) as error:
        cases = getattr(error, "failure_cases", None)
        detail = str(error)
        if isinstance(cases, pd.DataFrame) and len(cases):
            case = cases.iloc[0]
            where = "" if pd.isna(case.get("index")) else f", row {case['index']}"
            detail = (
                f"column {case.get('column')!r}{where}: {case.get('failure_case')!r} "
                f"fails '{case.get('check')}'"
            )
        raise UserError(f"{name}: is not a {schema.__name__} table: {detail}") from None
    return checked[list(schema.to_schema().columns)].reset_index(drop=True)


def write_table(frame: pd.DataFrame, schema: type[Table], path: str | Path) -> None:
    """Check, then write Parquet whole or not at all; equal tables give equal bytes."""
    path = Path(path)
    checked = check(frame, schema, str(path))
    table = pyarrow.Table.from_pandas(checked, preserve_index=False)
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table for spreadsheets, whole or not at all.

    Names in it come from anyone, and a spreadsheet takes a cell that begins with = + - or @ for a
    formula: such a text gets an apostrophe before it, numbers stay as they are. The Parquet table
    has it unchanged.

    Args:
        frame: the table.
        path: the file.
    """
    safe = frame.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(_no_formula, na_action="ignore")
    with replacing(Path(path)) as temporary:
        safe.to_csv(temporary, index=False)


def _no_formula(value: object) -> object:
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def read_table(path: str | Path, schema: type[Table], sha256: str | None = None) -> pd.DataFrame:
    """Read and check a Parquet table.

    Args:
        path: the file.
        schema: what it must be.
        sha256: checksum that the file must have, if that is known.

    Raises:
        UserError: the file is missing, has another checksum, is not Parquet or breaks its schema.
    """
    try:
        data = Path(path).read_bytes()
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise UserError(f"{path}: is damaged (it is not what was written)")
        frame = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data)).read().to_pandas()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{path}: is not a Parquet table ({error})") from None
    return check(frame, schema, str(path))
