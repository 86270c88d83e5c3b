"""Which examples make a step."""

from __future__ import annotations

import numpy as np

from weightwise.config.training import ALL_TASKS_A_STEP
from weightwise.seeding import numpy_generator


def epoch_lengths(schedule: str, sizes: dict[str, int], limit: int | None) -> dict[str, int]:
    """Examples of each task in an epoch.

    Args:
        schedule: a `schedule` of the configuration.
        sizes: training rows of EVERY task of the study, not of the run's tasks alone, so that a
            baseline sees as many examples per epoch as any pair (pairing paper, section 4.2).
        limit: largest length; None: no limit.
    """
    shared = {"min_size": min, "round_robin": min, "max_size": max}.get(schedule)
    lengths = {t: shared(sizes.values()) if shared else size for t, size in sizes.items()}
    return {t: min(length, limit) if limit else length for t, length in lengths.items()}


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


def batches_of_epoch(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Cut an epoch's positions into batches; the last one may be smaller."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def steps_of_epoch(
    schedule: str, lengths: dict[str, int], batch_size: int, surgery: bool = False
) -> int:
    """Steps of an epoch of a run.

    Args:
        schedule: a `schedule` of the configuration.
        lengths: examples of each of the RUN's tasks in an epoch.
        batch_size: examples of a batch.
        surgery: the epoch ends with a step of all tasks, where there are several.
    """
    batches = [-(-length // batch_size) for length in lengths.values()]
    if schedule in ALL_TASKS_A_STEP:
        return max(batches)
    return sum(batches) + (surgery and len(batches) > 1)


def plan_of_epoch(
    schedule: str,
    batches: dict[str, list[np.ndarray]],
    epoch: int,
    weakest: str | None = None,
    surgery: bool = False,
) -> list[dict[str, np.ndarray]]:
    """The steps of an epoch: what each of them takes of which tasks.

    Args:
        schedule: a `schedule` of the configuration.
        batches: the epoch's batches of every task, in the order of the tasks.
        epoch: from 1.
        weakest: for `weakest_last`, the task that comes last; None: the tasks' own order.
        surgery: end with a step on the last batch of every task (bertram, section 3.3).
    """
    tasks = list(batches)
    if schedule in ALL_TASKS_A_STEP:
        rows = zip(*batches.values(), strict=True)
        return [dict(zip(tasks, row, strict=True)) for row in rows]
    if schedule == "round_robin":
        rows = zip(*batches.values(), strict=True)
        steps = [{task: index} for row in rows for task, index in zip(tasks, row, strict=True)]
    else:
        if schedule == "rotating":
            turn = (epoch - 1) % len(tasks)
            tasks = tasks[turn:] + tasks[:turn]
        elif schedule == "weakest_last" and weakest is not None:
            tasks = [task for task in tasks if task != weakest] + [weakest]
        steps = [{task: index} for task in tasks for index in batches[task]]
    if surgery and len(tasks) > 1:
        steps.append({task: own[-1] for task, own in batches.items()})
    return steps


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
