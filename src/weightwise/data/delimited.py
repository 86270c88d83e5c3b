"""Rows of a csv or tsv file, each with the line where it begins; broken ones told apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from weightwise.data.encodings import UNREADABLE

MAX_FIELD = 1 << 24
"""Most characters of one field. A larger one is hardly a text, but what follows a stray quote."""


@dataclass(frozen=True)
class Dialect:
    """How lines become fields.

    Attributes:
        delimiter: character between fields.
        quote: character around fields; None: quote characters are ordinary text.
        escape: character before a quote or delimiter that is text; None: quotes are doubled.
        comment: what lines begin with that are no rows; None: there are none.
    """

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    comment: str | None = None


@dataclass
class Fields:
    """Rows as split.

    Attributes:
        rows: fields per row; in step with `lines`.
        lines: where each row begins, from 1.
        ends: where each row ends.
        broken: first line of a row that cannot be split -> its last line and what is wrong.
        comments: lines passed over as comments.
        blank: blank lines before the last row.
        sift: whether rows with NUL characters or undecodable bytes are put into `broken`, too;
            False: whoever uses their column refuses them.
    """

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    broken: dict[int, tuple[int, str]] = field(default_factory=dict)
    comments: list[int] = field(default_factory=list)
    blank: list[int] = field(default_factory=list)
    sift: bool = False

    def add(self, row: list[str], line: int, end: int) -> None:
        """Add a row, unless it holds what no text can."""
        for value in row if self.sift else ():
            if "\0" in value:
                self.broken[line] = (end, "holds a NUL character, which no text has")
                return
            if not value.isascii() and UNREADABLE.search(value):
                self.broken[line] = (end, "holds bytes that are no text in the stated encoding")
                return
        self.rows.append(row)
        self.lines.append(line)
        self.ends.append(end)


def split_rows(text: str, dialect: Dialect, sift: bool = False) -> Fields:
    """Split a text into rows and fields; nothing is refused here.

    Args:
        text: the whole file.
        dialect: how it is written.
        sift: as in `Fields`.
    """
    fields = Fields(sift=sift)
    (_unquoted if dialect.quote is None else _quoted)(text, dialect, fields)
    last = fields.lines[-1] if fields.lines else 0
    fields.blank = [line for line in fields.blank if line < last]
    return fields


def _unquoted(text: str, dialect: Dialect, fields: Fields) -> None:
    # Not str.splitlines: it also splits at characters that occur inside published texts.
    end = "\r" if "\r" in text and "\n" not in text else "\n"
    for number, line in enumerate(text.split(end), 1):
        line = line.removesuffix("\r")
        if not line:
            fields.blank.append(number)
        elif dialect.comment is not None and line.startswith(dialect.comment):
            fields.comments.append(number)
        elif dialect.escape is None:
            fields.add(line.split(dialect.delimiter), number, number)
        else:
            fields.add(_unescape(line, dialect.delimiter, dialect.escape), number, number)


def _unescape(line: str, delimiter: str, escape: str) -> list[str]:
    """Fields of a line in which the escape character makes the next one ordinary."""
    if escape not in line:
        return line.split(delimiter)
    found, at = [""], 0
    while at < len(line):
        c = line[at]
        if c == escape and at + 1 < len(line):
            at += 1
            found[-1] += line[at]
        elif c == delimiter:
            found.append("")
        else:
            found[-1] += c
        at += 1
    return found


class _Lines:
    """Lines for the csv module, which asks for as many as a row has.

    Attributes:
        number: of the line given last.
        begin: of the first line of the row that is being read.
        fresh: whether the next line begins a row.
    """

    def __init__(self, text: str, dialect: Dialect, fields: Fields):
        self._lines: Iterator[str] = iter(io.StringIO(text, newline=""))
        self._comment, self._fields = dialect.comment, fields
        self.number, self.begin, self.fresh = 0, 0, True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while True:
            line = next(self._lines)
            self.number += 1
            if self.fresh and self._comment is not None and line.startswith(self._comment):
                self._fields.comments.append(self.number)
                continue
            if self.fresh:
                self.begin, self.fresh = self.number, False
            return line


def _quoted(text: str, dialect: Dialect, fields: Fields) -> None:
    lines = _Lines(text, dialect, fields)
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape,
        doublequote=True,
        strict=True,
    )
    while True:
        lines.fresh = True
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fields.broken[lines.begin] = (lines.number, _reason(str(error), dialect))
            if "end of data" in str(error):
                return
            continue
        if row:
            fields.add(row, lines.begin, lines.number)
        else:
            fields.blank.append(lines.begin)


def _reason(error: str, dialect: Dialect) -> str:
    if "end of data" in error:
        return "malformed quoting (a quoted field is never closed)"
    if "field limit" in error:
        return (
            f"a field is longer than {MAX_FIELD:,} characters, which is hardly a text: probably a "
            "quote is never closed"
        )
    return f"malformed quoting ({error.replace(chr(34) + dialect.delimiter, 'delimiter')})"
