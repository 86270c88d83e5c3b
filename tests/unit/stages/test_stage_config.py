"""Stages in the configuration, and which runs and stages a change makes due."""

from __future__ import annotations

import shutil

import pytest
from pydantic import ValidationError
from stage_helpers import stage_keys, stage_study, stages

from weightwise import code
from weightwise.code import code_version, stage_code_version
from weightwise.config import StudyConfig, TrainingConfig
from weightwise.config.stages import chain_of
from weightwise.data.definition import configuration
from weightwise.grid import Grid


def refused(tmp_path, *words: str, **keys) -> None:
    with pytest.raises(ValidationError) as caught:
        stage_study(tmp_path, **keys)
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_start_is_refused_by_name(tmp_path):
    refused(
        tmp_path, "training.start", "PAIRZ", "did you mean 'PAIRS'", training={"start": "PAIRZ"}
    )
    refused(tmp_path, "sweep.start", "TEXT", "'TEXTS'", sweep={"start": [None, "TEXT"]})
    refused(tmp_path, "has no `stages`", stages={})


def test_a_chain_of_an_unknown_stage_names_it(tmp_path):
    with pytest.raises(ValueError, match="unknown stage 'PAIR'; did you mean 'PAIRS'"):
        chain_of(stage_study(tmp_path).stages, "PAIR")
    with pytest.raises(ValueError, match="unknown stage 'PAIR'; the study has no `stages`"):
        chain_of({}, "PAIR")


def test_chains_that_lead_nowhere_are_refused(tmp_path):
    refused(tmp_path, "stages.TEXTS.after", "LOST", stages=stages(TEXTS={"after": "LOST"}))
    refused(
        tmp_path,
        "goes round in a circle",
        "TEXTS",
        "PAIRS",
        stages=stages(TEXTS={"after": "PAIRS"}),
    )
    refused(tmp_path, "circle: TEXTS -> TEXTS", stages=stages(TEXTS={"after": "TEXTS"}))
    twice = stages() | {"texts": stages()["TEXTS"]}
    refused(tmp_path, "differ only by case", stages=twice)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("TEXTS", {"mask_shar": 0.2}, ["mask_shar", "did you mean 'mask_share'"]),
        ("TEXTS", {"temperature": 0.1}, ["temperature"]),
        ("TEXTS", {"kind": "mlmm"}, ["mlm", "simcse"]),
        ("TEXTS", {"held_out": 1.0}, ["held_out"]),
        ("TEXTS", {"text": []}, ["text"]),
        ("PAIRS", {"text": ["premise"]}, ["text"]),
        ("PAIRS", {"entailment": "x", "contradiction": "x"}, ["different values"]),
        ("PAIRS", {"accumulate": 2}, ["accumulate"]),
    ],
)
def test_wrong_keys_are_refused_by_name(tmp_path, name, change, words):
    refused(tmp_path, *words, stages=stages(**{name: change}))


def test_probing_keys_that_exclude_each_other_are_refused():
    with pytest.raises(ValidationError, match="makes no sense beside"):
        TrainingConfig(freeze_trunk=True, probe_epochs=1)
    with pytest.raises(ValidationError, match="to probe alone, set `freeze_trunk: true`"):
        TrainingConfig(epochs=3, probe_epochs=3)


def test_the_papers_values_are_the_defaults(tmp_path):
    made = stage_study(tmp_path).stages
    mlm, simcse = type(made["TEXTS"]).model_fields, type(made["PAIRS"]).model_fields
    assert mlm["mask_share"].default == 0.15
    assert (mlm["epochs"].default, mlm["batch_size"].default, mlm["accumulate"].default) == (
        3,
        4 * 32,
        32,
    )
    assert [
        simcse[k].default for k in ("epochs", "learning_rate", "batch_size", "temperature")
    ] == [
        3,
        5e-5,
        32,
        0.05,
    ]
    assert TrainingConfig().probe_learning_rate == 1e-3


def test_stages_that_no_run_starts_from_change_no_run(tmp_path):
    plain = Grid(stage_study(tmp_path, stages={}, training={"start": None}))
    with_stages = Grid(stage_study(tmp_path, training={"start": None}))
    assert [with_stages.fingerprint(r) for r in with_stages.runs] == [
        plain.fingerprint(r) for r in plain.runs
    ]
    assert plain.stages == ()


