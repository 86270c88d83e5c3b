"""Sizes of an encoder from its `config.json` alone. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from weightwise.errors import UserError


def encoder_parameters(folder: Path, layers: int | Sequence[int] | None) -> int:
    """Parameters of the transformer layers that are kept; embeddings cost next to no products.

    Raises:
        UserError: `config.json` cannot be read.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        hidden, between = config["hidden_size"], config["intermediate_size"]
        available = config["num_hidden_layers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / 'config.json'}: cannot be read ({error})") from None
    kept = available if layers is None else layers if isinstance(layers, int) else len(layers)
    return kept * (4 * hidden * hidden + 2 * hidden * between)
