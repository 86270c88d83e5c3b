"""Where a run computes, and in which arithmetic."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from weightwise.errors import UserError
from weightwise.identity.machine import here

# Held until the process ends.
_TAKEN: dict[int, FileLock] = {}


def choose_device(wanted: str, locks: Path | None = None) -> torch.device:
    """The device of a run.

    Of several GPUs that the process may use, it takes one that no other training on this machine
    has: `snakemake --resources gpu=K` runs K trainings at once but gives none of them a card. Under
    Slurm a job sees its own cards only. Where all are taken, the one with the most free memory is
    shared.

    Args:
        wanted: `auto`, `cpu` or `cuda`.
        locks: folder of the files that say which cards are taken; None: one per user and machine.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("training.device: cuda asked for, but PyTorch sees no GPU; use auto or cpu")
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", _take_card(locks))


def _take_card(locks: Path | None) -> int:
    count = torch.cuda.device_count()
    if count == 1:
        return 0
    if _TAKEN:  # the runs of a process share its card
        return next(iter(_TAKEN))
    folder = locks or Path(tempfile.gettempdir()) / f"weightwise-gpus-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        # By the card's own name: two processes may count their visible cards differently.
        name = str(torch.cuda.get_device_properties(index).uuid)
        lock = FileLock(folder / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _TAKEN[index] = lock
        return index
    return os.getpid() % count


def choose_bf16(precision: str, device: torch.device) -> bool:
    """Whether products are computed in bfloat16: `auto` asks whether the hardware does so
    natively, since emulated it is slower than fp32."""
    return here(precision, device.type).precision == "bf16"
