"""One run from configuration to the store: skip if finished, train, write, mark."""

from __future__ import annotations

import contextlib
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from weightwise import __version__
from weightwise.code import code_version, packages
from weightwise.errors import Diverged
from weightwise.files import write_json
from weightwise.grid import Cell
from weightwise.identity.machine import Arithmetic, slow_bf16
from weightwise.identity.versions import versions
from weightwise.store import write_record
from weightwise.tables import (
    Epochs,
    Gramians,
    Predictions,
    Regularisers,
    Steps,
    StepTimes,
    Timings,
    empty,
    write_table,
)
from weightwise.train.checkpoint import Checkpoints
from weightwise.train.failure import failure, waiting
from weightwise.train.inputs import Prepared
from weightwise.train.loop import RunInputs, Training
from weightwise.train.outcome import RunTables
from weightwise.train.resumable import Progress

# Tables of a run whose rows come while it is trained (RunTables).
TABLES = {
    "epochs": Epochs,
    "steps": Steps,
    "gramians": Gramians,
    "regularisers": Regularisers,
    "step_times": StepTimes,
    "timings": Timings,
}


def hardware(device: torch.device) -> str:
    """Name of the processor or GPU that trained."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def circumstances(
    inputs: Any, model: torch.nn.Module, threads: int, packages: tuple[str, ...]
) -> dict[str, Any]:
    """By what a model was trained: for the record of a run or a stage.

    Args:
        inputs: of the training; their `device` and `bf16` count.
        model: what was trained.
        threads: CPU threads.
        packages: whose versions are in the key, see `code.packages`.
    """
    return {
        **arithmetic_of(inputs).told(),
        "threads": threads,
        "hardware": hardware(inputs.device),
        "parameters": sum(p.numel() for p in model.parameters()),
        "versions": {
            "weightwise": __version__,
            "python": platform.python_version(),
            **versions(packages),
        },
    }


def arithmetic_of(inputs: Any) -> Arithmetic:
    """Device class and precision of a training, by its `device` and `bf16`."""
    return Arithmetic(inputs.device.type, "bf16" if inputs.bf16 else "fp32")


def forget_peak_memory(device: torch.device) -> None:
    """Start a new measurement: runs share a process, and its peak would be the largest of them."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> float:
    """Largest memory in bytes since `forget_peak_memory`: of the GPU, or of this process on a CPU.
    NaN where the system does not tell."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    return float("nan")


def execute(
    prepared: Prepared,
    run: Cell,
    progress: Progress | None = None,
    stop: Callable[[], str | None] = lambda: None,
) -> tuple[str, bool]:
    """Train a run unless the store has it.

    Args:
        prepared: the study's data.
        run: which run.
        progress: told of steps and epochs.
        stop: asked after every step; a text stops the run, which leaves a checkpoint.

    Returns:
        The run's key, and whether it was trained now.

    Raises:
        UserError, Diverged, Stopped, OSError, ...: whatever stopped it, after the note is written.
    """
    layout, fingerprint = prepared.layout, prepared.grid.fingerprint(run)
    key = None
    try:
        key = prepared.key(run)
        trained = False
        with prepared.store.writing(
            key, waiting(progress or Progress(), stop, "this run")
        ) as folder:
            if folder is not None:
                _train_into(folder, prepared, run, key, progress, stop)
                trained = True
        shutil.rmtree(prepared.store.checkpoints(key), ignore_errors=True)
        write_json(layout.done(run, fingerprint), {"id": run.id, "key": key})
        prepared.failed(run).unlink(missing_ok=True)
        shutil.rmtree(layout.failed_tables(run, fingerprint), ignore_errors=True)
        return key, trained
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):
            write_json(prepared.failed(run), failure(run.id, key, error, prepared.log(run)))
        raise


def _train_into(
    folder: Path,
    prepared: Prepared,
    run: Cell,
    key: str,
    progress: Progress | None,
    stop: Callable[[], str | None],
) -> None:
    torch.set_num_threads(prepared.study.threads)
    inputs = prepared.inputs(run)
    forget_peak_memory(inputs.device)
    model = prepared.model(run)
    if progress is not None and (warning := slow_bf16(arithmetic_of(inputs))):
        progress.note(f"warning: {warning}")
    training = Training(model, inputs, progress)
    checkpoints = Checkpoints(
        prepared.store.checkpoints(key), key, prepared.study.checkpoint_minutes
    )
    try:
        tables = training.run(checkpoints, stop)
    except Diverged:
        kept = prepared.layout.failed_tables(run, prepared.grid.fingerprint(run))
        _write_tables(kept, training.tables, inputs.device)
        raise
    _write_tables(folder, tables, inputs.device)
    write_table(tables.predictions(), Predictions, folder / "predictions.parquet")
    write_record(folder, _record(prepared, run, key, inputs, tables, model))


def _write_tables(folder: Path, tables: RunTables, device: torch.device) -> None:
    """Write what there is; a run that diverged may have no epoch yet."""
    for row in tables.timings:
        row["peak_memory_bytes"] = peak_memory(device)
    for name, schema in TABLES.items():
        rows = getattr(tables, name)
        frame = pd.DataFrame(rows) if rows else empty(schema)
        write_table(frame, schema, folder / f"{name}.parquet")


def _record(
    prepared: Prepared,
    run: Cell,
    key: str,
    inputs: RunInputs,
    tables: RunTables,
    model: torch.nn.Module,
) -> dict:
    scores = {
        task: {
            "metric": inputs.tasks[task].score_name,
            "epoch": tables.best_epoch[task],
            # JSON has no NaN: an undefined score is null.
            **{s: None if np.isnan(x.score) else x.score for s, x in splits.items()},
        }
        for task, splits in tables.best.items()
    }
    start, combiners = inputs.training.start, prepared.grid.combiners(run)
    return {
        "status": "done",
        "key": key,
        "id": run.id,
        "definition": prepared.grid.definition(run),
        **(
            {}
            if start is None
            else {"stage": {"name": start, "key": prepared.finished_stage_key(start)}}
        ),
        "data": {task: prepared.facts[task]["checksum"] for task in run.group},
        "epoch_lengths": inputs.epoch_lengths,
        "code": code_version(*combiners),
        "scores": scores,
        **circumstances(inputs, model, prepared.study.threads, packages(*combiners)),
    }
