"""One key, one result: whatever lies outside a run's key changes no byte of its tables, and
whatever changes a byte changes the key. Every key of the configuration is varied, one at a time."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from core_helpers import study_keys, write_checkpoint, write_data

from weightwise.combine import path_label
from weightwise.config import StudyConfig, TaskConfig, TrainingConfig
from weightwise.config.base import asides
from weightwise.config.sources import EncoderConfig
from weightwise.config.study import canonical_combiner
from weightwise.config.training import SmartConfig
from weightwise.data.stage import prepare_study
from weightwise.layout import Layout
from weightwise.train.inputs import Prepared
from weightwise.train.run import execute

torch.set_num_threads(1)
# Seconds are no result.
TIMES = {"timings.parquet", "step_times.parquet"}
# What `record_every` adds: inner products, and the cosines that they give.
RECORDED = {"gramians.parquet", "steps.parquet"}
SHORT = {"epochs": 1, "examples_per_epoch": 16, "dropout": 0.1, "record_every": 2}
DATA_KEYS = {"tasks", "encoder", "data_dir", "study_seed"}


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """`laboratory(run, change, **keys)` -> (key, {table: digest}) of a run of a changed study."""
    return Laboratory(tmp_path_factory.mktemp("laboratory"))


class Laboratory:
    """Trains single runs of variations of the tiny study, each in a store of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.count = 0
        write_data(folder / "data")
        write_checkpoint(folder / "encoder")
        write_checkpoint(folder / "other-encoder", seed=7)
        self.known: dict[str, Any] = {}
        self.data: dict[str, Path] = {}

    def __call__(self, run: str, change=None, before: tuple[str, ...] = (), **keys):
        plain = study_keys(self.folder, training=SHORT | keys.pop("training", {}), **keys)
        plain = {"groupings": [["PAR", "SIM"]], "combiners": ["addition"]} | plain
        if change is not None:
            change(plain)
        name = repr((run, before, plain))
        if name not in self.known:
            self.known[name] = self._train(StudyConfig.model_validate(plain), run, before)
        return self.known[name]

    def run_of(self, combiner: str) -> str:
        """The pair's run with that combiner."""
        return f"PAR+SIM/{path_label(canonical_combiner(combiner))}/default/seed-1"

    def _train(self, study: StudyConfig, run: str, before: tuple[str, ...]):
        self.count += 1
        layout = Layout(study.name, self.folder / f"results-{self.count}")
        prepared = self._prepared(study, layout)
        for other in before:
            execute(prepared, prepared.grid.run(other))
        cell = prepared.grid.run(run)
        key, trained = execute(prepared, cell)
        assert trained
        assert key == prepared.key(cell) == prepared.keys(cell)[0]
        files = prepared.store.folder(key).glob("*.parquet")
        tables = {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
            if file.name not in TIMES
        }
        assert len(tables) == 5
        return key, tables

    def _prepared(self, study: StudyConfig, layout: Layout) -> Prepared:
        """The study with its data: prepared once for all that share them."""
        layout.results.mkdir()
        for store in (layout.data_store, layout.encoder_store):
            shared = self.folder / f"shared-{store.name}"
            shared.mkdir(exist_ok=True)
            store.symlink_to(shared)
        prepare_study(study, layout)
        return Prepared(study, layout)


RUN = "PAR+SIM/addition/default/seed-1"
SMART = {"epsilon": 1e-2, "sigma": 1e-2, "step_size": 1e-1}
# Key of training: (the study around it, the value that it takes). Where it plays a part.
TRAINING: dict[str, tuple[dict[str, Any], Any]] = {
    "epochs": ({}, 2),
    "schedule": ({}, "round_robin"),
    "epoch_surgery": ({"schedule": "round_robin"}, True),
    "examples_per_epoch": ({}, 24),
    "train_rows": ({}, {"PAR": 20}),
    "trunk_tasks": ({}, ["PAR"]),
    "batch_size": ({}, 4),
    "accumulate": ({}, 2),
    "learning_rate": ({}, 2e-3),
    "head_learning_rate": ({}, 5e-3),
    "freeze_trunk": ({}, True),
    "probe_epochs": ({"epochs": 2}, 1),
    "probe_learning_rate": ({"freeze_trunk": True}, 1e-2),
    "learning_rate_schedule": ({}, "linear"),
    "warmup": ({}, 0.9),
    "weight_decay": ({}, 0.5),
    "beta1": ({}, 0.5),
    "beta2": ({}, 0.9),
    "epsilon": ({}, 1e-2),
    "clip_norm": ({}, 1e-3),
    "dropout": ({}, 0.3),
    "encoder_dropout": ({}, 0.3),
    "head": ({}, "linear"),
    "representation": ({}, "mean"),
    "pair": ({}, "siamese"),
    "decoder": ({"pair": "siamese"}, "product"),
    "output": ({}, "sigmoid"),
    "similarity_loss": ({}, "cross_entropy"),
    "smart": ({}, {}),
    "precision": ({}, "bf16"),
    "record_every": ({}, 1),
}
# These name a thing of the study or of the machine, which this study or machine need not have.
ELSEWHERE = {"start", "device"}


