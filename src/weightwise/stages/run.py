"""One stage from configuration to the store: skip if finished, train, write, mark."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from weightwise.code import stage_packages
from weightwise.data import tokens
from weightwise.files import write_json
from weightwise.identity.machine import slow_bf16
from weightwise.model.checkpoint import load_encoder
from weightwise.runs import StudyRuns
from weightwise.stages.definition import stage_definition
from weightwise.stages.inputs import StageInputs
from weightwise.stages.loop import StageTables, StageTraining
from weightwise.stages.prepared import stage_inputs
from weightwise.stages.save import save_encoder
from weightwise.stages.similarity import zero_shot
from weightwise.store import write_record
from weightwise.tables import StageEpochs, StageSteps, Timings, write_table
from weightwise.train.checkpoint import Checkpoints
from weightwise.train.failure import failure, waiting
from weightwise.train.resumable import Progress
from weightwise.train.run import arithmetic_of, circumstances, forget_peak_memory, peak_memory


def execute(
    runs: StudyRuns,
    name: str,
    progress: Progress | None = None,
    stop: Callable[[], str | None] = lambda: None,
) -> tuple[dict[str, Any], bool]:
    """Train a stage unless the store has it, and mark it.

    Args:
        runs: the prepared study.
        name: which stage.
        progress: told of steps and epochs.
        stop: asked after every step; a text stops the stage, which leaves a checkpoint.

    Returns:
        `stage.json` with what the marker says, and whether it was trained now.

    Raises:
        UserError, Diverged, Stopped, OSError, ...: whatever stopped it, after the note is written.
    """
    told = progress or Progress()
    mark = runs.grid.stage_fingerprint(name)
    note = runs.layout.stage_file("failed", name, mark)

    try:
        key, trained = runs.stage_key(name), False
        torch.set_num_threads(runs.study.threads)
        inputs = stage_inputs(runs, name)
        with runs.stage_store.writing(key, waiting(told, stop, "this stage")) as folder:
            if folder is not None:
                _train_into(folder, runs, key, inputs, told, stop)
                trained = True
        shutil.rmtree(runs.stage_store.checkpoints(key), ignore_errors=True)
        similarity = _similarity(runs, key, inputs)
        marker = {"stage": name, "key": key, "similarity": similarity}
        write_json(runs.layout.stage_done(name, mark), marker)
        note.unlink(missing_ok=True)
        return runs.stage_record(name), trained
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):
            write_json(
                note, failure(f"stage {name}", None, error, runs.layout.stage_log(name, mark))
            )
        raise


def _train_into(
    folder: Path,
    runs: StudyRuns,
    key: str,
    inputs: StageInputs,
    progress: Progress,
    stop: Callable[[], str | None],
) -> None:
    forget_peak_memory(inputs.device)
    if warning := slow_bf16(arithmetic_of(inputs)):
        progress.note(f"warning: {warning}")
    training = StageTraining(inputs, progress)
    checkpoints = Checkpoints(runs.stage_store.checkpoints(key), key, runs.study.checkpoint_minutes)
    tables = training.run(checkpoints, stop)
    for row in tables.timings:
        row["peak_memory_bytes"] = peak_memory(inputs.device)
    write_table(pd.DataFrame(tables.epochs), StageEpochs, folder / "stage_epochs.parquet")
    write_table(pd.DataFrame(tables.steps), StageSteps, folder / "stage_steps.parquet")
    write_table(pd.DataFrame(tables.timings), Timings, folder / "timings.parquet")
    save_encoder(training.model.encoder, inputs, folder / "encoder")
    write_record(folder, _record(runs, key, inputs, training, tables), "stage.json")


def _record(
    runs: StudyRuns, key: str, inputs: StageInputs, training: StageTraining, tables: StageTables
) -> dict[str, Any]:
    name, stage = inputs.name, inputs.stage
    return {
        "status": "done",
        "key": key,
        "stage": name,
        "kind": stage.kind,
        "after": None if stage.after is None else runs.finished_stage_key(stage.after),
        "definition": stage_definition(runs.study, name),
        "data": tokens.facts(runs.layout.stage_tokens(name))["checksum"],
        "before": tables.measured(0),
        "afterwards": tables.measured(stage.epochs),
        "steps": training.total,
        **training.objective.facts,
        **circumstances(inputs, training.model, runs.study.threads, stage_packages(stage.kind)),
    }


def _similarity(runs: StudyRuns, key: str, inputs: StageInputs) -> dict[str, dict[str, dict]]:
    """{task: {representation: {"before": r, "afterwards": r}}}, null where r is undefined.

    It is the study's affair and so in its marker, not in the store: another study that shares the
    stage has other tasks. In fp32 always, so that an encoder has one r in every stage of a chain.
    """
    own = getattr(inputs.stage, "representation", "mean")
    hows = tuple(dict.fromkeys((own, "mean")))
    places = {
        "before": (inputs.folder, inputs.layers),
        "afterwards": (runs.stage_store.folder(key) / "encoder", None),
    }
    found: dict[str, dict[str, dict]] = {}
    for when, (folder, layers) in places.items():
        encoder = load_encoder(folder, layers).to(inputs.device)
        values = zero_shot(encoder, inputs.special, runs.study, runs.layout, hows)
        for task, by_representation in values.items():
            for how, r in by_representation.items():
                place = found.setdefault(task, {}).setdefault(how, {})
                place[when] = None if math.isnan(r) else r
    return found
