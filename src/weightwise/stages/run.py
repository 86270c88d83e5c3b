"""One stage from configuration to the store: skip if finished, train, write, mark."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from weightwise.data import tokens
from weightwise.data.tokenizer import SpecialTokens, read_tokenizer
from weightwise.files import write_json
from weightwise.model.architecture import BertConfig
from weightwise.model.checkpoint import load_encoder
from weightwise.runs import StudyRuns
from weightwise.stages.definition import longest, stage_definition
from weightwise.stages.inputs import StageInputs
from weightwise.stages.loop import StageTables, StageTraining
from weightwise.stages.save import save_encoder
from weightwise.stages.similarity import zero_shot
from weightwise.tables import StageEpochs, StageSteps, Timings, write_table
from weightwise.train.checkpoint import Checkpoints
from weightwise.train.device import choose_bf16, choose_device
from weightwise.train.failure import failure, waiting
from weightwise.train.resumable import Progress
from weightwise.train.run import circumstances, forget_peak_memory, peak_memory


def stage_inputs(runs: StudyRuns, name: str) -> StageInputs:
    """Everything that the training of a stage needs.

    Raises:
        UserError: its texts are not prepared, or the stage before it is not finished.
    """
    study, stage = runs.study, runs.study.stages[name]
    path = runs.layout.stage_tokens(name)
    splits = tokens.load_splits(path)
    folder, layers = runs.encoder_after(stage.after)
    device = choose_device(study.training.device)
    embeddings = BertConfig.read(folder / "config.json").vocab_size
    return StageInputs(
        name=name,
        stage=stage,
        study_seed=study.study_seed,
        train=splits["train"],
        held_out=splits["dev"],
        special=SpecialTokens(*tokens.facts(path)["special"]),
        mask=read_tokenizer(folder, embeddings=embeddings).mask,
        max_length=longest(study, stage),
        folder=folder,
        layers=layers,
        device=device,
        bf16=choose_bf16(stage.precision, device),
    )


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
    training = StageTraining(inputs, progress)
    checkpoints = Checkpoints(runs.stage_store.checkpoints(key), key, runs.study.checkpoint_minutes)
    tables = training.run(checkpoints, stop)
    for row in tables.timings:
        row["peak_memory_bytes"] = peak_memory(inputs.device)
    write_table(pd.DataFrame(tables.epochs), StageEpochs, folder / "stage_epochs.parquet")
    write_table(pd.DataFrame(tables.steps), StageSteps, folder / "stage_steps.parquet")
    write_table(pd.DataFrame(tables.timings), Timings, folder / "timings.parquet")
    save_encoder(training.model.encoder, inputs, folder / "encoder")
    write_json(folder / "stage.json", _record(runs, key, inputs, training, tables))


def _record(
    runs: StudyRuns, key: str, inputs: StageInputs, training: StageTraining, tables: StageTables
) -> dict[str, Any]:
    name, stage = inputs.name, inputs.stage
    return {
        "status": "done",
        "key": key,
        "stage": name,
        "kind": stage.kind,
        "after": None if stage.after is None else runs.stage_key(stage.after),
        "definition": stage_definition(runs.study, name),
        "data": tokens.facts(runs.layout.stage_tokens(name))["checksum"],
        "before": tables.measured(0),
        "afterwards": tables.measured(stage.epochs),
        "steps": training.total,
        **training.objective.facts,
        **circumstances(inputs, training.model, runs.study.threads),
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
