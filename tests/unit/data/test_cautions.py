"""What is said of a study before it trains."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))

from core_helpers import make_study

from weightwise.data.cautions import cautions, machine_cautions, task_framings, ungrouped_caution
from weightwise.data.loss_scale import loss_scale
from weightwise.identity import machine
from weightwise.model.heads import Target


def facts(cut: dict[str, int], rows: int = 100, unknown: int = 0, labels=None) -> dict:
    """A split's facts."""
    tokens = {
        "rows": rows,
        "tokens": 1000,
        "unknown": unknown,
        "longest": {way: 30 + len(way) for way in cut},
        "cut": cut,
    }
    return {"rows": rows, "tokens": tokens, "labels": labels}


def checks(**tasks: dict) -> dict:
    return {
        "tasks": {name: {"splits": splits} for name, splits in tasks.items()},
        "encoder": {"max_length": 24},
    }


def test_cut_rows_are_told_from_a_twentieth_on_as_the_study_frames_them(tmp_path):
    few = checks(
        SEN={"train": facts({"single": 5}), "dev": facts({"single": 5})},
        PAR={
            "train": facts({"joint": 40, "siamese": 0}),
            "dev": facts({"joint": 62, "siamese": 1}),
        },
    )
    study = make_study(tmp_path)
    assert cautions(study, few) == [
        "PAR: longer than 24 tokens, and so cut: 40.0% of train (40 rows), 62.0% of dev (62 rows); "
        "the longest row has 35 tokens (see `encoder.max_length`; two sequences hold more: `pair: "
        "siamese`)"
    ]
    assert cautions(make_study(tmp_path, training={"pair": "siamese"}), few) == []
    swept = cautions(make_study(tmp_path, sweep={"pair": ["siamese", "joint"]}), few)
    assert [line.partition(":")[0] for line in swept] == ["PAR as joint pairs"]
    few["tasks"]["SEN"]["splits"]["dev"] = facts({"single": 6})
    said = cautions(study, few)[0]
    assert "5.0% of train (5 rows), 6.0% of dev (6 rows)" in said
    assert "siamese" not in said


def test_unknown_tokens_are_told_from_a_hundredth_on(tmp_path):
    study = make_study(tmp_path)
    at = checks(SEN={"train": facts({"single": 0}, unknown=10), "dev": facts({"single": 0})})
    assert cautions(study, at) == []
    above = checks(SEN={"train": facts({"single": 0}, unknown=150), "dev": facts({"single": 0})})
    (said,) = cautions(study, above)
    assert "15.0% of train, 0.0% of dev" in said


def test_tasks_in_no_grouping_are_told(tmp_path):
    assert ungrouped_caution(make_study(tmp_path)) == []
    alone = make_study(tmp_path, groupings=[["SEN", "PAR"]])
    (said,) = ungrouped_caution(alone)
    assert said.startswith("SIM: in no grouping, so it is neither trained nor scored")
    assert cautions(alone, {}) == [said]
    assert task_framings(alone)["SIM"] == ()
    (said,) = ungrouped_caution(make_study(tmp_path, groupings=[["SEN"]]))
    assert said.startswith("PAR, SIM: in no grouping, so they are")
    arms = {"one": {"groupings": [["SEN", "PAR"]]}, "two": {"groupings": [["SIM", "PAR"]]}}
    assert ungrouped_caution(make_study(tmp_path, arms=arms)) == []


def labels(low: float, high: float, mean: float, sd: float) -> dict:
    return {"min": low, "max": high, "mean": mean, "sd": sd}


def scaled(tmp_path, top: float, part: float = 1.0, loss: str = "mse", **keys) -> list[str]:
    """Cautions of the study with labels of SIM from 0 to `top`, those in the data in a part."""
    spread = labels(0, top * part, 0.5 * top * part, 0.3 * top * part)
    found = checks(SIM={"train": facts({"joint": 0, "siamese": 0}, labels=spread)})
    study = make_study(tmp_path, training={"similarity_loss": loss} | keys.pop("training", {}))
    sim = study.tasks["SIM"].model_copy(update={"range": (0.0, top)})
    study = study.model_copy(update={"tasks": study.tasks | {"SIM": sim}} | keys)
    return cautions(study, found)


