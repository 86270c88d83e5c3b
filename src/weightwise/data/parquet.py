"""Columns of a Parquet file, read one by one as they are asked for, within stated bounds.

A column that nobody names may hold anything: it is never decoded.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet
import pyarrow.types as kinds

from weightwise.data.compressed import most_bytes
from weightwise.errors import UserError

MAX_ROWS = 1 << 26
"""Most rows of a file: 67 million."""
_BATCH = 1 << 14
_SAFE = 1 << 28
_POINTER = 8
# What damaged or hostile bytes raise in pyarrow, apart from its own exceptions.
_DAMAGED = (
    pyarrow.ArrowException,
    OSError,
    ValueError,
    OverflowError,
    MemoryError,
    KeyError,
    IndexError,
)


class ParquetColumns:
    """A Parquet file whose columns are read on request.

    Args:
        data: the file, or its bytes.
        name: of the file, for messages.
        max_unpacked: most bytes that the values of one column may take; None: as for compressed
            files.

    Attributes:
        columns: names of the columns.
        rows: number of rows.

    Raises:
        UserError: it is no Parquet file, repeats a column or has too many rows.
    """

    def __init__(self, data: bytes | Path, name: str, max_unpacked: int | None = None):
        self._data, self._name = data, name
        try:
            size = len(data) if isinstance(data, bytes) else data.stat().st_size
            file = pyarrow.parquet.ParquetFile(self._file())
            self._schema = file.schema_arrow
            self.columns: Sequence[str] = tuple(self._schema.names)
            self.rows: int = file.metadata.num_rows
            groups = range(file.metadata.num_row_groups)
            stored = [file.metadata.row_group(at).total_byte_size for at in groups]
            self._largest = max(stored, default=0)
        except _DAMAGED as error:
            raise UserError(f"{name}: is not a Parquet table ({_line(error)})") from None
        self._size, self._most = size, most_bytes(size, max_unpacked)
        repeated = sorted({c for c in self.columns if self.columns.count(c) > 1})
        if repeated:
            raise UserError(f"{name}: names column '{repeated[0]}' twice; rename one")
        if not 0 <= self.rows <= MAX_ROWS or self.rows * _POINTER > max(self._most, 1 << 28):
            raise UserError(
                f"{name}: says that it holds {self.rows:,} rows, which its {size:,} bytes hardly "
                "do; if they are there, write it as several files, or raise `max_unpacked`"
            )

    def _file(self) -> Any:
        return io.BytesIO(self._data) if isinstance(self._data, bytes) else self._data

    def read(self, column: str) -> list[Any]:
        """Values of a column as Python objects, None for null.

        Raises:
            UserError: values that are no text, number, truth value or date; text that is not
                UTF-8 (file, column and record are named); more than `max_unpacked`; damaged.
        """
        where = f"{self._name}, column '{column}'"
        kind = self._schema.field(column).type
        inner = kind.value_type if kinds.is_dictionary(kind) else kind
        if not _plain(inner):
            raise UserError(
                f"{where}: holds {_kind_words(inner)} ({str(inner)[:80]}), where a text, number, "
                "truth value or date was expected; name another column, or write it as text"
            )
        try:
            values = self._values(column, where, _text(inner))
        except _DAMAGED as error:
            raise UserError(f"{where}: cannot be read ({_line(error)})") from None
        if len(values) != self.rows:
            raise UserError(
                f"{where}: holds {len(values):,} values where the file says {self.rows:,} rows; "
                "the file is damaged"
            )
        return values

    def _values(self, column: str, where: str, text: bool) -> list[Any]:
        if text:
            try:
                # A dictionary stays one, so that its texts are decoded once.
                return self._read(column, where, True, _BATCH)
            except _DAMAGED as error:
                if "Not yet implemented" not in str(error):
                    raise
        # Texts stored by the prefix they share with the one before: each may be as long as all
        # that is stored.
        batch = max(1, min(_BATCH, _SAFE // max(1, self._largest))) if text else _BATCH
        return self._read(column, where, False, batch)

    def _read(self, column: str, where: str, dictionary: bool, batch: int) -> list[Any]:
        # Metadata of a column (`row_group(0).column(0)`) are not asked for: damaged ones end the
        # process (pyarrow 26), whereas reading raises.
        file = pyarrow.parquet.ParquetFile(
            self._file(), read_dictionary=[column] if dictionary else None
        )
        values: list[Any] = []
        used = 0
        for part in file.iter_batches(batch, columns=[column]):
            array = part.column(0)
            used += _bytes(array)
            if used > self._most:
                raise UserError(
                    f"{where}: its values take more than {self._most:,} bytes in a file of "
                    f"{self._size:,}; if that is right, set `max_unpacked` to more"
                )
            values += _values(array, where, len(values))
        return values


def _values(array: Any, where: str, before: int) -> list[Any]:
    """Python objects of one batch, `before` rows having been read."""
    if not isinstance(array, pyarrow.DictionaryArray):
        return _decoded(array, where, before)
    # Equal texts are one Python object: what a dictionary saves in the file, it saves here. Of the
    # dictionary only what this batch uses: every batch comes with the whole of it.
    indices = array.indices.to_pylist()
    used = array.indices.unique().drop_null()
    found = _decoded(array.dictionary.take(used), where, before, indices, used.to_pylist())
    known = dict(zip(used.to_pylist(), found, strict=True))
    return [None if at is None else known[at] for at in indices]


def _decoded(
    array: Any,
    where: str,
    before: int,
    indices: list[int | None] | None = None,
    used: list[int] | None = None,
) -> list[Any]:
    """Values of an array; text that is not UTF-8 is refused at its record.

    Args:
        array: of a batch, or the part of its dictionary that it uses.
        where: file and column.
        before: rows read before this batch.
        indices: which value of the dictionary each row has.
        used: which values of the dictionary `array` holds.
    """
    try:
        return array.to_pylist()
    except UnicodeDecodeError:
        raw = array.cast(pyarrow.large_binary()).to_pylist()
    for at, value in enumerate(raw):
        try:
            if value is not None:
                value.decode()
        except UnicodeDecodeError:
            record = before + (at if indices is None else indices.index(used[at])) + 1
            raise UserError(
                f"{where}, record {record}: is not UTF-8 text, as Parquet requires; write the file "
                "anew from its source with the right encoding"
            ) from None
    return [None if value is None else value.decode() for value in raw]


def _bytes(array: Any) -> int:
    """Bytes that the values would take if each were stored by itself."""
    if not isinstance(array, pyarrow.DictionaryArray):
        return array.nbytes
    lengths = pyarrow.compute.binary_length(array.dictionary)
    per_row = lengths.take(array.indices)
    return (pyarrow.compute.sum(per_row).as_py() or 0) + _POINTER * len(array)


def _text(kind: pyarrow.DataType) -> bool:
    return kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)


def _plain(kind: pyarrow.DataType) -> bool:
    return (
        _text(kind)
        or kinds.is_boolean(kind)
        or kinds.is_integer(kind)
        or kinds.is_floating(kind)
        or kinds.is_decimal(kind)
        or kinds.is_date(kind)
        or kinds.is_timestamp(kind)
        or kinds.is_time(kind)
        or kinds.is_null(kind)
    )


def _kind_words(kind: pyarrow.DataType) -> str:
    if kinds.is_nested(kind):
        return "lists or structures"
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        return "bytes"
    return "values"


def _line(error: Exception) -> str:
    """The first line of what a library says, shortened."""
    lines = str(error).strip().splitlines()
    return (lines[0][:200] if lines else type(error).__name__).strip()
