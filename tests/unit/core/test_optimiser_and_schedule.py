"""AdamW against torch's, and which examples make a step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from weightwise.train.optimiser import AdamW
from weightwise.train.schedule import (
    batches_of_epoch,
    epoch_lengths,
    examples_of_epoch,
    micro_batches,
    plan_of_epoch,
    rate_factor,
    steps_of_epoch,
)


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    one, two = (nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2)) for _ in range(2))
    two.load_state_dict(one.state_dict())
    return one, two


@pytest.mark.parametrize("factor", [lambda step: 1.0, lambda step: 1 - step / 25])
def test_equals_torchs_adamw(factor):
    mine, reference = networks()
    optimiser = AdamW(0.8, 0.95, 1e-6)
    optimiser.add(mine[0].named_parameters(), 1e-2, 0.3)
    optimiser.add(nn.Sequential(mine[1], mine[2]).named_parameters(), 3e-2, 0.3)
    groups = [
        {"params": [reference[0].weight], "lr": 1e-2, "weight_decay": 0.3},
        {"params": [reference[0].bias], "lr": 1e-2, "weight_decay": 0.0},
        {"params": [reference[2].weight], "lr": 3e-2, "weight_decay": 0.3},
        {
            "params": [reference[1].weight, reference[1].bias, reference[2].bias],
            "lr": 3e-2,
            "weight_decay": 0.0,
        },
    ]
    theirs = torch.optim.AdamW(groups, betas=(0.8, 0.95), eps=1e-6)
    rates = [g["lr"] for g in theirs.param_groups]
    for step in range(20):
        x = torch.randn(8, 6)
        for network in (mine, reference):
            network(x).square().mean().backward()
        for group, rate in zip(theirs.param_groups, rates, strict=True):
            group["lr"] = rate * factor(step)
        theirs.step()
        theirs.zero_grad()
        optimiser.step(factor(step))
        optimiser.zero()
    start = networks()[0]
    triples = zip(mine.parameters(), reference.parameters(), start.parameters(), strict=True)
    for one, other, first in triples:
        assert torch.allclose(one, other, rtol=0, atol=1e-6)
        assert (one - first).abs().max() > 1e-2


def test_parameter_without_a_gradient_does_not_move():
    mine, _ = networks()
    optimiser = AdamW(0.9, 0.999, 1e-6)
    optimiser.add(mine.named_parameters(), 1e-2, 0.5)
    mine(torch.randn(4, 6)).sum().backward()
    optimiser.step()
    optimiser.zero()
    assert all(p.grad is None for p in mine.parameters())
    before = {k: v.clone() for k, v in mine.state_dict().items()}
    mine[2](torch.randn(4, 5)).sum().backward()
    optimiser.step()
    moved = {k for k, v in mine.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"2.weight", "2.bias"}
    optimiser.zero()
    optimiser.step()


@pytest.mark.parametrize(("beta1", "beta2"), [(0.8, 0.95), (0.0, 0.9)])
def test_sampled_elements_move_as_if_the_other_steps_had_not_been(beta1, beta2):
    """Against torch's AdamW on every element by itself, stepped only when the element is sampled;
    for the others nothing changes, neither value nor moments nor decay nor count."""
    generator = np.random.default_rng(0)
    parameters = {
        "weight": nn.Parameter(torch.from_numpy(generator.standard_normal((3, 4))).float()),
        "bias": nn.Parameter(torch.from_numpy(generator.standard_normal(3)).float()),
    }
    drawn: list[np.ndarray] = []

    def sampler(size):
        drawn.append(np.flatnonzero(generator.random(size) < 0.4))
        return drawn[-1]

    optimiser = AdamW(beta1, beta2, 1e-6)
    optimiser.add(parameters.items(), 1e-2, 0.3, sampler)
    single = {
        name: [nn.Parameter(x.detach().clone()) for x in p.reshape(-1)]
        for name, p in parameters.items()
    }
    theirs = {
        name: [
            torch.optim.AdamW(
                [x],
                lr=1e-2,
                betas=(beta1, beta2),
                eps=1e-6,
                weight_decay=0.3 if name == "weight" else 0.0,
            )
            for x in own
        ]
        for name, own in single.items()
    }
    for step in range(12):
        factor = 1 - step / 20
        before = [
            {k: [t.clone() for t in getattr(g, k)] for k in ("first", "second", "steps")}
            | {"parameters": [p.detach().clone() for p in g.parameters]}
            for g in optimiser.groups
        ]
        for p in parameters.values():
            p.grad = torch.from_numpy(generator.standard_normal(tuple(p.shape))).float()
        drawn.clear()
        optimiser.step(factor)
        for name, group, old, places in zip(
            parameters, optimiser.groups, before, drawn, strict=True
        ):
            for k in places:
                single[name][k].grad = parameters[name].grad.reshape(-1)[k].clone()
                theirs[name][k].param_groups[0]["lr"] = 1e-2 * factor
                theirs[name][k].step()
            wanted = torch.stack([x.detach() for x in single[name]])
            found = parameters[name].detach().reshape(-1)
            assert torch.allclose(found, wanted, rtol=0, atol=1e-6)
            left = np.setdiff1d(np.arange(found.numel()), places)
            for kind, tensors in old.items():
                now = getattr(group, kind)[0].detach().reshape(-1)
                assert torch.equal(now[left], tensors[0].reshape(-1)[left]), kind
                if len(places) and kind != "parameters":
                    assert (now[places] != tensors[0].reshape(-1)[places]).all(), kind


def test_sampling_everything_is_plain_adamw():
    mine, reference = networks()
    optimisers = []
    for network, sampler in ((mine, np.arange), (reference, None)):
        optimisers.append(AdamW(0.9, 0.999, 1e-6))
        optimisers[-1].add(network.named_parameters(), 1e-2, 0.3, sampler)
    for _ in range(10):
        x = torch.randn(8, 6)
        for network, optimiser in zip((mine, reference), optimisers, strict=True):
            network(x).square().mean().backward()
            optimiser.step()
            optimiser.zero()
    for one, other in zip(mine.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=2e-6)


SIZES = {"A": 30, "B": 13, "C": 21}


@pytest.mark.parametrize(
    ("schedule", "limit", "lengths"),
    [
        ("min_size", None, [13, 13, 13]),
        ("max_size", None, [30, 30, 30]),
        ("min_size", 8, [8, 8, 8]),
        ("min_size", 20, [13, 13, 13]),
        ("round_robin", None, [13, 13, 13]),
        ("sequential", None, [30, 13, 21]),
        ("rotating", 20, [20, 13, 20]),
        ("weakest_last", None, [30, 13, 21]),
    ],
)
def test_epoch_lengths_are_the_studys(schedule, limit, lengths):
    assert list(epoch_lengths(schedule, SIZES, limit).values()) == lengths


def plan(schedule: str, epoch: int = 1, **keys) -> list[dict[str, list[int]]]:
    """The steps of an epoch of A (5 rows), B (3) and C (4) in batches of 2, or of 3 rows each."""
    sizes = {"A": 5, "B": 3, "C": 4}
    if schedule in ("min_size", "max_size", "round_robin"):
        sizes = dict.fromkeys(sizes, 3)
    batches = {t: batches_of_epoch(np.arange(n), 2) for t, n in sizes.items()}
    steps = plan_of_epoch(schedule, batches, epoch, **keys)
    surgery = keys.get("surgery", False)
    assert len(steps) == steps_of_epoch(schedule, sizes, 2, surgery)
    return [{task: index.tolist() for task, index in step.items()} for step in steps]


def test_all_tasks_make_a_step():
    assert plan("min_size") == [{t: [0, 1] for t in "ABC"}, {t: [2] for t in "ABC"}]


def test_round_robin_takes_turns():
    steps = plan("round_robin")
    assert [next(iter(step)) for step in steps] == list("ABCABC")
    assert steps[0] == {"A": [0, 1]}
    assert steps[5] == {"C": [2]}


def order_of(steps: list[dict]) -> str:
    return "".join(next(iter(step)) for step in steps)


def test_one_task_after_the_other():
    assert order_of(plan("sequential", 1)) == order_of(plan("sequential", 2)) == "AAABBCC"
    assert [order_of(plan("rotating", e)) for e in (1, 2, 3, 4)] == [
        "AAABBCC",
        "BBCCAAA",
        "CCAAABB",
        "AAABBCC",
    ]
    assert order_of(plan("weakest_last")) == "AAABBCC"
    assert order_of(plan("weakest_last", 2, weakest="A")) == "BBCCAAA"
    assert order_of(plan("weakest_last", 2, weakest="B")) == "AAACCBB"
    assert plan("sequential")[2] == {"A": [4]}


def test_an_epoch_can_end_with_the_last_batches_of_all():
    steps = plan("rotating", 2, surgery=True)
    assert steps[-1] == {"A": [4], "B": [2], "C": [2, 3]}
    assert order_of(steps[:-1]) == "BBCCAAA"
    alone = {"A": batches_of_epoch(np.arange(5), 2)}
    assert len(plan_of_epoch("sequential", alone, 1, surgery=True)) == 3


def test_larger_set_is_sampled_without_repeats():
    order = examples_of_epoch("A", 30, 13, 1, 0, 1)
    assert len(order) == len(set(order)) == 13
    assert set(order) <= set(range(30))


def test_smaller_set_cycles_through_all_rows_before_repeating():
    order = examples_of_epoch("B", 13, 30, 1, 0, 1)
    assert len(order) == 30
    assert sorted(order[:13]) == sorted(order[13:26]) == list(range(13))
    assert len(set(order[26:])) == 4
    assert order[:13].tolist() != order[13:26].tolist()


def test_every_epoch_task_and_seed_has_an_order_of_its_own():
    orders = [
        tuple(examples_of_epoch(task, 30, 30, epoch, study_seed, seed))
        for task in "AB"
        for epoch in (1, 2, 12)
        for study_seed in (0, 1)
        for seed in (1, 2)
    ]
    assert len(set(orders)) == len(orders)
    assert orders[0] == tuple(examples_of_epoch("A", 30, 30, 1, 0, 1))


def test_epoch_is_sampled_afresh():
    seen = [set(examples_of_epoch("A", 30, 13, epoch, 0, 1)) for epoch in range(1, 6)]
    assert len(set(map(frozenset, seen))) == 5
    assert len(set.union(*seen)) > 20


def test_batches_and_the_last_one():
    batches = list(batches_of_epoch(np.arange(13), 5))
    assert [b.tolist() for b in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12]]
    assert steps_of_epoch("min_size", {"A": 13, "B": 13}, 5) == 3
    assert steps_of_epoch("min_size", {"A": 15}, 5) == 3
    assert steps_of_epoch("max_size", {"A": 1}, 5) == 1


def test_micro_batches_cover_the_batch_in_order():
    assert [b.tolist() for b in micro_batches(np.arange(7), 3)] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [b.tolist() for b in micro_batches(np.arange(2), 3)] == [[0], [1]]
    assert [b.tolist() for b in micro_batches(np.arange(2), 1)] == [[0, 1]]


def test_shapes_of_the_rate():
    flat = [rate_factor(s, 10, "constant", 0.0) for s in range(10)]
    assert flat == [1.0] * 10
    warm = [rate_factor(s, 10, "constant", 0.4) for s in range(10)]
    assert warm == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1])
    falling = [rate_factor(s, 10, "linear", 0.0) for s in range(10)]
    assert falling == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    both = [rate_factor(s, 10, "linear", 0.2) for s in range(10)]
    assert both == pytest.approx([0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    assert rate_factor(0, 1, "linear", 0.99) == 1.0
