"""Tables of rows as `weightwise check` reads them: hostile cells, every layout, edited bytes.

The rows of a file are counted here by other code than the readers'; what was read and what was
left out must add up to that. A field written whole must come back as it was.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet
import yaml
from core_helpers import write_checkpoint
from edits import edited, edits
from harness import Payload, RowsLost, marker, refused
from hypothesis import strategies as st

from weightwise.config import load_study
from weightwise.config.sources import FileSource
from weightwise.data.prepare import prepare
from weightwise.errors import UserError

WORDS = ("w1", "w2 w3", "w4, w5", 'w6 "w7"', "w8\tw9", "w10\nw11", "w12\r\nw13", "'w14", "=w15")
ODD = (
    *("", " ", "\u200b", "\ufe0f", "\x00", "w\x00", "\x1f", "\u2028", "\x85", "\ufeff", "\x1a"),
    *("é", "日本", "\u202ew", "NA", "null", "NaN", "None", '"', '""', "\\", "\\N", "\\t", "1e5"),
    *("x" * 140_000, "w1 " * 200, ",", "\t", "\n", "\r", "{}", "[]"),
)
LABELS = (
    "0",
    "1",
    "0",
    "1",
    "0",
    "1",
    "1.0",
    "2",
    "-1",
    "",
    "x",
    "true",
    "0,5",
    "NaN",
    "1e400",
    "٣",
)


@dataclass(frozen=True)
class File:
    """Rows of text and label, how they are written and read, and what is done to the bytes."""

    rows: tuple[tuple[str, str], ...]
    form: str
    quoting: str
    line_end: str
    start: bytes
    source: tuple[tuple[str, Any], ...]
    data: tuple[tuple[str, Any], ...]
    changes: list


@st.composite
def _files(draw: st.DrawFn) -> File:
    tame = st.tuples(st.sampled_from(WORDS), st.sampled_from("01"))
    wild = st.tuples(
        st.one_of(st.sampled_from(WORDS), st.sampled_from(ODD), st.text(max_size=5)),
        st.sampled_from(LABELS),
    )
    rows = draw(st.lists(draw(st.sampled_from((tame, tame, wild))), min_size=1, max_size=8))
    form = draw(st.sampled_from(("csv", "csv", "tsv", "tsv", "jsonl", "parquet")))
    data = {}
    if draw(st.booleans()):
        data |= {"empty_text": "drop", "missing_label": "drop"}
    if draw(st.integers(0, 4)) == 0:
        data["where"] = [{"column": "label", "values": ["1"], "exclude": draw(st.booleans())}]
    if draw(st.integers(0, 4)) == 0:
        data["limit"] = {"train": draw(st.integers(1, 4))}
    if draw(st.integers(0, 4)) == 0:
        data["balance"] = True
    source = {}
    if draw(st.integers(0, 4)) == 0:
        source["encoding"] = "latin-1"
    if "bad_rows" in FileSource.model_fields and draw(st.integers(0, 4)) == 0:
        source["bad_rows"] = "drop"
    return File(
        tuple(rows),
        form,
        draw(st.sampled_from(("standard", "standard", "none"))),
        draw(st.sampled_from(("\n", "\n", "\r\n"))),
        draw(st.sampled_from((b"", b"", b"", b"\xef\xbb\xbf"))),
        tuple(source.items()),
        tuple(data.items()),
        draw(st.one_of(st.just([]), edits(3))),
    )


CASES = _files()


def _plain(text: str) -> str:
    return text.encode(errors="replace").decode()


def _written(case: File, folder: Path) -> bytes:
    rows = [(_plain(text), label) for text, label in case.rows]
    if case.form == "jsonl":
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        data = (case.line_end.join(lines) + case.line_end).encode()
    elif case.form == "parquet":
        table = pyarrow.table({"text": [r[0] for r in rows], "label": [r[1] for r in rows]})
        metadata = {"pandas": pickle.dumps(Payload(marker(folder)))}
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), buffer)
        return edited(buffer.getvalue(), case.changes)
    else:
        delimiter = "\t" if case.form == "tsv" else ","
        if case.quoting == "none":
            lines = [delimiter.join(row) for row in [("text", "label"), *rows]]
            data = (case.line_end.join(lines) + case.line_end).encode()
        else:
            text = io.StringIO(newline="")
            writer = csv.writer(text, delimiter=delimiter, lineterminator=case.line_end)
            writer.writerows([("text", "label"), *rows])
            data = text.getvalue().encode()
    return edited(case.start + data, case.changes)


def count_rows(data: bytes, form: str, quoting: str) -> int:
    """Rows of a file without its header, counted character by character.

    Blank lines are none. A record of a quoted file ends at a line break outside quotes; a quote
    opens a field only at its beginning.
    """
    if form == "parquet":
        return pyarrow.parquet.read_metadata(io.BytesIO(data)).num_rows
    if form == "jsonl":
        return sum(bool(line.strip()) for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    if quoting == "none":
        return sum(bool(line.removesuffix("\r")) for line in text.split("\n")) - 1
    delimiter = "\t" if form == "tsv" else ","
    records, anything, inside, at_start, position = 0, False, False, True, 0
    while position < len(text):
        character = text[position]
        if inside:
            if character == '"' and text[position + 1 : position + 2] == '"':
                position += 1
            elif character == '"':
                inside = False
        elif character in "\r\n":
            records += anything
            anything, at_start = False, True
            position += 1
            continue
        elif character == '"' and at_start:
            inside = True
        anything = True
        at_start = not inside and character == delimiter
        position += 1
    return records + anything - 1


def attempt(case: File, folder: Path) -> str:
    """Prepare a study of one task whose train table is the file."""
    content = _written(case, folder)
    (folder / f"rows.{case.form}").write_bytes(content)
    (folder / "dev.csv").write_text("text,label\nw20 w21,0\nw22,1\n")
    encoder = folder.parent / "encoder"
    if not encoder.exists():
        write_checkpoint(encoder)
    source = {"type": "file", "path": f"rows.{case.form}", "format": case.form}
    if case.form in ("csv", "tsv"):
        source["quoting"] = case.quoting
    task = {"kind": "binary", "text": ["text"], "label": "label"}
    dev = {"type": "file", "path": "dev.csv", "format": "csv"}
    data = {"train": source | dict(case.source), "dev": dev} | dict(case.data)
    keys = {
        "name": "fuzz",
        "data_dir": str(folder),
        "encoder": {"source": {"type": "directory", "path": str(encoder)}},
        "tasks": {"T": task | {"data": data}},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(keys))
    try:
        facts = prepare(load_study(folder / "study.yaml"), folder / "out", folder / "cache")
    except UserError as error:
        return refused(error)
    facts = facts["tasks"]["T"]
    read = facts["rows_read"]["train"]
    kept = facts["splits"]["train"]["rows"]
    left_out = sum(facts["dropped"]["train"].values())
    there = count_rows(content, case.form, case.quoting)
    if not read == there == kept + left_out:
        raise RowsLost(f"{there} rows in the file, {read} read, {kept} kept, {left_out} left out")
    if not case.changes and not left_out and "encoding" not in dict(case.source):
        frame = pd.read_parquet(folder / "out" / "T.parquet")
        texts = frame.loc[frame["split"] == "train", "text_a"].tolist()
        if len(texts) != len(case.rows):
            raise RowsLost(f"{len(case.rows)} rows were written, {len(texts)} kept")
        for (wanted, _), found in zip(case.rows, texts, strict=True):
            assert _words(wanted) == _words(found), f"{wanted!r} came back as {found!r}"
    return "accepted"


def _words(text: str) -> list[str]:
    """Words between white space and control characters, which may become spaces."""
    return "".join(c if c.isprintable() else " " for c in _plain(text)).split()