def test_labels_that_drown_the_other_task_are_told_with_figures(tmp_path):
    assert scaled(tmp_path, 5) == []
    large = scaled(tmp_path, 100)
    assert len(large) == 2  # beside SEN and beside PAR
    assert "SIM beside SEN" in large[0]
    assert "about 70 times as hard" in large[0]
    assert "0 to 100 with a standard deviation of 30" in large[0]
    assert "`similarity_loss: mse_normalised`" in large[0]
    assert scaled(tmp_path, 100, loss="mse_normalised") == []
    small = scaled(tmp_path, 0.01)
    assert "SEN beside SIM" in small[0]
    narrow = scaled(tmp_path, 100, part=0.01, loss="mse_normalised")
    assert "set `range` to where its labels lie" in narrow[0]


def test_tasks_that_share_no_encoder_drown_nobody(tmp_path):
    assert scaled(tmp_path, 100, training={"freeze_trunk": True}) == []
    assert scaled(tmp_path, 100, training={"trunk_tasks": ("SIM",)}) == []
    assert len(scaled(tmp_path, 100, groupings=(("SEN", "SIM"), ("PAR",)))) == 1


@pytest.mark.parametrize("output", ["relu", "identity", "sigmoid"])
@pytest.mark.parametrize("loss", ["mse", "mse_normalised"])
@pytest.mark.parametrize("top", [5.0, 100.0])
def test_the_scale_is_that_of_the_gradient_at_the_start(tmp_path, output, loss, top):
    """Against autograd in double precision: gradients of the single examples' losses at outputs
    that predict the mean label."""
    given = torch.from_numpy(np.random.default_rng(0).uniform(0.1 * top, top, 400))
    target = Target("regression", output, 0.0, top, loss)
    outputs = torch.full((400, 1), target._bias(float(given.mean())), dtype=torch.float64)
    outputs.requires_grad_()
    # Mean over the examples times their number: the gradient of each example's own loss.
    (gradient,) = torch.autograd.grad(400 * target.loss(outputs, given), outputs)
    sd = float(given.std())
    study = make_study(tmp_path, training={"output": output, "similarity_loss": loss})
    task = study.tasks["SIM"].model_copy(update={"range": (0.0, top)})
    spread = labels(float(given.min()), float(given.max()), float(given.mean()), sd)
    estimate = loss_scale(task, study.training, spread)
    assert estimate == pytest.approx(float(gradient.square().mean().sqrt()), rel=0.01)


def test_the_scale_of_classes_is_that_of_an_even_guess(tmp_path):
    study = make_study(tmp_path)
    outputs = torch.zeros(6, 3, dtype=torch.float64, requires_grad=True)
    target = Target("classification", classes=3)
    given = torch.tensor([0.0, 1, 2, 0, 1, 2])
    (gradient,) = torch.autograd.grad(6 * target.loss(outputs, given), outputs)
    rms = float(gradient.square().sum(1).mean().sqrt())
    assert loss_scale(study.tasks["SEN"], study.training, None) == pytest.approx(rms)
    outputs = torch.zeros(2, 1, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        2 * Target("binary").loss(outputs, torch.tensor([0.0, 1.0])), outputs
    )
    rms = float(gradient.square().mean().sqrt())
    assert loss_scale(study.tasks["PAR"], study.training, None) == pytest.approx(rms)


def test_emulated_bfloat16_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "multiplies_bf16", lambda device: False)
    assert machine_cautions(make_study(tmp_path)) == []
    assert machine_cautions(make_study(tmp_path, training={"precision": "auto"})) == []
    (said,) = machine_cautions(make_study(tmp_path, training={"precision": "bf16"}))
    assert "emulated" in said
    assert machine_cautions(make_study(tmp_path, sweep={"precision": ["fp32", "bf16"]})) == [said]
    monkeypatch.setattr(machine, "multiplies_bf16", lambda device: True)
    assert machine_cautions(make_study(tmp_path, training={"precision": "bf16"})) == []
