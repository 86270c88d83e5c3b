"""Which examples make a step (SPEC section 3)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weightwise.seeding import numpy_generator


def epoch_length(schedule: str, sizes: dict[str, int], limit: int | None) -> int:
    """Examples of each task in an epoch.

    Args:
        schedule: `min_size` or `max_size`.
        sizes: training rows of EVERY task of the study, not of the run's tasks alone, so that a
            baseline sees as many examples per epoch as any pair (pairing paper, section 4.2).
        limit: largest length; None: no limit.
    """
    length = min(sizes.values()) if schedule == "min_size" else max(sizes.values())
    return min(length, limit) if limit else length


def examples_of_epoch(
    task: str, size: int, length: int, epoch: int, study_seed: int, seed: int
) -> np.ndarray:
    """The `length` positions [0, size) that a task trains on in an epoch, in order.

    A fresh permutation every epoch: a larger set is sampled afresh, a smaller one cycles through
    as many permutations as it needs. Does not depend on the other tasks of the run.
    """
    generator = numpy_generator(study_seed, seed, f"order:{task}:{epoch}")
    rounds = -(-length // size)
    return np.concatenate([generator.permutation(size) for _ in range(rounds)])[:length]


def steps_of_epoch(length: int, batch_size: int) -> int:
    """Steps of an epoch; the last batch may be smaller."""
    return -(-length // batch_size)


def batches_of_epoch(order: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Cut an epoch's positions into batches."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def micro_batches(index: np.ndarray, parts: int) -> list[np.ndarray]:
    """Cut a batch's positions [n] into `parts` runs of nearly equal length; fewer where n is
    smaller than `parts`, since none is empty."""
    return [part for part in np.array_split(index, parts) if len(part)]


def rate_factor(step: int, steps: int, schedule: str, warmup: float) -> float:
    """Factor of the learning rate at `step` (from 0) of `steps`.

    Rises linearly from 1/w over the first w = warmup * steps steps, then stays (`constant`) or
    falls linearly to zero at the end (`linear`).
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if schedule == "constant":
        return 1.0
    return max(0.0, (steps - step) / max(1, steps - rising))
