"""AdamW against torch's, and which examples make a step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from weightwise.train.optimiser import AdamW
from weightwise.train.schedule import (
    batches_of_epoch,
    epoch_length,
    examples_of_epoch,
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


SIZES = {"A": 30, "B": 13, "C": 21}


def test_epoch_length_is_the_studys():
    assert epoch_length("min_size", SIZES, None) == 13
    assert epoch_length("max_size", SIZES, None) == 30
    assert epoch_length("min_size", SIZES, 8) == 8
    assert epoch_length("min_size", SIZES, 20) == 13


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
    assert steps_of_epoch(13, 5) == 3
    assert steps_of_epoch(15, 5) == 3
    assert steps_of_epoch(1, 5) == 1


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
