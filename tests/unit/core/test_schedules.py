"""Training by other schedules, and tasks that leave the trunk alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from weightwise.data.batches import make_batch
from weightwise.train.loop import Training

TRIPLE = ("SEN", "PAR", "SIM")


def training(study, arm: str = "addition", group=TRIPLE) -> Training:
    run = next(r for r in study.grid.runs if r.group == group and r.arm.combiner == arm)
    return Training(study.model(run), study.inputs(run))


def tasks_of_steps(tables) -> list[tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    for row in tables.steps:
        found.setdefault(row["step"], []).append(row["task"])
    return [tuple(tasks) for tasks in found.values()]


def make(prepared, combiners=("addition",), **keys):
    keys = {"epochs": 2} | keys
    return prepared(groupings={"up_to": 3}, combiners=list(combiners), training=keys)


def test_one_task_a_step_moves_its_own_head_and_the_trunk(prepared):
    run = training(make(prepared, schedule="round_robin", epochs=1))
    before = {n: p.clone() for n, p in run.model.named_parameters()}
    heads = {t: list(run.model.heads[t].parameters()) for t in TRIPLE}
    old = {t: [p.clone() for p in own] for t, own in heads.items()}
    positions = run._plan()[0]
    assert list(positions) == ["SEN"]
    seen = []

    def look(checkpoints, stop, epoch_ended=False):
        if not seen:
            seen.append(
                {
                    t: any(not torch.equal(p, q) for p, q in zip(heads[t], old[t], strict=True))
                    for t in TRIPLE
                }
            )
            moments = [m for g in run.optimiser.groups for m in g.steps]
            seen.append(sum(float(m) == 0 for m in moments))

    run._keep = look
    run.run()
    assert seen[0] == {"SEN": True, "PAR": False, "SIM": False}
    # The idle heads' moments have not moved: no step is counted for any of their tensors.
    assert seen[1] == sum(len(heads[t]) for t in ("PAR", "SIM"))
    trunk = dict(run.model.named_parameters())
    assert any(not torch.equal(p, trunk[n]) for n, p in before.items() if "encoder" in n)


@pytest.mark.parametrize("schedule", ["round_robin", "sequential", "rotating", "weakest_last"])
def test_schedules_end_with_the_steps_that_they_announce(prepared, schedule):
    run = training(make(prepared, schedule=schedule, epoch_surgery=True))
    tables = run.run()
    steps = tasks_of_steps(tables)
    assert len(steps) == run.total == 2 * run.per_epoch
    surgery = [i for i, tasks in enumerate(steps, 1) if len(tasks) == 3]
    assert surgery == [run.per_epoch, run.total]
    acted = [row for row in tables.steps if row["step"] == run.per_epoch]
    assert {row["task"] for row in acted} == set(TRIPLE)
    assert np.isfinite([row["cosine"] for row in acted]).all()  # a Gramian was computed


def test_the_weakest_task_comes_last(prepared):
    run = training(make(prepared, schedule="weakest_last", epochs=3))
    scores = {"SEN": 0.9, "PAR": 0.2, "SIM": 0.5}
    run._weakest = lambda: min(scores, key=scores.get)
    steps = [tasks[0] for tasks in tasks_of_steps(run.run())]
    first, second = steps[: run.per_epoch], steps[run.per_epoch : 2 * run.per_epoch]
    assert list(dict.fromkeys(first)) == ["SEN", "PAR", "SIM"]
    assert list(dict.fromkeys(second)) == ["SEN", "SIM", "PAR"]


def test_weakest_is_measured_on_training_data(prepared):
    run = training(make(prepared, schedule="weakest_last"))
    assert {split for _, split in run.inputs.scoring} == {"train", "dev", "test"}
    assert run._weakest() in TRIPLE
    joint = training(make(prepared))
    assert {split for _, split in joint.inputs.scoring} == {"dev", "test"}


@pytest.mark.parametrize("combiner", ["addition", "pcgrad", "mgda", "gradattention", "unitary"])
def test_a_left_out_task_trains_its_head_alone(prepared, combiner):
    study = make(prepared, [combiner], trunk_tasks=["SEN", "PAR"])
    run = training(study, combiner)
    head = [p.clone() for p in run.model.heads["SIM"].parameters()]
    idle = {"SIM": make_batch(run.inputs.train["SIM"], np.arange(8), run.inputs.framing["SIM"])}
    if combiner != "unitary":  # its weights are those of three tasks
        run.engines["arm"].step(idle, 1)
        assert all(p.grad is None for _, p in run.model.trunk_parameters())
    tables = run.run()
    learned = run.model.heads["SIM"].parameters()
    assert any(not torch.equal(a, b) for a, b in zip(head, learned, strict=True))
    weights = {row["weight"] for row in tables.steps if row["task"] == "SIM"}
    assert weights == {0.0} or combiner in ("addition", "unitary")
    assert {row["task"] for row in tables.epochs} == set(TRIPLE)


@pytest.mark.parametrize("combiner", ["addition", "pcgrad"])
def test_a_frozen_trunk_stays_as_it_is(prepared, combiner):
    study = make(prepared, [combiner], trunk_tasks=["SIM"], weight_decay=0.5)
    run = training(study, combiner, TRIPLE[:2])
    before = {n: p.clone() for n, p in run.model.trunk_parameters()}
    run.run()
    for name, parameter in run.model.trunk_parameters():
        assert torch.equal(parameter, before[name]), name


def test_an_idle_task_does_not_change_the_trunk_of_a_joint_run(prepared):
    """SEN+PAR alone and SEN+PAR+SIM with SIM left out train the same trunk, to the bit."""
    study = make(prepared, ["pcgrad"], trunk_tasks=["SEN", "PAR"])
    pair, triple = (training(study, "pcgrad", group) for group in (TRIPLE[:2], TRIPLE))
    pair.run()
    triple.run()
    others = dict(triple.model.trunk_parameters())
    for name, parameter in pair.model.trunk_parameters():
        assert torch.equal(parameter, others[name]), name
