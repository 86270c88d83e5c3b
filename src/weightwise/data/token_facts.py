"""What a token cache says of itself. Imports no torch, no pandas."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet

from weightwise.errors import UserError


def facts(path: Path) -> dict:
    """The facts that `tokenise` wrote, read from the file's footer alone.

    Raises:
        UserError: the file is missing or is no token cache.
    """
    try:
        metadata = pyarrow.parquet.read_metadata(path).metadata or {}
        return json.loads(metadata[b"weightwise"])
    except (OSError, KeyError, ValueError, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: is not a token cache ({error}); prepare the data again") from None
