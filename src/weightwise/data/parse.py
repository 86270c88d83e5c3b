"""From the bytes of a table to raw values and row numbers; every error names file and row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from weightwise.config.formats import TableFormat
from weightwise.data.delimited import Dialect, Fields, split_rows
from weightwise.data.dialect import advice, other_format, ragged
from weightwise.data.encodings import decode, marked
from weightwise.data.json_rows import read_records
from weightwise.data.parquet import ParquetColumns
from weightwise.errors import UserError

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
}
PACKED = (".gz", ".bz2", ".xz", ".zip")
_CONTROL = re.compile("[\x80-\x84\x86-\x9f]")
LISTED = 10
"""Most lines that a message or fact lists."""


@dataclass
class Parsed:
    """A table as read.

    Attributes:
        frame: raw values, dtype object; of parquet no column yet (see `parquet`).
        rows: [len(frame)] row numbers.
        unit: what they count, "line" or "record".
        columns: names of all columns.
        dropped: reason -> numbers of the rows that `bad_rows: drop` left out.
        notes: what a person should know of the file, in words.
        remedy: what else may be wrong where a column is missing; "" where nothing is.
        parquet: reads further columns; None where all are in the frame.
    """

    frame: pd.DataFrame
    rows: np.ndarray
    unit: str
    columns: Sequence[str]
    dropped: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    remedy: str = ""
    parquet: ParquetColumns | None = None


def format_of(layout: TableFormat, file_name: str) -> str:
    """The format that the study states, or else that the end of a file's name tells.

    Args:
        layout: how the study says to read it.
        file_name: name of the file, or of the member of an archive.
    """
    if layout.format is not None:
        return layout.format
    path = PurePosixPath(file_name.lower())
    while path.suffix in PACKED:
        path = path.with_suffix("")
    return FORMATS.get(path.suffix, "csv")


def parse_table(data: bytes, layout: TableFormat, name: str, file_name: str = "") -> Parsed:
    """The rows of a table from its bytes, unpacked.

    Args:
        data: the bytes.
        layout: how they are read.
        name: of the table, for messages.
        file_name: its end tells the format where `layout` does not.

    Raises:
        UserError: the bytes are no table of this layout; the message says what to set.
    """
    kind = format_of(layout, file_name)
    if data.startswith(b"PAR1") and kind != "parquet":
        raise UserError(f"{name}: is a Parquet table, not {kind}; set `format: parquet`")
    if kind == "parquet":
        return parse_parquet(data, layout, name)
    if layout.columns is not None and kind in ("json", "jsonl"):
        raise UserError(f"{name}: is read as {kind}, which names its columns; remove `columns`")
    text, _ = decode(data, layout.encoding, name, layout.bad_rows == "drop")
    if "\0" in text:
        likely = marked(data)
        if likely is not None and likely != layout.encoding:
            raise UserError(
                f"{name}, line 1: holds NUL characters at every other place, as {likely} read as "
                f"{layout.encoding} does; set `encoding: {likely}`"
            )
    found = _json(text, layout, name) if kind in ("json", "jsonl") else _rows(
        text, layout, kind, name
    )  # fmt: skip
    if layout.encoding.lower().startswith("utf") and (damaged := _controls(text)):
        found.notes.append(damaged)
    return found


def parse_parquet(data: bytes, layout: TableFormat, name: str) -> Parsed:
    """A Parquet table whose columns are read as they are asked for.

    Raises:
        UserError: it is none.
    """
    source = ParquetColumns(data, name, layout.max_unpacked)
    frame = pd.DataFrame(index=pd.RangeIndex(source.rows))
    rows = np.arange(1, source.rows + 1, dtype=np.int64)
    return Parsed(frame, rows, "record", source.columns, parquet=source)


def listed(lines: Sequence[int], unit: str = "line") -> str:
    """`lines 3, 8 and 12`, the first few and how many more."""
    words = unit if len(lines) == 1 else unit + "s"
    shown = [f"{line:,}" for line in lines[:LISTED]]
    if len(lines) > LISTED:
        return f"{words} {', '.join(shown)} and {len(lines) - LISTED:,} more"
    return f"{words} " + (
        " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
    )


def _controls(text: str) -> str:
    """A note on the control characters that quotes become where windows-1252 was converted to
    Unicode as if it were latin-1; "" where there are none."""
    if text.isascii() or not _CONTROL.search(text):
        return ""
    lines = [
        n for n, line in enumerate(text.split("\n"), 1)
        if not line.isascii() and _CONTROL.search(line)
    ]  # fmt: skip
    return (
        f"{len(lines):,} lines hold control characters (U+0080 to U+009F), which quotes and dashes "
        "become where windows-1252 is converted as if it were latin-1; convert the original again "
        f"({listed(lines)})"
    )


def _json(text: str, layout: TableFormat, name: str) -> Parsed:
    found = read_records(text, name, layout.bad_rows == "drop")
    if found.broken and layout.bad_rows == "refuse":
        number, problem = next(iter(found.broken.items()))
        more = _more(len(found.broken))
        raise UserError(
            f"{name}, {found.unit} {number}: {problem}{more}; correct it, or set `bad_rows: drop` "
            "to leave such rows out and count them"
        )
    columns = tuple(dict.fromkeys(c for record in found.records for c in record))
    frame = pd.DataFrame(
        {c: pd.Series([r.get(c) for r in found.records], dtype=object) for c in columns},
        index=pd.RangeIndex(len(found.records)),
    )
    if not found.records:
        raise UserError(f"{name}: holds no row" + ("" if not found.broken else " that can be read"))
    rows = np.array(found.numbers, dtype=np.int64)
    return Parsed(frame, rows, found.unit, columns, _reasons(found.broken))


def _more(count: int) -> str:
    return f" (and {count - 1:,} more rows cannot be read)" if count > 1 else ""


def _reasons(broken: dict[int, str]) -> dict[str, list[int]]:
    """Reason -> rows, the reason without what is peculiar to one row."""
    found: dict[str, list[int]] = {}
    for number in sorted(broken):
        found.setdefault(broken[number].partition(" (")[0], []).append(number)
    return found


def _rows(text: str, layout: TableFormat, kind: str, name: str) -> Parsed:
    dialect = Dialect(
        delimiter=layout.delimiter or ("\t" if kind == "tsv" else ","),
        quote=layout.quote if layout.quoting == "standard" else None,
        escape=layout.escape,
        comment=layout.comment,
    )
    fields = split_rows(text, dialect, layout.bad_rows == "drop")
    named = layout.columns is not None
    expected = len(layout.columns) if named else None

    def told() -> str | None:
        return advice(text, dialect, expected, kind)

    if fields.broken and (layout.bad_rows == "refuse" or _merged(fields)):
        _refuse_broken(fields, layout, told(), name)
    columns = layout.columns
    if named:
        _refuse_header(columns, fields, name)
    else:
        if not fields.rows:
            raise UserError(f"{name}: is empty; a header line was expected")
        if any(line < fields.lines[0] for line in fields.broken):
            _refuse_broken(fields, layout, told(), name)
        columns = tuple(fields.rows[0])
        for rows in (fields.rows, fields.lines, fields.ends):
            del rows[0]
        _refuse_repeated(columns, told, name)
    if dialect.delimiter == "\t":
        _refuse_merged(fields, name)
    dropped = _reasons({line: what for line, (_, what) in fields.broken.items()})
    notes: list[str] = []
    _fit(fields, len(columns), layout, dialect, told, dropped, notes, name)
    notes += _notes(fields, dialect)
    remedy = ""
    lone = len(columns) == 1 and any(mark in columns[0] for mark in "\t,;|")
    if lone or other_format(text, kind) is not None:
        remedy = told() or ""
    frame = pd.DataFrame(fields.rows, columns=list(columns), dtype=object)
    if frame.empty:
        frame = pd.DataFrame({c: pd.Series(dtype=object) for c in columns})
    rows = np.array(fields.lines, dtype=np.int64)
    return Parsed(frame, rows, "line", columns, dropped, notes, remedy)


def _merged(fields: Fields) -> bool:
    """Whether a row that cannot be split may have swallowed others."""
    return any(end > line for line, (end, _) in fields.broken.items())


def _refuse_broken(fields: Fields, layout: TableFormat, told: str | None, name: str) -> None:
    """Refuse a row that cannot be split into fields.

    Raises:
        UserError: always.
    """
    broken = sorted(fields.broken.items())
    long = [(line, one) for line, one in broken if one[0] > line]
    # With `bad_rows: drop` only the rows that run over several lines are in the way.
    line, (end, what) = (long or broken)[0] if layout.bad_rows == "drop" else broken[0]
    if "quoting" in what or "longer than" in what:
        remedy = told or (
            "quotes inside a quoted field are doubled, or set `escape` to the character before "
            "them; where quote characters are ordinary text, set `quoting: none`"
        )
    else:
        remedy = "correct the file"
    if layout.bad_rows == "refuse" and not long:
        remedy += "; `bad_rows: drop` leaves such rows out and counts them"
    if end > line:
        what += f"; up to line {end} no row can be told from the next"
    raise UserError(f"{name}, line {line}: {what}{_more(len(broken))}; {remedy}")


def _refuse_merged(fields: Fields, name: str) -> None:
    """Refuse quoted fields with tabs and line breaks: a stray quote that happens to be closed rows
    later leaves whole rows in one field.

    Raises:
        UserError: there is one.
    """
    for row, line, end in zip(fields.rows, fields.lines, fields.ends, strict=True):
        if end > line and any("\t" in value and "\n" in value for value in row):
            raise UserError(
                f"{name}, line {line}: a quoted field runs on to line {end} and holds tabs, so "
                "rows were merged; if quote characters are ordinary text in this file, set "
                "`quoting: none`"
            )


def _refuse_repeated(columns: Sequence[str], told, name: str) -> None:
    repeated = sorted({c for c in columns if list(columns).count(c) > 1})
    if repeated:
        other = told()
        raise UserError(
            f"{name}: the header names column '{repeated[0]}' twice; rename one, or name `columns` "
            "in the study if the file has no header" + (f". Also, {other}" if other else "")
        )


def _refuse_header(columns: Sequence[str], fields: Fields, name: str) -> None:
    """Refuse a first row that says what `columns` says.

    Raises:
        UserError: it does, in all places or in two at least.
    """
    if not fields.rows:
        return
    first = [_folded(value) for value in fields.rows[0]]
    wanted = [_folded(column) for column in columns]
    same = sum(a == b and a != "" for a, b in zip(first, wanted, strict=False))
    if same and (same >= 2 or same == len(wanted)):
        raise UserError(
            f"{name}, line {fields.lines[0]}: the first row is a header "
            f"({', '.join(map(repr, fields.rows[0][:6]))}); remove `columns`, and the names in the "
            "file are used"
        )


def _folded(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _fit(
    fields: Fields,
    width: int,
    layout: TableFormat,
    dialect: Dialect,
    told,
    dropped: dict[str, list[int]],
    notes: list[str],
    name: str,
) -> None:
    """Make every row `width` fields long: refuse the others, or leave out what the study says."""
    uneven = [i for i, row in enumerate(fields.rows) if len(row) != width]
    if not uneven:
        return
    ignore = layout.extra_columns == "ignore"
    longer = [i for i in uneven if len(fields.rows[i]) > width]
    same = not fields.broken and len({len(row) for row in fields.rows}) == 1
    if ignore and longer and not (same or dialect.delimiter == "\t"):
        lengths = sorted({len(row) for row in fields.rows})
        raise UserError(
            f"{name}, line {fields.lines[longer[0]]}: rows have {lengths[0]} to {lengths[-1]} "
            f"fields, so '{dialect.delimiter}' seems to stand inside texts, and `extra_columns: "
            f"ignore` would cut them; {told() or ragged(fields, width, dialect, False)}"
        )
    cut = [i for i in longer if ignore]
    bad = [i for i in uneven if not (ignore and len(fields.rows[i]) > width)]
    if bad and layout.bad_rows == "refuse":
        line, count = fields.lines[bad[0]], len(fields.rows[bad[0]])
        is_named = layout.columns is not None
        remedy = told() or ragged(fields, width, dialect, is_named)
        raise UserError(
            f"{name}, line {line}: has {count} fields where {width} are expected"
            f"{_more(len(bad))}; {remedy}"
        )
    if cut:
        lines = [fields.lines[i] for i in cut]
        notes.append(
            f"in {len(cut):,} rows fields beyond the last of `columns` were left out "
            f"(`extra_columns: ignore`; {listed(lines)})"
        )
        for i in cut:
            fields.rows[i] = fields.rows[i][:width]
    for i in bad:
        reason = "too few fields" if len(fields.rows[i]) < width else "too many fields"
        dropped.setdefault(reason, []).append(fields.lines[i])
    if bad:
        if len(bad) == len(fields.rows):
            raise UserError(
                f"{name}: no row has the {width} fields that are expected; "
                f"{told() or 'check `delimiter`, `quote` and `columns`'}"
            )
        gone = frozenset(bad)
        kept = [i for i in range(len(fields.rows)) if i not in gone]
        fields.rows = [fields.rows[i] for i in kept]
        fields.lines = [fields.lines[i] for i in kept]
        fields.ends = [fields.ends[i] for i in kept]


def _notes(fields: Fields, dialect: Dialect) -> list[str]:
    """What quotes, comments and blank lines did."""
    notes = []
    if fields.comments:
        notes.append(
            f"{len(fields.comments):,} lines begin with '{dialect.comment}' and are no rows "
            f"(`comment`; {listed(fields.comments)})"
        )
    if fields.blank:
        notes.append(f"{len(fields.blank):,} blank lines are no rows ({listed(fields.blank)})")
    spanning, merged = [], []
    spans = [i for i, line in enumerate(fields.lines) if fields.ends[i] > line]
    first = {row[0] for row in fields.rows} if spans else set()
    for i in spans:
        row = fields.rows[i]
        spanning.append(fields.lines[i])
        if any(_like_rows(value, len(row), dialect, first) for value in row):
            merged.append(fields.lines[i])
    if spanning:
        notes.append(
            f"{len(spanning):,} rows have quoted fields that hold line breaks ({listed(spanning)})"
        )
    if merged:
        notes.append(
            f"{len(merged):,} of these rows hold what looks like other rows ({listed(merged)}): a "
            "stray quote merges rows until the next one; if quote characters are ordinary text, "
            "set `quoting: none`, else correct the quotes"
        )
    return notes


def _like_rows(value: str, width: int, dialect: Dialect, first: set[str]) -> bool:
    """Whether all lines inside a field have as many delimiters as a row has; a lone line with a
    lone one must also begin as another row does."""
    inner = value.split("\n")[1:]
    if width < 2 or any(line.count(dialect.delimiter) != width - 1 for line in inner):
        return False
    known = bool(inner) and inner[0].split(dialect.delimiter)[0] in first
    return len(inner) > 1 or width > 2 or known
