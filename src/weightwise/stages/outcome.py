"""What came of a stage, in words. Imports no torch."""

from __future__ import annotations

from typing import Any

NAMES = {
    "train_loss": "loss",
    "held_out_loss": "held-out loss",
    "held_out_accuracy": "held-out accuracy",
    "alignment": "alignment",
    "uniformity": "uniformity",
}
"""The measures of a stage as they are told."""


def measures(record: dict[str, Any]) -> list[tuple[str, float | None, float | None]]:
    """(name, before, after) of everything that was measured; None where it is undefined."""
    found = [
        (NAMES[name], value, record["afterwards"][name]) for name, value in record["before"].items()
    ]
    for task, by_representation in record["similarity"].items():
        for how, r in by_representation.items():
            found.append((f"{task} zero-shot r ({how})", r["before"], r["afterwards"]))
    return found


def told(record: dict[str, Any]) -> str:
    """`held-out loss 3.2100 -> 2.9000; SIM zero-shot r (mean) 0.4100 -> 0.4500`."""
    return "; ".join(f"{name} {_shown(a)} -> {_shown(b)}" for name, a, b in measures(record))


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
