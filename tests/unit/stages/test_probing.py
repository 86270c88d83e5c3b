"""Linear probing and probing before fine-tuning: what moves, how fast, from which gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from weightwise.combine import make_combiner
from weightwise.config import TrainingConfig
from weightwise.data.batches import make_batch
from weightwise.train.engine import Engine
from weightwise.train.loop import Progress, Training, train
from weightwise.train.probing import Probing


@pytest.fixture
def run_of(prepared):
    """`run_of(training={...}, combiner=...)` -> (model, inputs) of a pair."""

    def make(combiner: str = "addition", **training):
        keys = {"start": None, "epochs": 2, "dropout": 0.1} | training
        runs = prepared(groupings=[["SEN", "SIM"]], combiners=[combiner], training=keys, stages={})
        (run,) = [r for r in runs.grid.runs if len(r.group) == 2]
        return runs.model(run), runs.inputs(run)

    return make


def trunk(model) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in model.encoder.named_parameters()}


def heads(model) -> dict[str, torch.Tensor]:
    return {
        f"{t}.{n}": p.detach().clone()
        for t, h in model.heads.items()
        for n, p in h.named_parameters()
    }


def engine_of(training: Training) -> Engine:
    """An engine as the run has it."""
    inputs = training.inputs
    combiner = make_combiner(inputs.combiner, inputs.weights, np.random.default_rng(0))
    return Engine(training.model, combiner, training.generators)


def moved(before: dict, after: dict) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("combiner", ["addition", "pcgrad"])
def test_a_frozen_trunk_stays_to_the_bit_and_heads_learn(run_of, combiner):
    model, inputs = run_of(combiner, freeze_trunk=True)
    before = trunk(model), heads(model)
    tables = train(model, inputs)
    assert not moved(before[0], trunk(model))
    assert moved(before[1], heads(model)) == set(before[1])
    losses = [np.mean([r["loss"] for r in tables.steps if r["epoch"] == e]) for e in (1, 2)]
    assert losses[1] < losses[0]
    assert {row["acted"] for row in tables.steps} == {False}
    assert not tables.gramians


def test_no_gradient_of_the_trunk_is_computed(run_of):
    model, inputs = run_of(freeze_trunk=True)
    training = Training(model, inputs)
    batches = {
        task: make_batch(inputs.train[task], np.arange(8), inputs.framing[task])
        for task in inputs.tasks
    }
    asked = []
    hidden = model.encoder.forward
    model.encoder.forward = lambda *a, **k: asked.append(torch.is_grad_enabled()) or hidden(*a, **k)
    engine_of(training).heads_step(batches)
    assert asked == [False, False]
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(p.grad is not None for h in model.heads.values() for p in h.parameters())


@pytest.mark.parametrize("combiner", ["addition", "unitary", "pcgrad"])
@pytest.mark.parametrize("parts", [1, 3])
def test_heads_get_the_gradient_of_an_ordinary_step(run_of, combiner, parts):
    """The same draws of dropout, the same heads' gradients: only the trunk's are missing."""
    found = []
    for step in (Engine.step, Engine.heads_step):
        model, inputs = run_of(combiner)
        engine = engine_of(Training(model, inputs))
        batches = {
            task: [
                make_batch(inputs.train[task], index, inputs.framing[task])
                for index in np.array_split(np.arange(9), parts)
            ]
            for task in inputs.tasks
        }
        record = step(engine, batches)
        gradients = [p.grad for h in model.heads.values() for p in h.parameters()]
        found.append((record.losses, gradients))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    for one, two in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, two, atol=1e-7, rtol=1e-5)


class Watched(Progress):
    """Notes after every epoch whether the trunk is where it was."""

    def __init__(self, model):
        self.model, self.before, self.trunk_moved = model, trunk(model), []

    def epoch(self, number, scores, best) -> None:
        self.trunk_moved.append(bool(moved(self.before, trunk(self.model))))


def test_probing_comes_first_then_everything_moves(run_of):
    model, inputs = run_of(epochs=3, probe_epochs=2)
    watched = Watched(model)
    tables = Training(model, inputs, watched).run()
    assert watched.trunk_moved == [False, False, True]
    assert {row["epoch"] for row in tables.gramians} <= {3}


def test_the_first_epochs_are_those_of_probing_alone(run_of):
    """Steps of the probing part are the same, to the bit, whatever follows."""
    alone = train(*run_of(epochs=2, freeze_trunk=True)).steps
    both = train(*run_of(epochs=3, probe_epochs=2)).steps
    assert [r["loss"] for r in alone] == [r["loss"] for r in both[: len(alone)]]
    assert len(both) > len(alone)


def test_rates_of_the_two_parts():
    keys = TrainingConfig(
        epochs=5,
        probe_epochs=2,
        learning_rate=1e-5,
        learning_rate_schedule="linear",
        warmup=0.25,
    )
    probing = Probing(keys, per_epoch=4)
    factors = [probing.rate_factor(n) for n in range(1, 21)]
    assert factors[:8] == pytest.approx([1 / 2, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert [probing.frozen(n) for n in range(1, 21)] == [True] * 8 + [False] * 12
    # Warm-up over a quarter of each part, then down to its end.
    assert factors[8:] == pytest.approx([1 / 3, 2 / 3, 1, *(1 - k / 9 for k in range(9))])


def test_without_probing_the_rate_is_as_it_was():
    from weightwise.train.schedule import rate_factor

    for schedule in ("constant", "linear"):
        keys = TrainingConfig(epochs=2, learning_rate_schedule=schedule, warmup=0.3)
        probing = Probing(keys, 5)
        for number in range(1, 11):
            assert not probing.frozen(number)
            assert probing.rate_factor(number) == rate_factor(number - 1, 10, schedule, 0.3)


def test_heads_move_at_the_probe_rate(run_of):
    """Adam's first step moves every weight by the rate, whatever its gradient."""
    model, inputs = run_of(
        freeze_trunk=True,
        epochs=1,
        examples_per_epoch=8,
        probe_learning_rate=2e-3,
        weight_decay=0.0,
        epsilon=1e-12,
    )
    before = heads(model)
    train(model, inputs)
    steps = torch.cat([(heads(model)[n] - p).abs().flatten() for n, p in before.items()])
    assert steps.max() == pytest.approx(2e-3, rel=1e-3)
    assert (steps > 1.9e-3).float().mean() > 0.5


