"""Keys of stages: what the machine makes of `auto`, and who finds what another one computed."""

from __future__ import annotations

import pytest
from stage_helpers import stages

from weightwise.config.stages import MaskedLanguageStage, SimcseStage
from weightwise.stages.run import execute
from weightwise.train.run import execute as execute_run

AUTO = {"precision": "auto"}


def test_a_chain_begun_elsewhere_goes_on_here(prepared, play):
    study = prepared(
        stages=stages(TEXTS=AUTO | {"epochs": 1}, PAIRS=AUTO | {"epochs": 1}),
        groupings=[["SEN"]],
        training={"examples_per_epoch": 8},
    )
    play(bf16=True)
    first, _ = execute(study, "TEXTS")
    assert first["precision"] == "bf16"
    play(bf16=False)
    assert study.stage_key("TEXTS") != first["key"]
    assert study.finished_stage_key("TEXTS") == first["key"]
    second, _ = execute(study, "PAIRS")
    assert second["precision"] == "fp32"
    assert second["after"] == first["key"]
    assert second["key"] in study.stage_keys("PAIRS")
    # Two precisions each: what PAIRS can be is four things.
    assert len(study.stage_keys("TEXTS")) == 2
    assert len(study.stage_keys("PAIRS")) == 4
    (run,) = study.grid.runs
    key, _ = execute_run(study, run)
    assert study.record(run)["stage"]["key"] == second["key"]
    play(bf16=True)
    assert study.finished_key(run) == key


def test_auto_is_what_it_comes_to(prepared, play):
    play(bf16=False)
    said, left = (prepared(stages=stages(TEXTS={"precision": p})) for p in ("fp32", "auto"))
    assert said.stage_key("TEXTS") == left.stage_key("TEXTS")
    play(bf16=True)
    assert said.stage_key("TEXTS") != left.stage_key("TEXTS")


VARIED = {
    "TEXTS": {
        **{"epochs": 3, "learning_rate": 1e-3, "learning_rate_schedule": "linear"},
        **{"clip_norm": 0.1, "dropout": 0.3, "precision": "bf16", "batch_size": 8},
        **{"accumulate": 1, "mask_share": 0.3, "warmup": 0.5, "weight_decay": 0.5, "beta1": 0.5},
        **{"beta2": 0.9, "epsilon": 1e-3, "max_length": 16},
    },
    "PAIRS": {
        **{"epochs": 4, "learning_rate": 1e-4, "learning_rate_schedule": "linear"},
        **{"clip_norm": 0.1, "dropout": 0.3, "precision": "bf16", "batch_size": 4},
        **{"temperature": 0.1, "representation": "cls", "warmup": 0.5, "weight_decay": 0.5},
        **{"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3, "max_length": 16, "after": None},
    },
}
IN_THE_TEXTS = {"source", "where", "empty_text", "known_rows", "limit", "held_out", "text"}
IN_THE_TEXTS |= {"label", "entailment", "contradiction"}


@pytest.mark.parametrize(("name", "kind"), [("TEXTS", MaskedLanguageStage), ("PAIRS", SimcseStage)])
def test_every_key_of_a_stage_is_in_its_key(prepared, name, kind):
    plain = prepared().stage_key(name)
    elsewhere = IN_THE_TEXTS | {"kind", "licence"} | ({"after"} if name == "TEXTS" else set())
    assert set(VARIED[name]) == set(kind.model_fields) - elsewhere
    for key, value in VARIED[name].items():
        assert prepared(stages=stages(**{name: {key: value}})).stage_key(name) != plain, key
    assert prepared(stages=stages(**{name: {"licence": "mine"}})).stage_key(name) == plain
