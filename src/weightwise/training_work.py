"""What training costs in products of matrices: a rough count that needs no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from weightwise.config import TrainingConfig
from weightwise.errors import UserError

# fp32 products of one core, FLOP/s. Only for a first guess; finished runs replace it.
GUESSED_FLOPS = 6e10
# Of a step under SMART, as benchmarks/smart.py measures it in fp32.
SMART_WORK = 3.0


def work_of_batch(training: TrainingConfig, task: str) -> float:
    """Products of a batch of a task beside those of one that trains the encoder plainly: a forward
    and a backward, which is twice a forward."""
    kept, smart = training.trunk_tasks, training.smart
    if training.freeze_trunk or (kept is not None and task not in kept):
        return 1 / 3
    if smart is not None and (smart.tasks is None or task in smart.tasks):
        return SMART_WORK
    return 1.0


def layer_parameters(config: Path | bytes) -> tuple[int, int]:
    """Parameters of one transformer layer, and the number of layers, as a `config.json` says.

    Raises:
        UserError: it cannot be read.
    """
    try:
        text = config.read_text("utf-8") if isinstance(config, Path) else config.decode("utf-8")
        sizes = json.loads(text)
        hidden, between = int(sizes["hidden_size"]), int(sizes["intermediate_size"])
        return 4 * hidden * hidden + 2 * hidden * between, int(sizes["num_hidden_layers"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{config}: cannot be read ({error})") from None


def layers_kept(layers: int | Sequence[int] | None, available: int) -> int:
    """How many layers are kept (see `encoder.layers`); embeddings cost next to no products."""
    return available if layers is None else layers if isinstance(layers, int) else len(layers)