def fingerprints(tmp_path, **keys) -> dict[str, str]:
    grid = Grid(stage_study(tmp_path, **keys))
    return {run.id: grid.fingerprint(run) for run in grid.runs} | {
        name: grid.stage_fingerprint(name) for name in grid.study.stages
    }


def test_a_change_reaches_what_starts_from_it_and_nothing_else(tmp_path):
    sweep = {"start": [None, "TEXTS", "PAIRS"]}
    before = fingerprints(tmp_path, sweep=sweep)

    def changed(**changes) -> set[str]:
        after = fingerprints(tmp_path, sweep=sweep, stages=stages(**changes))
        return {name for name in after if after[name] != before[name]}

    def runs(start: str) -> set[str]:
        return {name for name in before if f"start={start}" in name}

    assert changed(PAIRS={"temperature": 0.1}) == {"PAIRS"} | runs("PAIRS")
    assert changed(TEXTS={"epochs": 3}) == {"TEXTS", "PAIRS"} | runs("TEXTS") | runs("PAIRS")
    assert changed(PAIRS={"after": None}) == {"PAIRS"} | runs("PAIRS")
    # What decides the texts is in their checksum, a licence in nothing.
    assert changed(TEXTS={"licence": "mine"}, PAIRS={"limit": 20}) == set()


def test_needed_stages_come_in_their_order(tmp_path):
    def needed(**keys) -> tuple[str, ...]:
        return Grid(stage_study(tmp_path, **keys)).stages

    assert needed() == ("TEXTS", "PAIRS")
    assert needed(training={"start": "TEXTS"}) == ("TEXTS",)
    assert needed(training={"start": None}, sweep={"start": ["PAIRS", "TEXTS"]}) == (
        "TEXTS",
        "PAIRS",
    )


def test_probing_is_in_the_key_only_where_it_is_done(tmp_path):
    assert fingerprints(tmp_path) == fingerprints(tmp_path, training={"probe_learning_rate": 0.1})
    for probing in ({"freeze_trunk": True}, {"probe_epochs": 1, "epochs": 2}):
        slow = fingerprints(tmp_path, training=probing)
        fast = fingerprints(tmp_path, training=probing | {"probe_learning_rate": 0.1})
        assert slow["SEN/baseline/default/seed-1"] != fast["SEN/baseline/default/seed-1"]


def test_the_code_of_a_kind_reaches_its_stages_alone(tmp_path, monkeypatch):
    copy = tmp_path / "package"
    shutil.copytree(code.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", copy)

    def versions() -> tuple[str, str, str]:
        code.forget()
        return stage_code_version("mlm"), stage_code_version("simcse"), code_version("pcgrad")

    try:
        before = versions()
        for file, reached in (
            ("stages/mlm.py", (True, False, False)),
            ("stages/simcse.py", (False, True, False)),
            ("stages/loop.py", (True, True, False)),
            ("stages/similarity.py", (False, False, False)),
            ("model/encoder.py", (True, True, True)),
            ("model/heads.py", (False, False, True)),
        ):
            path = copy / file
            original = path.read_text()
            path.write_text(original + "\nCHANGED = 1\n")
            now = versions()
            assert tuple(a != b for a, b in zip(now, before, strict=True)) == reached, file
            path.write_text(original)
    finally:
        code.forget()


def test_a_study_cannot_take_the_stores_folder(tmp_path):
    with pytest.raises(ValidationError, match="cannot be called 'stages'"):
        StudyConfig.model_validate(stage_keys(tmp_path) | {"name": "stages"})


def test_the_preparation_is_due_for_what_decides_the_texts(tmp_path):
    def definition(**changes) -> dict:
        return configuration(stage_study(tmp_path, stages=stages(**changes)))

    before = definition()
    for changes in ({"temperature": 0.1}, {"epochs": 7}, {"after": None}, {"batch_size": 4}):
        assert definition(PAIRS=changes) == before
    for changes in ({"limit": 9}, {"held_out": 0.3}, {"entailment": "yes"}, {"max_length": 9}):
        assert definition(PAIRS=changes) != before
