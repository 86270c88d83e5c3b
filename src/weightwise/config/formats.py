"""How the bytes of a table are read: format, encoding, the dialect of a delimited file, limits."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from weightwise.config.base import Strict
from weightwise.errors import nearest

ENCODINGS = (
    "utf-8",
    "utf-16",
    "utf-32",
    "windows-1252",
    "windows-1250",
    "windows-1251",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "latin-1",
    "iso-8859-2",
    "iso-8859-15",
    "mac-roman",
    "koi8-r",
    "shift_jis",
    "euc-jp",
    "gb18030",
    "big5",
    "euc-kr",
)
"""The encodings that messages name; every other text encoding of Python is accepted, too."""

# Python calls these text encodings, but they are escapes or parts of protocols, not encodings in
# which a file is written.
_NO_FILES = {"undefined", "punycode", "idna", "unicode-escape", "raw-unicode-escape", "charmap"}
_NAMED_CHARACTERS = {"tab": "\t", "\\t": "\t", "space": " "}


def _text_encoding(name: str) -> str:
    """The name as given, if it is that of a text encoding.

    Raises:
        ValueError: it is not.
    """
    problem = f"'{name}' is no text encoding; {nearest(name.lower(), ENCODINGS)}"
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):  # UnicodeError, a NUL character
        raise ValueError(problem) from None
    if not codec._is_text_encoding or codec.name.replace("_", "-") in _NO_FILES:
        raise ValueError(problem)
    return name


def _one_character(value: object) -> object:
    return _NAMED_CHARACTERS.get(value, value) if isinstance(value, str) else value


def _printable(value: str) -> str:
    if value in "\r\n\0" or "\ud800" <= value <= "\udfff":
        raise ValueError("a line break, NUL or half of a surrogate pair cannot serve here")
    return value


TextEncoding = Annotated[str, Field(max_length=40), AfterValidator(_text_encoding)]
Character = Annotated[
    str,
    Field(min_length=1, max_length=1),
    BeforeValidator(_one_character),
    AfterValidator(_printable),
]


class TableFormat(Strict):
    """How the bytes of a table are read. gzip, bzip2, xz and zip are unpacked wherever they are
    found, whatever the file is called."""

    format: Literal["csv", "tsv", "jsonl", "json", "parquet"] | None = None
    """File format; `tsv` is `csv` with tabs, `jsonl` one JSON object per line, `json` an array of
    objects (or one per line). Null: by the end of the file's name (.csv, .tsv, .tab, .jsonl,
    .ndjson, .json, .parquet, .pq, also before .gz, .bz2, .xz or .zip), `csv` for any other."""
    encoding: TextEncoding = "utf-8"
    """Character encoding of the text: `utf-8`, `utf-16`, `windows-1252` and its kin, `shift_jis`
    or any other text encoding that Python knows. A mark at the file's beginning (BOM) is passed
    over. Not for parquet."""
    delimiter: Character | None = None
    """Character between fields of csv and tsv, `tab` and `space` by name; null: the comma of csv,
    the tab of tsv."""
    quoting: Literal["standard", "none"] = "standard"
    """`standard`: fields may be quoted, quotes inside are doubled (or escaped, see `escape`).
    `none`: quote characters are ordinary text (STS-B as published). Only for csv and tsv."""
    quote: Character = '"'
    """Character around quoted fields."""
    escape: Character | None = None
    """Character before a quote (or delimiter) that is part of the text, such as a backslash; null:
    quotes inside a field are doubled."""
    comment: Annotated[str, Field(min_length=1, max_length=16)] | None = None
    """Lines that begin with this are no rows, such as `#`; they are counted. Only for csv and
    tsv."""
    decimal: Literal[".", ","] = "."
    """Decimal mark of numbers that stand as text (labels, `where`). With `,` a point or space
    between groups of three digits is passed over."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of a csv or tsv file without a header line; null: the first line is the
    header."""
    extra_columns: Literal["refuse", "ignore"] = "refuse"
    """What to do with fields beyond the last of `columns`: `ignore` leaves them out and counts the
    rows, but only where they are columns, not the rest of a text: in files with tabs, or where all
    rows have equally many fields."""
    bad_rows: Literal["refuse", "drop"] = "refuse"
    """What to do with rows that cannot be read: too few or too many fields, malformed quoting in a
    line, invalid JSON, bytes that are not text, NUL characters. `drop` leaves them out; they are
    counted and their lines listed. Not for parquet."""
    max_unpacked: Annotated[int, Field(ge=1)] | None = None
    """Most bytes that a compressed file, or the columns read of a parquet file, may unpack to.
    Null: 2 GiB, and beyond 64 MiB no more than 200 times the packed size."""

    @model_validator(mode="after")
    def _fits_together(self) -> TableFormat:
        if self.columns is not None:
            if not self.columns:
                raise ValueError("`columns` names no column; leave it out if there is a header")
            repeated = sorted({c for c in self.columns if self.columns.count(c) > 1})
            if repeated:
                raise ValueError(f"`columns` names '{repeated[0]}' twice")
            if self.format in ("json", "jsonl", "parquet"):
                raise ValueError(f"`columns` is for csv and tsv; {self.format} names its own")
        if self.extra_columns == "ignore" and self.columns is None:
            raise ValueError(
                "`extra_columns: ignore` needs `columns`: a file with a header line has no columns "
                "beyond it, so longer rows are broken (often unquoted delimiters in a text) and "
                "would be cut; correct them, or set `bad_rows: drop` to leave them out and count "
                "them"
            )
        marks = [m for m in (self.delimiter, self.escape) if m is not None]
        if self.quoting == "standard":
            marks.append(self.quote)
        if len(set(marks)) < len(marks):
            raise ValueError("`delimiter`, `quote` and `escape` must be different characters")
        return self
