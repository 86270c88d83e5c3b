"""Token ids of prepared texts, computed once and cached beside them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from weightwise.data.token_facts import facts as facts
from weightwise.data.tokenizer import SpecialTokens as SpecialTokens
from weightwise.data.tokenizer import encode, read_tokenizer
from weightwise.data.tokenizer import load_tokenizer as load_tokenizer
from weightwise.errors import UserError
from weightwise.files import replacing
from weightwise.tables import SPLITS, Examples, read_table

# A tokenizer that does not belong to its vocabulary turns nearly everything into [UNK] and
# nothing complains; real English text has next to none.
LARGEST_UNKNOWN_SHARE = 0.2


class TextWithoutTokens(UserError):
    """The tokenizer leaves nothing of a text.

    Attributes:
        split: the split that it is in.
        row: its row number in the source.
        side: 0 for the first text of the row, 1 for the second.
    """

    def __init__(self, split: str, row: int, side: int):
        super().__init__(f"the text of source row {row} of {split} has no tokens")
        self.split, self.row, self.side = split, row, side


@dataclass(frozen=True)
class TokenisedSplit:
    """Rows of one split: ragged token ids without [CLS] and [SEP].

    Text i of side a is `a[a_offsets[i]:a_offsets[i + 1]]`; side b is None for single texts.
    `labels` [n] float64 (NaN where there is none), `rows` [n] row numbers in the source.
    """

    a: np.ndarray
    a_offsets: np.ndarray
    b: np.ndarray | None
    b_offsets: np.ndarray | None
    labels: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: np.ndarray) -> TokenisedSplit:
        """The rows at these positions [n], in their order."""
        a, a_offsets = _take(self.a, self.a_offsets, positions)
        b, b_offsets = None, None
        if self.b is not None:
            b, b_offsets = _take(self.b, self.b_offsets, positions)
        return TokenisedSplit(
            a, a_offsets, b, b_offsets, self.labels[positions], self.rows[positions]
        )


def _take(ids: np.ndarray, offsets: np.ndarray, positions: np.ndarray) -> tuple:
    """Ragged ids and offsets of the rows at these positions."""
    parts = [ids[offsets[i] : offsets[i + 1]] for i in positions]
    lengths = [len(part) for part in parts]
    return np.concatenate(parts), np.concatenate(([0], np.cumsum(lengths))).astype(offsets.dtype)


def tokenise(examples: Path, encoder: Path, out: Path) -> dict:
    """Tokenise the prepared rows of a task into `out` (Parquet).

    Args:
        examples: prepared rows (schema `Examples`).
        encoder: checkpoint folder with the tokenizer.
        out: file to write; its metadata hold the row counts and the checksum of the content.

    Returns:
        Facts: rows per split, checksum, share of unknown tokens, longest text in tokens.

    Raises:
        TextWithoutTokens: one of them has no tokens.
        UserError: the tokenizer does not fit these texts.
    """
    frame = read_table(examples, Examples)
    tokenizer, special, unknown, _ = read_tokenizer(encoder)
    columns: dict[str, list] = {}
    total = unknowns = 0
    longest = 0
    for side in ("a", "b"):
        texts = frame[f"text_{side}"]
        if texts.isna().all():
            columns[side] = [None] * len(frame)
            continue
        columns[side] = encode(tokenizer, texts.tolist(), str(encoder))
        lengths = [len(ids) for ids in columns[side]]
        if min(lengths) == 0:
            first = frame.iloc[lengths.index(0)]
            raise TextWithoutTokens(first["split"], int(first["row"]), "ab".index(side))
        total += sum(lengths)
        longest = max(longest, *lengths)
        unknowns += sum(ids.count(unknown) for ids in columns[side])
    if unknowns > LARGEST_UNKNOWN_SHARE * total:
        raise UserError(
            f"{encoder}: {unknowns} of {total} tokens of {examples.stem} are unknown to the "
            "tokenizer; it does not belong to this vocabulary or this language"
        )
    counts = {s: int((frame["split"] == s).sum()) for s in SPLITS}
    ids = pyarrow.list_(pyarrow.int32())
    table = pyarrow.table(
        {
            "split": pyarrow.array(frame["split"].tolist()),
            "row": pyarrow.array(frame["row"], pyarrow.int64()),
            "label": pyarrow.array(frame["label"], pyarrow.float64(), from_pandas=True),
            "a": pyarrow.array(columns["a"], ids),
            "b": pyarrow.array(columns["b"], ids),
        }
    )
    found = {
        "rows": counts,
        "special": [special.first, special.separator],
        "unknown_share": unknowns / total,
        "longest": longest,
        "checksum": _checksum(table),
    }
    metadata = {b"weightwise": json.dumps(found, sort_keys=True).encode()}
    with replacing(out) as temporary:
        pyarrow.parquet.write_table(
            table.replace_schema_metadata(metadata), temporary, compression="zstd"
        )
    return found


def _checksum(table: pyarrow.Table) -> str:
    """SHA-256 of the columns' values, the same whatever library version wrote the file."""
    state = hashlib.sha256()
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if pyarrow.types.is_list(column.type):
            state.update(np.asarray(column.value_lengths().fill_null(-1), dtype="<i8").tobytes())
            column = column.flatten()
        if pyarrow.types.is_string(column.type):
            state.update("\n".join(column.to_pylist()).encode())
        elif pyarrow.types.is_floating(column.type):
            values = column.to_numpy(zero_copy_only=False)
            state.update(np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes())
        else:
            state.update(column.to_numpy(zero_copy_only=False).astype("<i8").tobytes())
    return state.hexdigest()


def load_splits(path: Path) -> dict[str, TokenisedSplit]:
    """All splits of a token cache that have rows."""
    table = pyarrow.parquet.ParquetFile(path).read()
    split = np.asarray(table.column("split").to_pylist())
    loaded = {}
    for name in SPLITS:
        part = table.filter(pyarrow.array(split == name))
        if len(part) == 0:
            continue
        a, a_offsets = _ragged(part.column("a"))
        b, b_offsets = _ragged(part.column("b"))
        loaded[name] = TokenisedSplit(
            a=a,
            a_offsets=a_offsets,
            b=b,
            b_offsets=b_offsets,
            labels=part.column("label").to_numpy(),
            rows=part.column("row").to_numpy(),
        )
    return loaded


def _ragged(
    column: pyarrow.ChunkedArray,
) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    array = column.combine_chunks()
    if array.null_count == len(array):
        return None, None
    lengths = array.value_lengths().to_numpy()
    values = array.flatten().to_numpy().astype(np.int32)
    return values, np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
