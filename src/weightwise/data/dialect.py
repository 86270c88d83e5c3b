"""What a delimited file that does not fit its stated dialect looks like: advice for messages.

Nothing here decides how a file is read; the study says that. Other dialects are tried on the text,
and one that makes rows of equally many fields is named.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from weightwise.data.delimited import Dialect, Fields, split_rows

_SAMPLE = 1 << 22
_DELIMITERS = (",", "\t", ";", "|")
_COMMENTS = ("#", "//", "%", "--", "sep=", "!")
_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
TOLERATED = 0.1
"""Largest share of broken rows at which leaving them out is advised before anything else."""


def key(name: str, character: str) -> str:
    """`delimiter: ";"` as it is written in the study."""
    return f"`{name}: " + ("tab`" if character == "\t" else json.dumps(character) + "`")


def other_format(text: str, chosen: str) -> str | None:
    """The format that the first lines are plainly in, if it is another than the chosen one."""
    head = text.lstrip()[:1]
    if head not in ("{", "["):
        return None
    line = text.lstrip().split("\n", 1)[0].strip()
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        rest = text.lstrip()[1:].lstrip()[:1]
        array = head == "[" and rest in ("{", "]")
        return "json" if array and chosen in ("csv", "tsv") else None
    if isinstance(value, dict):
        return "jsonl" if chosen in ("csv", "tsv") else None
    objects = isinstance(value, list) and all(isinstance(v, dict) for v in value)
    return "json" if objects and chosen in ("csv", "tsv") else None


def equal_width(fields: Fields, columns: int | None) -> int | None:
    """The number of fields that all rows have, if it is one and more than one column.

    Args:
        fields: rows as split.
        columns: the number that the study names; None: a header line names them.
    """
    widths = {len(row) for row in fields.rows}
    if fields.broken or len(fields.rows) < 2 or len(widths) != 1:
        return None
    (width,) = widths
    return width if width > 1 and columns in (None, width) else None


def advice(text: str, dialect: Dialect, columns: int | None, chosen: str) -> str | None:
    """What to set in the study so that the file has rows of equally many fields, if anything.

    Args:
        text: the file.
        dialect: as the study states it.
        columns: the number of columns that the study names; None: a header line names them.
        chosen: the format, `csv` or `tsv`.
    """
    other = other_format(text, chosen)
    if other is not None:
        return f"this looks like {other}: set `format: {other}`"
    sample = text
    if len(text) > _SAMPLE:
        sample = text[: text.rfind("\n", 0, _SAMPLE)]
    for changed, words in _others(dialect, sample):
        if equal_width(split_rows(sample, changed), columns) is not None:
            return words
    return None


def _others(dialect: Dialect, text: str) -> Iterator[tuple[Dialect, str]]:
    """Other dialects, the ones that change least first, with the words that ask for them."""
    for comment in _COMMENTS:
        if dialect.comment is None and (text.startswith(comment) or "\n" + comment in text):
            words = (
                f"without the lines that begin with '{comment}' all rows have equally many "
                f"fields: set {key('comment', comment)}"
            )
            if comment == "sep=":
                at = text.find("sep=") + 4
                delimiter = text[at : at + 1]
                if delimiter not in ("", "\r", "\n", dialect.delimiter):
                    words = (
                        "the first line is Excel's word for the delimiter: set "
                        f"{key('delimiter', delimiter)} and {key('comment', comment)}"
                    )
                    yield replace(dialect, comment=comment, delimiter=delimiter), words
                    continue
            yield replace(dialect, comment=comment), words
    # Another delimiter first: a stray quote means nothing where the fields are cut elsewhere.
    for delimiter in _DELIMITERS:
        if delimiter != dialect.delimiter and delimiter in text:
            found = f"the fields are separated by {_NAMES[delimiter]}"
            ask = "`format: tsv`" if delimiter == "\t" else key("delimiter", delimiter)
            yield replace(dialect, delimiter=delimiter), f"{found}: set {ask}"
    if dialect.quote != "'" and "'" in text:
        words = f"the fields are in single quotes: set {key('quote', chr(39))}"
        yield replace(dialect, quote="'"), words
    if dialect.quote != '"' and '"' in text:
        ask = "`quoting: standard`" if dialect.quote is None else key("quote", '"')
        yield replace(dialect, quote='"'), f"the fields are in double quotes: set {ask}"
    if dialect.quote is not None:
        if dialect.escape is None and "\\" in text:
            words = f"quotes are escaped with backslashes: set {key('escape', chr(92))}"
            yield replace(dialect, escape="\\"), words
        words = "if quote characters are ordinary text in this file, set `quoting: none`"
        yield replace(dialect, quote=None), words
    for delimiter in _DELIMITERS:
        if delimiter == dialect.delimiter or delimiter not in text:
            continue
        ask = "`format: tsv`" if delimiter == "\t" else key("delimiter", delimiter)
        found = f"the fields are separated by {_NAMES[delimiter]}"
        if "'" in text and dialect.quote != "'":
            yield (
                replace(dialect, delimiter=delimiter, quote="'"),
                f"{found} and in single quotes: set {ask} and {key('quote', chr(39))}",
            )
        if dialect.quote is not None:
            yield (
                replace(dialect, delimiter=delimiter, quote=None),
                f"{found}, and quote characters are ordinary text: set {ask} and `quoting: none`",
            )


def ragged(fields: Fields, width: int, dialect: Dialect, named: bool) -> str:
    """What to do about rows of other than `width` fields where no other dialect fits.

    Args:
        fields: rows as split.
        width: the number of fields that rows should have.
        dialect: as the study states it.
        named: True: the study names the columns; False: a header line does.
    """
    widths = Counter(len(row) for row in fields.rows)
    bad = sum(n for w, n in widths.items() if w != width) + len(fields.broken)
    total = len(fields.rows) + len(fields.broken)
    long = sum(n for w, n in widths.items() if w > width)
    drop = f"`bad_rows: drop` leaves out and counts the rows that do not fit ({bad:,} of {total:,})"
    if bad <= TOLERATED * total and not (named and long == total):
        return f"correct these rows; {drop}"
    if named and len(widths) == 1 and long:
        return (
            f"all {total:,} rows have {next(iter(widths))} fields: name them all in `columns`, or "
            "set `extra_columns: ignore` to leave the last ones out"
        )
    if named and dialect.delimiter == "\t" and long:
        return (
            "name all columns, or set `extra_columns: ignore` to leave out the fields beyond the "
            f"last of `columns`; {drop}"
        )
    if long > 0.5 * bad:
        mark = _NAMES.get(dialect.delimiter, f"'{dialect.delimiter}'")
        return (
            f"texts seem to hold {mark} without quotes around them, so where a text ends cannot "
            "be known: write the file anew with such fields quoted, or as tsv or jsonl; "
            f"{drop}"
        )
    return f"check `delimiter`, `quote` and `columns`; {drop}"