@pytest.mark.parametrize("schedule", ["min_size", "sequential"])
def test_the_head_of_a_left_out_task_learns_at_the_probe_rate(run_of, schedule):
    """And the others at theirs; in the epochs of probing all do."""
    for probe_epochs in (0, 1):
        model, inputs = run_of(
            trunk_tasks=["SEN"],
            schedule=schedule,
            epochs=1 + probe_epochs,
            probe_epochs=probe_epochs,
            examples_per_epoch=8,
            head_learning_rate=3e-4,
            probe_learning_rate=2e-3,
            weight_decay=0.0,
            epsilon=1e-12,
        )
        before = heads(model)
        train(model, inputs)
        steps = {
            task: max(
                float((heads(model)[name] - value).abs().max())
                for name, value in before.items()
                if name.startswith(task)
            )
            for task in ("SEN", "SIM")
        }
        # Adam's second step is at most a little longer than its rate.
        assert steps["SIM"] >= 1.9e-3
        assert (steps["SEN"] < 3.1e-4) == (probe_epochs == 0)


@pytest.mark.parametrize("loss", ["mse", "cosine_embedding_graded"])
@pytest.mark.parametrize(
    "keys",
    [
        {"freeze_trunk": True},
        {"probe_epochs": 1},
        {"trunk_tasks": ["SEN"]},
        {"trunk_tasks": ["SEN"], "schedule": "sequential", "epoch_surgery": True},
        {"trunk_tasks": ["SEN"], "smart": {}},
    ],
)
def test_a_cosine_without_a_head_is_scored_as_it_is(run_of, keys, loss):
    """There is nothing to train in it but the encoder."""
    cosine = {"pair": "siamese", "decoder": "cosine", "head": "linear", "representation": "mean"}
    model, inputs = run_of(similarity_loss=loss, **cosine, **keys)
    assert not list(model.heads["SIM"].parameters())
    before = heads(model)
    tables = train(model, inputs)
    assert np.isfinite([row["loss"] for row in tables.steps]).all()
    assert {row["task"] for row in tables.steps} == {"SEN", "SIM"}
    assert moved(before, heads(model)) == set(before)


def test_smart_begins_where_probing_ends(run_of):
    """The proximal term is zero in its first step: nothing has moved since its average began."""
    model, inputs = run_of(probe_epochs=1, epochs=2, smart={}, probe_learning_rate=1e-2)
    tables = train(model, inputs)
    terms = [row for row in tables.regularisers if np.isfinite(row["proximal"])]
    first = min(row["step"] for row in terms)
    assert first == len({row["step"] for row in tables.steps}) // 2 + 1
    at = {row["step"]: 0.0 for row in terms}
    for row in terms:
        at[row["step"]] += row["proximal"]
    assert at[first] == 0.0
    assert at[first + 1] > 0.0


def test_a_stopped_probing_goes_on_to_the_same_numbers(run_of, tmp_path):
    from weightwise.train.checkpoint import Checkpoints
    from weightwise.train.resumable import Stopped

    straight = train(*run_of(epochs=3, probe_epochs=1))
    for steps in (3, 9):
        left = [steps]

        def stop(left=left) -> str | None:
            left[0] -= 1
            return "TERM" if left[0] == 0 else None

        checkpoints = Checkpoints(tmp_path / str(steps), "k", 10)
        with pytest.raises(Stopped):
            Training(*run_of(epochs=3, probe_epochs=1)).run(checkpoints, stop)
        again = Training(*run_of(epochs=3, probe_epochs=1)).run(checkpoints)
        assert [r["loss"] for r in again.steps] == [r["loss"] for r in straight.steps]
        assert [r["score"] for r in again.epochs] == [r["score"] for r in straight.epochs]