def test_every_training_key_is_varied():
    assert set(TRAINING) | ELSEWHERE == set(TrainingConfig.model_fields)


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_key_that_changes_bytes_changes_the_key(laboratory, name):
    around, value = TRAINING[name]
    key, tables = laboratory(RUN, training=around)
    other_key, other = laboratory(RUN, training=around | {name: value})
    if name == "record_every":  # a recorded step is the same step
        assert key == other_key
        assert {t for t in tables if tables[t] != other[t]} <= RECORDED
        return
    assert tables != other, "the variation shows nothing; choose another one"
    assert key != other_key


def change_task(task: str, **changes):
    def change(keys: dict[str, Any]) -> None:
        keys["tasks"] = copy.deepcopy(keys["tasks"])
        keys["tasks"][task] |= changes

    return change


# Key of a task: (training around it, its value).
TASK: dict[str, tuple[dict[str, Any], Any]] = {
    "range": ({"output": "sigmoid"}, [0, 6]),
    "loss": ({}, "cross_entropy"),
    "head": ({}, "linear"),
    "representation": ({}, "mean"),
    "pair": ({}, "siamese"),
    "decoder": ({"pair": "siamese"}, "cosine"),
    "output": ({}, "sigmoid"),
}
# A score or a kind has no second value that fits these labels.
ONE_VALUE = {"kind", "metric"}


def test_every_key_of_a_task_is_varied():
    assert set(TASK) | ONE_VALUE | asides(TaskConfig) == set(TaskConfig.model_fields)


@pytest.mark.parametrize("name", TASK)
def test_a_tasks_key_that_changes_bytes_changes_the_key(laboratory, name):
    around, value = TASK[name]
    key, tables = laboratory(RUN, training=around)
    other_key, other = laboratory(RUN, change_task("SIM", **{name: value}), training=around)
    assert tables != other
    assert key != other_key


@pytest.mark.parametrize("name", sorted(set(SmartConfig.model_fields) - {"tasks"}))
def test_a_key_of_smart_that_changes_bytes_changes_the_key(laboratory, name):
    value = {"weight": 3.0, "proximal": 3.0, "decay": 0.5}.get(name, 5e-2)
    # With room for a step that is not cut at the edge.
    around = SMART | ({"epsilon": 1.0} if name in ("sigma", "step_size") else {})
    key, tables = laboratory(RUN, training={"smart": around})
    other_key, other = laboratory(RUN, training={"smart": around | {name: value}})
    assert tables != other
    assert key != other_key


def change_encoder(**changes):
    def change(keys: dict[str, Any]) -> None:
        keys["encoder"] = keys["encoder"] | changes

    return change


def other_weights(keys: dict[str, Any]) -> None:
    path = str(Path(keys["encoder"]["source"]["path"]).with_name("other-encoder"))
    keys["encoder"] = keys["encoder"] | {"source": {"type": "directory", "path": path}}


def test_every_key_of_the_encoder_is_varied():
    assert set(EncoderConfig.model_fields) == {"source", "layers", "max_length"}


INSIDE = {
    "seed": ({}, {"seeds": [2]}, None),
    "study seed": ({}, {"study_seed": 1}, None),
    "weights": ({}, {}, other_weights),
    "layers": ({}, {}, change_encoder(layers=1)),
    "max_length": ({}, {}, change_encoder(max_length=10)),
    "a task's rows": ({}, {}, lambda keys: limit(keys, "PAR", 20)),
    "balance": (
        {"train_rows": {"PAR": 12}},
        {},
        lambda keys: balance(keys, "PAR"),
    ),
}


def limit(keys: dict[str, Any], task: str, rows: int) -> None:
    keys["tasks"] = copy.deepcopy(keys["tasks"])
    keys["tasks"][task]["data"]["limit"] = {"train": rows}


def balance(keys: dict[str, Any], task: str) -> None:
    keys["tasks"] = copy.deepcopy(keys["tasks"])
    keys["tasks"][task]["data"]["balance"] = True


@pytest.mark.parametrize("name", INSIDE)
def test_what_else_changes_bytes_changes_the_key(laboratory, name):
    training, keys, change = INSIDE[name]
    run = RUN.replace("seed-1", f"seed-{keys.get('seeds', [1])[0]}")
    key, tables = laboratory(RUN, training=training)
    other_key, other = laboratory(run, change, training=training, **keys)
    assert tables != other
    assert key != other_key


def without_sen(keys: dict[str, Any]) -> None:
    keys["tasks"] = {name: task for name, task in keys["tasks"].items() if name != "SEN"}


def told_otherwise(keys: dict[str, Any]) -> None:
    keys["tasks"] = copy.deepcopy(keys["tasks"])
    keys["tasks"]["SIM"] |= {"title": "Another", "licence": "another"}
    keys["tasks"]["PAR"] |= {"classes": ["different", "same"]}
    keys["report"] = {"title": "Another"}
    keys["name"] = "another"


