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
_BATCH = 4096
_BATCH_BYTES = 1 << 27
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
        self._stated = max_unpacked is not None
        try:
            size = len(data) if isinstance(data, bytes) else data.stat().st_size
            file = pyarrow.parquet.ParquetFile(self._file())
            self._schema = file.schema_arrow
            self.columns: Sequence[str] = tuple(self._schema.names)
            self.rows: int = file.metadata.num_rows
        except _DAMAGED as error:
            raise UserError(f"{name}: is not a Parquet table ({_line(error)})") from None
        self._most = most_bytes(size, max_unpacked)
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
        text = _text(inner)
        values: list[Any] = []
        used = 0
        try:
            file = pyarrow.parquet.ParquetFile(
                self._file(), read_dictionary=[column] if text else None
            )
            batches = file.iter_batches(self._batch(file, column, text), columns=[column])
            for batch in batches:
                array = batch.column(0)
                used += _bytes(array)
                if used > self._most:
                    raise UserError(
                        f"{where}: its values take more than {self._most:,} bytes in a file of "
                        f"{self._size():,}; if that is right, set `max_unpacked` to more"
                    )
                values += self._values(array, text, where, len(values))
        except _DAMAGED as error:
            raise UserError(f"{where}: cannot be read ({_line(error)})") from None
        if len(values) != self.rows:
            raise UserError(
                f"{where}: holds {len(values):,} values where the file says {self.rows:,} rows; "
                "the file is damaged"
            )
        return values

    def _size(self) -> int:
        return len(self._data) if isinstance(self._data, bytes) else self._data.stat().st_size

    def _batch(self, file: pyarrow.parquet.ParquetFile, column: str, text: bool) -> int:
        """Rows to decode at a time: few where one value may take much.

        What metadata say of sizes bounds a value only where values are stored whole: a dictionary
        is decoded once, but prefixes (DELTA_BYTE_ARRAY) may make every value as large as the
        whole chunk.
        """
        largest = 0
        metadata = file.metadata
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            for at in range(row_group.num_columns):
                chunk = row_group.column(at)
                if chunk.path_in_schema != column:
                    continue
                if chunk.total_uncompressed_size > self._most:
                    raise UserError(
                        f"{self._name}, column '{column}': unpacks to "
                        f"{chunk.total_uncompressed_size:,} bytes; if that is right, set "
                        "`max_unpacked` to more"
                    )
                if text and "DELTA_BYTE_ARRAY" in chunk.encodings:
                    largest = max(largest, chunk.total_uncompressed_size)
        return max(1, min(_BATCH, _BATCH_BYTES // largest)) if largest else _BATCH

    @staticmethod
    def _values(array: Any, text: bool, where: str, before: int) -> list[Any]:
        if not isinstance(array, pyarrow.DictionaryArray):
            return _decoded(array, text, where, before)
        # Equal texts are one Python object: what a dictionary saves in the file, it saves here.
        known = _decoded(array.dictionary, text, where, None, array.indices.to_pylist(), before)
        return [None if at is None else known[at] for at in array.indices.to_pylist()]


def _decoded(
    array: Any,
    text: bool,
    where: str,
    before: int | None,
    indices: list[int | None] | None = None,
    offset: int = 0,
) -> list[Any]:
    """Values of an array; text that is not UTF-8 is refused at its record."""
    try:
        return array.to_pylist()
    except UnicodeDecodeError:
        raw = array.cast(pyarrow.large_binary()).to_pylist() if text else []
    for at, value in enumerate(raw):
        try:
            if value is not None:
                value.decode()
        except UnicodeDecodeError:
            if before is None:
                if at not in indices:  # stands in the dictionary and in no row
                    raw[at] = b""
                    continue
                record = offset + indices.index(at) + 1
            else:
                record = before + at + 1
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
