"""One run from configuration to the store: skip if finished, train, write, mark."""

from __future__ import annotations

import contextlib
import platform
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from weightwise import __version__
from weightwise.code import code_version
from weightwise.errors import UserError
from weightwise.files import write_json
from weightwise.grid import Cell
from weightwise.store import write_record
from weightwise.tables import (
    Epochs,
    Gramians,
    Predictions,
    Steps,
    StepTimes,
    Timings,
    empty,
    write_table,
)
from weightwise.train.engine import Diverged
from weightwise.train.inputs import Prepared
from weightwise.train.loop import Progress, RunInputs, RunTables, train


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


def execute(prepared: Prepared, run: Cell, progress: Progress | None = None) -> tuple[str, bool]:
    """Train a run unless the store has it.

    Args:
        prepared: the study's data.
        run: which run.
        progress: told of steps and epochs.

    Returns:
        The run's key, and whether it was trained now.

    Raises:
        UserError, Diverged, OSError, ...: whatever stopped it, after the note is written.
    """
    layout = prepared.layout
    key = None
    try:
        key = prepared.key(run)
        trained = False
        with prepared.store.writing(key) as folder:
            if folder is not None:
                _train_into(folder, prepared, run, key, progress)
                trained = True
        marker = layout.done(run, prepared.grid.fingerprint(run))
        write_json(marker, {"id": run.id, "key": key})
        prepared.failed(run).unlink(missing_ok=True)
        return key, trained
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):
            write_json(prepared.failed(run), failure(run, key, error, prepared.log(run)))
        raise


def failure(run: Cell, key: str | None, error: BaseException, log: Path) -> dict:
    """The note that a failed run leaves for the report."""
    known = isinstance(error, UserError | Diverged)
    text = str(error) if known else f"{type(error).__name__}: {error}"
    return {"id": run.id, "key": key, "error": text[:2000], "log": str(log)}


def _train_into(
    folder: Path, prepared: Prepared, run: Cell, key: str, progress: Progress | None
) -> None:
    torch.set_num_threads(prepared.study.threads)
    inputs = prepared.inputs(run)
    forget_peak_memory(inputs.device)
    model = prepared.model(run)
    tables = train(model, inputs, progress)
    for row in tables.timings:
        row["peak_memory_bytes"] = peak_memory(inputs.device)
    write_table(pd.DataFrame(tables.epochs), Epochs, folder / "epochs.parquet")
    write_table(pd.DataFrame(tables.steps), Steps, folder / "steps.parquet")
    gramians = pd.DataFrame(tables.gramians) if tables.gramians else empty(Gramians)
    write_table(gramians, Gramians, folder / "gramians.parquet")
    write_table(pd.DataFrame(tables.step_times), StepTimes, folder / "step_times.parquet")
    write_table(pd.DataFrame(tables.timings), Timings, folder / "timings.parquet")
    write_table(tables.predictions(), Predictions, folder / "predictions.parquet")
    write_record(folder, _record(prepared, run, key, inputs, tables, model))


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
    return {
        "status": "done",
        "key": key,
        "id": run.id,
        "definition": prepared.grid.definition(run),
        "data": {task: prepared.facts[task]["checksum"] for task in run.group},
        "epoch_length": inputs.epoch_length,
        "code": code_version(run.arm.combiner),
        "scores": scores,
        "precision": "bf16" if inputs.bf16 else "fp32",
        "threads": prepared.study.threads,
        "hardware": hardware(inputs.device),
        "parameters": sum(p.numel() for p in model.parameters()),
        "versions": {
            "weightwise": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }


def explain(error: BaseException, say: Callable[[str], None]) -> None:
    """Tell the log what happened: a known error in a line, anything else with its traceback."""
    if isinstance(error, UserError | Diverged):
        say(f"error: {error}")
    else:
        say("".join(traceback.format_exception(error)))