OUTSIDE = {
    "another task and its texts": ({}, without_sen, ()),
    "names and credits": ({}, told_otherwise, ()),
    "other groupings": ({"groupings": {"up_to": 3}}, None, ()),
    "other seeds and packs": (
        {"seeds": [3, 1], "runs_per_job": 3, "runs_side_by_side": 2, "checkpoint_minutes": 1},
        None,
        (),
    ),
    "runs before it": ({}, None, ("PAR/baseline/default/seed-1", "SIM/baseline/default/seed-1")),
}
# Runs by what could let the rest of the study in: sizes, norms, draws.
KINDS = {
    "addition": ("addition", {}),
    "clipped": ("addition", {"clip_norm": 0.05}),
    "pcgrad": ("pcgrad", {}),
    "coordinates": ("gradattention(coordinates=64)", {}),
    "sampled": ("gradattention(coordinates=64, update=sample)", {}),
    "smart": ("addition", {"smart": SMART}),
}


ALL_WAYS_IN = ("addition", "coordinates", "sampled")
CASES = [(o, k) for k in KINDS for o in OUTSIDE if k in ALL_WAYS_IN or o == next(iter(OUTSIDE))]


@pytest.mark.parametrize(("outside", "kind"), CASES)
def test_what_lies_outside_changes_neither_key_nor_bytes(laboratory, outside, kind):
    combiner, training = KINDS[kind]
    keys, change, before = OUTSIDE[outside]
    around = {"training": training, "combiners": [combiner], "alphas": []}
    run = laboratory.run_of(combiner)
    assert laboratory(run, **copy.deepcopy(around)) == laboratory(
        run, change, before, **copy.deepcopy(around | keys)
    )


def test_of_the_studys_own_keys_these_decide():
    """Threads change the order of sums, so bits, though not always and not everywhere."""
    assert set(StudyConfig.model_fields) - asides(StudyConfig) == {"study_seed", "threads"}


def both(keys: dict[str, Any], **changes) -> None:
    """Give both tasks of the pair keys of their own."""
    for task in ("PAR", "SIM"):
        change_task(task, **changes)(keys)


# What changes nothing changes no key: (training around it, change of the study, a run of it).
SIM, PAR = "SIM/baseline/default/seed-1", "PAR/baseline/default/seed-1"
NOTHING = {
    "output without regression": (PAR, {}, {"output": "sigmoid"}, None),
    "similarity_loss without regression": (PAR, {}, {"similarity_loss": "cross_entropy"}, None),
    "schedule of one task": (SIM, {}, {"schedule": "round_robin"}, None),
    "own schedules of one task": (
        SIM,
        {"schedule": "sequential"},
        {"schedule": "rotating"},
        None,
    ),
    "surgery of one task": (
        SIM,
        {"schedule": "round_robin"},
        {"epoch_surgery": True},
        None,
    ),
    "rates of a frozen encoder": (
        RUN,
        {"freeze_trunk": True},
        {"learning_rate": 1.0, "head_learning_rate": 0.5, "clip_norm": 1e-4},
        None,
    ),
    "rate of probing without probing": (RUN, {}, {"probe_learning_rate": 0.5}, None),
    "the study's own value": (RUN, {}, {}, change_task("SIM", loss="mse", head="hidden")),
    "a task's value in the study's place": (
        RUN,
        {"representation": "mean"},
        {"representation": "cls"},
        lambda keys: both(keys, representation="mean"),
    ),
    "more examples than there are": (
        RUN,
        {"examples_per_epoch": None},
        {"examples_per_epoch": 500},
        None,
    ),
    "more rows than there are": (RUN, {}, {"train_rows": {"PAR": 500}}, None),
    "all layers by number": (RUN, {}, {}, change_encoder(layers=2)),
    "all layers by name": (RUN, {}, {}, change_encoder(layers=[0, 1])),
    "the encoder's rate for the heads": (RUN, {}, {"head_learning_rate": 1e-3}, None),
    "more micro-batches than examples": (
        RUN,
        {"accumulate": 8},
        {"accumulate": 50},
        None,
    ),
    "keys of a term that is off": (
        RUN,
        {"smart": {"weight": 0}},
        {"smart": {"weight": 0, "epsilon": 1.0, "sigma": 1.0, "step_size": 1.0}},
        None,
    ),
    "decay of a term that is off": (
        RUN,
        {"smart": SMART | {"proximal": 0}},
        {"smart": SMART | {"proximal": 0, "decay": 0.1}},
        None,
    ),
    "the tasks' own decoder": (
        RUN,
        {"pair": "siamese", "decoder": "product"},
        {"pair": "siamese", "decoder": "concatenate"},
        lambda keys: both(keys, decoder="product"),
    ),
    "all tasks train the encoder": (RUN, {}, {"trunk_tasks": ["SIM", "PAR"]}, None),
    "output of a cosine": (
        SIM,
        {"pair": "siamese", "decoder": "cosine"},
        {"pair": "siamese", "decoder": "cosine", "output": "identity"},
        None,
    ),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_changes_nothing_changes_no_key(laboratory, name):
    run, around, changed, change = NOTHING[name]
    one = laboratory(run, training=around)
    other = laboratory(run, change, training=around | changed)
    assert one[1] == other[1]
    assert one[0] == other[0]
