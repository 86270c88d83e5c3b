"""What decides a run, as plain data. Imports no torch.

A definition holds every key of the configuration but those whose field says that it decides nothing
(`config.base.Aside`): a new key decides until someone says otherwise. Then what cannot play a part
in this very run is left out, so that runs which are one training have one definition and one key.

`encoder.max_length` counts even where it cuts no text: as many position embeddings are kept, and
their number decides how a sum over them is rounded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weightwise.config import StudyConfig, TaskConfig, TrainingConfig
from weightwise.config.base import asides
from weightwise.config.tasks import COSINE_LOSSES
from weightwise.config.training import ALL_TASKS_A_STEP
from weightwise.identity.machine import Arithmetic

# Keys of training that say what a task without such a key of its own has: they act through tasks.
BY_TASK = {"head", "representation", "pair", "decoder", "output", "similarity_loss"}
# A single task's schedules by the length of its epoch, all that they decide for it.
ALONE = {"min_size": "smallest", "round_robin": "smallest", "max_size": "largest"}


def run_definition(
    study: StudyConfig,
    training: TrainingConfig,
    group: tuple[str, ...],
    seed: int,
    combiner: str,
    weights: tuple[str, ...] | None,
    start: str | None,
) -> dict[str, Any]:
    """Everything in the configuration that decides the result of a run.

    Facts of the data and of the machine are not in it: see `settled`.

    Args:
        study: the study.
        training: the training keys of the run's variant.
        group: the run's tasks in the study's order.
        seed: the run's seed.
        combiner: canonical text of the combiner.
        weights: weight of every task as exact decimals; None where the combiner has none.
        start: fingerprint of the stage that the run starts from; None: the encoder as it comes.
    """
    encoder = study.encoder.model_dump(mode="json", exclude=asides(type(study.encoder)))
    if start is not None:
        encoder.pop("layers")  # the stage's encoder has the layers that were kept for it
    head_only = head_only_tasks(training, group)
    found = {
        "group": list(group),  # weights and random orders follow it; `tasks` gets sorted
        "tasks": {name: _task(study.tasks[name], name, training) for name in group},
        "combiner": combiner,
        "weights": None if weights is None else list(weights),
        "seed": seed,
        "study": study.model_dump(mode="json", exclude=asides(type(study))),
        "encoder": encoder,
        "training": _training(training, group, head_only),
        # What `trunk_tasks` means here, so that runs whose tasks all train the encoder are one.
        "head_only": sorted(head_only),
    }
    return found if start is None else found | {"start": start}


def head_only_tasks(training: TrainingConfig, group: tuple[str, ...]) -> frozenset[str]:
    """Tasks of a group that train their heads and leave the encoder alone."""
    kept = training.trunk_tasks
    return frozenset() if kept is None else frozenset(group) - frozenset(kept)


def settled(
    definition: Mapping[str, Any],
    arithmetic: Arithmetic,
    rows: Mapping[str, int],
    epoch_lengths: Mapping[str, int],
    layers: int | None,
) -> dict[str, Any]:
    """A definition with what data, encoder and machine make of it: the part of a key that comes
    from the configuration.

    Args:
        definition: see `run_definition`.
        arithmetic: the device class and precision of the training.
        rows: training rows of each of the run's tasks.
        epoch_lengths: examples of each of the run's tasks in an epoch, which the study's schedule,
            `examples_per_epoch` and sizes decide.
        layers: layers of the checkpoint; None: unknown.
    """
    training = dict(definition["training"]) | arithmetic.told()
    for key in ("examples_per_epoch",):
        training.pop(key)  # in the epochs' lengths
    schedule = training["schedule"]
    if len(definition["group"]) == 1:
        training["schedule"] = None
    elif schedule in ALL_TASKS_A_STEP:
        training["schedule"] = "all tasks"
    drawn = {
        task: most
        for task, most in (training.pop("train_rows", None) or {}).items()
        if task in rows and most < rows[task]
    }
    tasks = {
        name: {k: v for k, v in task.items() if k != "balance" or name in drawn}
        for name, task in definition["tasks"].items()
    }
    encoder = dict(definition["encoder"])
    if layers is not None and "layers" in encoder:
        encoder["layers"] = layer_numbers(encoder["layers"], layers)
    return {
        **definition,
        "training": training,
        "tasks": tasks,
        "encoder": encoder,
        "epoch_lengths": dict(epoch_lengths),
        "train_rows": drawn,
    }


def layers_of(checkpoint: Path) -> int | None:
    """Layers of a checkpoint folder as its config.json says; None where it cannot be read."""
    try:
        found = json.loads((checkpoint / "config.json").read_text("utf-8"))["num_hidden_layers"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) else None


def layer_numbers(layers: int | list[int] | None, available: int) -> list[int]:
    """Numbers of the layers that `encoder.layers` keeps of so many."""
    if layers is None:
        return list(range(available))
    return list(range(layers)) if isinstance(layers, int) else list(layers)


def _task(task: TaskConfig, name: str, training: TrainingConfig) -> dict[str, Any]:
    """What of a task decides a run. How rows became examples is in the data's checksum."""
    found = task.model_dump(mode="json", exclude=asides(type(task)))
    pair = (task.pair or training.pair) if len(task.text) == 2 else None
    decoder = (task.decoder or training.decoder) if pair == "siamese" else None
    found |= {
        "metric": task.score_name,
        "classes": len(task.class_names),
        "texts": len(task.text),
        "head": task.head or training.head,
        "representation": task.representation or training.representation,
        "pair": pair,
        "decoder": decoder,
        "loss": None,  # classes have one loss
        "output": None,
    }
    if task.kind == "regression":
        loss = task.loss or training.similarity_loss
        read = decoder == "cosine" or loss in (*COSINE_LOSSES, "cross_entropy")
        found["loss"] = loss
        # A cosine and class probabilities are read as they are.
        found["output"] = None if read else task.output or training.output
    if name in (training.train_rows or {}):
        found["balance"] = task.data.balance
    return found


def _training(
    training: TrainingConfig, group: tuple[str, ...], head_only: frozenset[str]
) -> dict[str, Any]:
    """The keys of training that decide a run of these tasks."""
    keys = training.meant_for(group).model_dump(
        mode="json", exclude=asides(TrainingConfig) | BY_TASK
    )
    keys["accumulate"] = min(training.accumulate, training.batch_size)
    if len(group) == 1:
        keys["schedule"] = ALONE.get(training.schedule, "own")
        keys["epoch_surgery"] = False
    if training.freeze_trunk or head_only == frozenset(group):
        # Heads alone learn, at the rate of probing; the encoder has no gradient to clip.
        keys["learning_rate"] = keys["head_learning_rate"] = keys["clip_norm"] = None
    else:
        keys["head_learning_rate"] = training.head_learning_rate or training.learning_rate
        if head_only == frozenset() and not training.probe_epochs:
            keys["probe_learning_rate"] = None
    smart = keys["smart"]
    if smart is not None:
        if smart["weight"] == 0:
            smart |= {"epsilon": None, "sigma": None, "step_size": None}
        if smart["proximal"] == 0:
            smart["decay"] = None
    return keys
