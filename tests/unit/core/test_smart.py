"""SMART's terms: what is perturbed and how, what the divergences are, what reaches the gradient."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from core_helpers import make_study, random_split
from test_engine import assert_same, current, heads, separate, trunk

from weightwise.combine import COMBINERS, make_combiner
from weightwise.config.training import SmartConfig
from weightwise.data.batches import Framing, make_batch
from weightwise.data.tokens import SpecialTokens
from weightwise.errors import UserError
from weightwise.model.heads import Target
from weightwise.model.linear import set_product_dtype
from weightwise.model.multitask import MultiTaskModel
from weightwise.train import smart as smart_module
from weightwise.train.engine import Engine
from weightwise.train.schedule import micro_batches
from weightwise.train.smart import Smart, ascend, divergences, frozen, make_smart

CLASSES = {"SEN": 3, "PAR": 2}
# How the outputs of every kind of task come about.
SHAPES = [
    ("SEN", {}),
    ("PAR", {}),
    ("PAR", {"pair": "siamese", "decoder": "product"}),
    ("SIM", {"output": "identity"}),
    ("SIM", {"pair": "siamese", "similarity_loss": "cross_entropy"}),
    (
        "SIM",
        {"pair": "siamese", "decoder": "cosine", "similarity_loss": "cosine_embedding_graded"},
    ),
]


class Repeatable(Smart):
    """Starts every perturbation at noise that depends on the token alone, so that a row meets the
    same one in every batch that holds it."""

    def _start(self, task: str, words: torch.Tensor) -> torch.Tensor:
        scrambled = (words.detach().double() * 1e6).sin() * 1e4
        return ((scrambled - scrambled.floor() - 0.5) * 4 * self.keys.sigma).to(words.dtype)


@pytest.fixture
def model(checkpoint):
    """`model(names, training={...})` -> a model; no dropout and double precision unless asked."""

    def make(names=("SEN", "PAR", "SIM"), double=True, dropout=0.0, **training):
        keys = {"dropout": dropout, "encoder_dropout": dropout} | training
        study = make_study(checkpoint.parent, training=keys)
        tasks = {t: study.tasks[t] for t in names}
        means = dict.fromkeys(tasks, 2.0)
        made = MultiTaskModel(tasks, study.training, checkpoint, None, None, None, means, 0, 1)
        return made.double() if double else made

    return make


def doubled(batch):
    packed = replace(
        batch.packed, mask=batch.packed.mask.double(), lengths=batch.packed.lengths.double()
    )
    return replace(batch, packed=packed, labels=batch.labels.double())


def batch_of(made, task: str, seed: int = 0, index=None, count: int = 6):
    """A batch of a random split, in the precision of the model."""
    split = random_split(seed, count=count, pair=task != "SEN", classes=CLASSES.get(task))
    framing = Framing(SpecialTokens(2, 3), made.pairs[task] or "joint", 24, None)
    index = np.arange(count) if index is None else np.asarray(index)
    batch = make_batch(split, index, framing)
    return doubled(batch) if next(made.parameters()).dtype == torch.float64 else batch


def smart_of(made, kind=Smart, tasks=None, **keys) -> Smart:
    made_up = make_smart(made, SmartConfig(tasks=tasks, **keys), 0, 1)
    return kind(made, made_up.keys, made_up.generators)


def engine_of(made, smart, combiner="addition", weights=None) -> Engine:
    generators = {t: torch.Generator().manual_seed(0) for t in made.heads}
    made_up = make_combiner(combiner, weights, np.random.default_rng(0))
    return Engine(made, made_up, generators, smart=smart)


def words_of(made, batch) -> torch.Tensor:
    return made.encoder.word_embeddings(batch.packed.ids)


class Passes:
    """Every pass through a model: its word embeddings and its outputs."""

    def __init__(self, made):
        self.words: list[torch.Tensor] = []
        self.outputs: list[torch.Tensor] = []
        whole = made.outputs

        def outputs(task, batch, generator=None, words=None, detach=False):
            found = whole(task, batch, generator, words, detach)
            self.words.append(words.detach())
            self.outputs.append(found.detach())
            return found

        made.outputs = outputs


# ---------------------------------------------------------------- divergences


def kullback_leibler(p, q) -> float:
    return sum(x * math.log(x / y) for x, y in zip(p, q, strict=True))


def distribution(logits) -> list[float]:
    total = sum(math.exp(x) for x in logits)
    return [math.exp(x) / total for x in logits]


@pytest.mark.parametrize(
    "target",
    [Target("classification", classes=4), Target("regression", "relu", 1, 4, "cross_entropy")],
)
def test_divergence_of_classes_is_the_symmetrised_kullback_leibler(target):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(5, 4, generator=generator) for _ in range(2))
    want = [
        kullback_leibler(distribution(x), distribution(y))
        + kullback_leibler(distribution(y), distribution(x))
        for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert divergences(target, a, b).tolist() == pytest.approx(want)


def test_divergence_of_a_binary_task_is_that_of_its_two_classes():
    a, b = torch.tensor([[-1.5], [0.0], [3.0]]), torch.tensor([[2.0], [0.1], [3.0]])
    want = []
    for (x,), (y,) in zip(a.tolist(), b.tolist(), strict=True):
        p, q = distribution([x, 0.0]), distribution([y, 0.0])
        want.append(kullback_leibler(p, q) + kullback_leibler(q, p))
    assert divergences(Target("binary"), a, b).tolist() == pytest.approx(want)


@pytest.mark.parametrize(
    ("target", "want"),
    [
        (Target("regression", "identity", 0, 5), [9.0, 4.0]),
        (Target("regression", "relu", 0, 5), [4.0, 0.0]),
        (Target("regression", "sigmoid", 0, 5), [9.3591836, 1.2267285]),
        (Target("regression", "relu", 0, 5, "cosine_embedding_graded", True), [225.0, 100.0]),
    ],
)
def test_divergence_of_regression_is_the_squared_difference_of_the_values(target, want):
    a, b = torch.tensor([[2.0], [-1.0]]), torch.tensor([[-1.0], [-3.0]])
    assert divergences(target, a, b).tolist() == pytest.approx(want)


@pytest.mark.parametrize("target", [Target("classification", classes=3), Target("binary")])
def test_divergence_of_outputs_that_hardly_differ(target):
    """Against the second-order expansion, delta' F delta with Fisher's matrix F. From fp32's own
    logarithms the value would be noise: it is a million times smaller than their rounding."""
    width = 3 if target.kind == "classification" else 1
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(4, width, generator=generator, dtype=torch.float64)
    b = a + 1e-6 * torch.randn(4, width, generator=generator, dtype=torch.float64)
    a, b = a.float(), b.float()
    found = divergences(target, a, b)
    p, delta = a.double(), (b.double() - a.double())
    if width == 3:
        p = p.softmax(-1)
        want = (p * delta**2).sum(-1) - (p * delta).sum(-1) ** 2
    else:
        want = (p.sigmoid() * (1 - p.sigmoid()) * delta**2).squeeze(-1)
    assert (want > 0).all()
    assert torch.allclose(found, want, rtol=1e-4, atol=0)


# ---------------------------------------------------------------- the perturbation


def test_one_step_upwards_against_loops():
    generator = torch.Generator().manual_seed(0)
    start, gradient = (torch.randn(7, 3, generator=generator).double() for _ in range(2))
    gradient[2] = 0.0
    examples = torch.tensor([0, 0, 2, 1, 1, 1, 0])
    found = ascend(start * 0.3, gradient, examples, 3, 0.5, 0.4)
    for n in range(7):
        own = [
            abs(gradient[m, h].item())
            for m in range(7)
            for h in range(3)
            if examples[m] == examples[n]
        ]
        for h in range(3):
            step = 0.5 * gradient[n, h].item() / max(own) if max(own) > 0 else 0.0
            want = min(max(0.3 * start[n, h].item() + step, -0.4), 0.4)
            assert found[n, h].item() == pytest.approx(want)
    assert (found.abs() == 0.4).any()
    assert (found.abs() < 0.4).any()


@pytest.mark.parametrize(("task", "keys"), SHAPES)
def test_perturbation_lies_in_the_ball_and_only_real_tokens_move(model, task, keys):
    made = model((task,), **keys)
    epsilon = 1e-4
    smart = smart_of(made, epsilon=epsilon, sigma=1e-4, step_size=0.1, proximal=0)
    batch, seen = batch_of(made, task), Passes(made)
    smart.losses(task, batch, torch.Generator(), words_of(made, batch))
    clean, start, moved = seen.words
    real = batch.packed.rows < batch.packed.sequences
    assert not real.all()
    for words in (start, moved):
        assert torch.equal(words[~real], clean[~real])
    d = moved - clean
    assert d.abs().max() <= epsilon * (1 + 1e-9)
    # A step a thousand times as long as the ball is wide takes nearly every element to its edge.
    assert ((d[real].abs() - epsilon).abs() < 1e-9).double().mean() > 0.8
    assert (d[real] != 0).any(dim=1).all()
    assert (start - clean)[real].std() == pytest.approx(1e-4, rel=0.1)
    assert (start - clean).abs().max() > 2 * epsilon  # the start is outside, the end is not


@pytest.mark.parametrize(("task", "keys"), SHAPES)
@pytest.mark.parametrize("epsilon", [1e-5, 1e-2])
def test_perturbation_is_worse_than_the_random_start(model, task, keys, epsilon):
    made = model((task,), **keys)
    smart = smart_of(made, epsilon=epsilon, sigma=epsilon, step_size=100 * epsilon, proximal=0)
    seen, target = Passes(made), made.targets[task]
    inside = []  # the start, projected
    for seed in range(8):
        batch = batch_of(made, task, seed)
        words = words_of(made, batch)
        smart.losses(task, batch, torch.Generator(), words)
        d = (seen.words[-2] - seen.words[-3]).clamp(-epsilon, epsilon)
        outputs = made.outputs(task, batch, None, words + d)
        clean, moved = seen.outputs[-4], seen.outputs[-2]
        inside.append(
            [divergences(target, o, clean).mean().item() for o in (outputs.detach(), moved)]
        )
    random, worst = np.mean(inside, axis=0)
    assert worst > 5 * random


@pytest.mark.parametrize(("task", "keys"), SHAPES)
@pytest.mark.parametrize("bf16", [False, True])
def test_nothing_is_there_without_a_perturbation(model, monkeypatch, task, keys, bf16):
    """Dropout is on: both passes have the same masks. In the first step, so is the average."""
    made = model((task,), double=False, dropout=0.4, **keys)
    set_product_dtype(made.encoder, bf16)
    smart = smart_of(made)
    monkeypatch.setattr(smart_module, "ascend", lambda start, *arguments: torch.zeros_like(start))
    batch, generator = batch_of(made, task), torch.Generator().manual_seed(3)
    own, loss = smart.losses(task, batch, generator, words_of(made, batch))
    assert smart.terms([task]) == {"smoothness": [0.0], "proximal": [0.0]}
    alone = torch.Generator().manual_seed(3)
    assert torch.equal(own, loss)
    assert torch.equal(loss, made.loss(task, batch, alone))
    assert torch.equal(generator.get_state(), alone.get_state())
    # With other masks the outputs are others.
    one, other = (made.outputs(task, batch, generator) for _ in range(2))
    assert divergences(made.targets[task], one, other).mean() > 1e-3


def test_perturbations_start_anew_in_every_step_and_alike_in_every_arm(model):
    made = model(("PAR",))
    batch, starts = batch_of(made, "PAR"), []
    for seed in (1, 1, 2):
        smart = make_smart(made, SmartConfig(), 0, seed)
        starts.append([smart._start("PAR", words_of(made, batch)) for _ in range(2)])
    assert torch.equal(starts[0][0], starts[1][0])
    assert torch.equal(starts[0][1], starts[1][1])
    assert not torch.equal(starts[0][0], starts[0][1])
    assert not torch.equal(starts[0][0], starts[2][0])


# ---------------------------------------------------------------- the value


@pytest.mark.parametrize(("task", "keys"), SHAPES)
def test_value_does_not_grow_with_the_batch(model, task, keys):
    made = model((task,), **keys)
    found = []
    for index in (range(6), [*range(6), *range(6)], [*range(6)] * 5):
        smart = smart_of(made, Repeatable, epsilon=1e-3, sigma=1e-3)
        shift(smart.average)
        batch = batch_of(made, task, index=index)
        smart.losses(task, batch, torch.Generator(), words_of(made, batch))
        terms = smart.terms([task])
        found.append([terms["smoothness"][0], terms["proximal"][0]])
        assert min(found[-1]) > 1e-9
    assert found[1] == pytest.approx(found[0], rel=1e-6)
    assert found[2] == pytest.approx(found[0], rel=1e-6)


def shift(average, scale: float = 0.02, seed: int = 5) -> None:
    """Move the average away from the weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in average.parameters():
            p += scale * torch.randn(p.shape, generator=generator, dtype=p.dtype)


@pytest.mark.parametrize(("task", "keys"), SHAPES)
@pytest.mark.parametrize("combiner", ["addition", "pcgrad"])
def test_micro_batches_change_nothing(model, task, keys, combiner):
    made = model((task,), **keys)
    records, gradients = [], []
    for parts in (1, 4):
        smart = smart_of(made, Repeatable, epsilon=1e-3, sigma=1e-3, weight=100.0)
        shift(smart.average)
        smart.start_step = lambda smart=smart: smart._found.clear()
        given = [batch_of(made, task, index=i) for i in micro_batches(np.arange(6), parts)]
        records.append(engine_of(made, smart, combiner).step({task: given}))
        gradients.append(current(made))
    whole, cut = records
    assert cut.losses == pytest.approx(whole.losses, rel=1e-9)
    for name, values in whole.regularisers.items():
        assert values[0] > 1e-9
        assert cut.regularisers[name] == pytest.approx(values, rel=1e-6)
    assert_same(gradients[0], gradients[1], atol=1e-8)


def plain_divergence(task: str, keys: dict, made, one, other) -> torch.Tensor:
    """l of one example's outputs [1, outputs], by the formulas as papers print them."""
    if task == "SEN" or keys.get("similarity_loss") == "cross_entropy":
        p, q = (torch.exp(o[0]) / torch.exp(o[0]).sum() for o in (one, other))
    elif task == "PAR":
        p, q = (
            torch.cat([1 / (1 + torch.exp(-o[0])), 1 / (1 + torch.exp(o[0]))]) for o in (one, other)
        )
    else:
        y, z = (5 * o[0, 0] if keys.get("decoder") == "cosine" else o[0, 0] for o in (one, other))
        return (y - z) ** 2
    return (p * (p / q).log()).sum() + (q * (q / p).log()).sum()


@pytest.mark.parametrize(("task", "keys"), SHAPES)
def test_whole_loss_and_gradient_against_a_plain_reference(model, task, keys):
    """Example by example, each its own batch without fillers, in double precision."""
    made = model((task,), **keys)
    given = {"epsilon": 2e-2, "sigma": 1e-2, "step_size": 0.03, "weight": 3.0, "proximal": 0.7}
    smart = smart_of(made, Repeatable, decay=0.9, **given)
    before = copy.deepcopy(made)
    shift(made)
    engine = engine_of(made, smart)
    record = engine.step({task: batch_of(made, task)})
    mine = current(made)

    average = copy.deepcopy(made)
    with torch.no_grad():
        for kept, old, new in zip(
            average.parameters(), before.parameters(), made.parameters(), strict=True
        ):
            kept.copy_(0.9 * old + 0.1 * new)
    made.zero_grad(set_to_none=True)
    total, plain, terms = 0.0, 0.0, np.zeros(2)
    for i in range(6):
        batch = batch_of(made, task, index=[i])
        tokens = int(batch.packed.lengths.sum())
        words = words_of(made, batch)
        clean = made.outputs(task, batch, None, words)
        start = smart._start(task, words).clone()
        start[tokens:] = 0.0
        start.requires_grad_()
        moved = made.outputs(task, batch, None, words.detach() + start)
        rise = plain_divergence(task, keys, made, moved, clean.detach())
        (gradient,) = torch.autograd.grad(rise, start)
        d = start.detach() + 0.03 * gradient / gradient.abs().max()
        d = torch.where(d.abs() > 2e-2, 2e-2 * d.sign(), d)
        moved = made.outputs(task, batch, None, words + d)
        with torch.no_grad():
            kept = average.outputs(task, batch)
        smoothness = plain_divergence(task, keys, made, moved, clean)
        proximal = plain_divergence(task, keys, made, clean, kept)
        own = made.targets[task].loss(clean, batch.labels)
        plain += own.item() / 6
        total = total + (own + 3.0 * smoothness + 0.7 * proximal) / 6
        terms += np.array([smoothness.item(), proximal.item()]) / 6
    total.backward()
    assert record.losses[0] == pytest.approx(plain, rel=1e-9)
    assert total.item() > plain + 1e-4
    found = record.regularisers
    assert [found["smoothness"][0], found["proximal"][0]] == pytest.approx(terms, rel=1e-7)
    assert 3.0 * terms[0] > 1e-4
    assert 0.7 * terms[1] > 1e-4
    assert_same(mine, current(made), atol=1e-8)


# ---------------------------------------------------------------- the proximal term


@pytest.mark.parametrize(("task", "keys"), SHAPES)
def test_proximal_term_pulls_towards_the_average(model, task, keys):
    """Close to the average it is a square of the distance, so its gradient times the distance is
    twice its value: against the gradient lies the average."""
    made = model((task,), **keys)
    smart = smart_of(made, weight=0)
    generator, distance = torch.Generator().manual_seed(0), {}
    with torch.no_grad():
        for name, p in made.named_parameters():
            distance[name] = 1e-5 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
            p += distance[name]
    batch = batch_of(made, task)
    gradients = []
    for loss in (lambda *given: smart.losses(*given)[1], made.loss):
        made.zero_grad(set_to_none=True)
        loss(task, batch, torch.Generator(), words_of(made, batch)).backward()
        gradients.append(current(made))
    pull = {n: gradients[0][n] - gradients[1][n] for n in gradients[0]}
    (value,) = smart.terms([task])["proximal"]
    assert np.isnan(smart.terms([task])["smoothness"]).all()
    along = sum(float((pull[n] * distance[n]).sum()) for n in pull)
    assert value > 1e-14
    assert along == pytest.approx(2 * value, rel=1e-2)
    assert not any(p.requires_grad or p.grad is not None for p in smart.average.parameters())


def test_average_follows_the_weights(model):
    """theta_average = decay^t theta_0 + (1 - decay) sum_s decay^(t - s) theta_s."""
    made = model(("SEN",))
    smart = smart_of(made, decay=0.8)
    engine = engine_of(made, smart)
    want = {n: p.detach().numpy().copy() for n, p in made.named_parameters()}
    for step in range(4):
        engine.step({"SEN": batch_of(made, "SEN")})
        for name, p in smart.average.named_parameters():
            assert np.allclose(p.numpy(), want[name], rtol=1e-12, atol=1e-12), (step, name)
        with torch.no_grad():
            for p in made.parameters():
                p += 0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
        want = {n: 0.8 * want[n] + 0.2 * p.detach().numpy() for n, p in made.named_parameters()}


def test_average_is_kept_only_where_it_is_needed(model):
    made = model(("SEN",))
    assert smart_of(made, proximal=0).average is None
    passes = []
    for keys in ({}, {"proximal": 0}, {"weight": 0}):
        one = model(("SEN",))
        smart, seen = smart_of(one, **keys), Passes(one)
        batch = batch_of(one, "SEN")
        smart.losses("SEN", batch, torch.Generator(), words_of(one, batch))
        passes.append(len(seen.outputs))
    assert passes == [3, 3, 1]  # of the weights themselves


# ---------------------------------------------------------------- tasks, combiners, precision


def test_only_the_tasks_that_are_named_have_terms(model):
    names = ("SEN", "PAR")
    found = {}
    for label, tasks in (("none", None), ("one", ("SEN",)), ("all", names)):
        made = model(names, double=False, dropout=0.3)
        smart = None if tasks is None else smart_of(made, tasks=tasks, epsilon=0.1, weight=10.0)
        if smart is not None:
            shift(smart.average)
        engine = engine_of(made, smart, "pcgrad")
        record = engine.step({t: batch_of(made, t, k) for k, t in enumerate(names)})
        states = [g.get_state() for g in engine.generators.values()]
        found[label] = (record, heads(current(made)), states)
    none, one, both = (found[label] for label in ("none", "one", "all"))
    assert none[0].regularisers == {}
    assert [list(np.isnan(v)) for v in one[0].regularisers.values()] == [[False, True]] * 2
    assert not np.isnan(list(both[0].regularisers.values())).any()
    assert one[0].losses[1] == none[0].losses[1]
    # What tables, figures and combiners are told is the tasks' own loss.
    assert list(one[0].losses) == list(both[0].losses) == list(none[0].losses)
    for name, gradient in none[1].items():
        of_sen = name.startswith("head_0")
        assert torch.equal(one[1][name], gradient) is not of_sen
        assert torch.equal(one[1][name], both[1][name]) is of_sen
    for states in zip(none[2], one[2], both[2], strict=True):
        assert torch.equal(states[0], states[1])
        assert torch.equal(states[0], states[2])


def test_tasks_of_other_runs_are_no_tasks_of_this_one(model):
    made = model(("SEN", "PAR"))
    assert make_smart(made, None, 0, 1) is None
    assert make_smart(made, SmartConfig(tasks=("SIM",)), 0, 1) is None
    assert list(make_smart(made, SmartConfig(tasks=("SIM", "PAR")), 0, 1).generators) == ["PAR"]
    assert list(make_smart(made, SmartConfig(), 0, 1).generators) == ["SEN", "PAR"]


@pytest.mark.parametrize("combiner", sorted(set(COMBINERS) - {"baseline"}))
def test_every_combiner_gets_the_gradients_with_the_terms(model, combiner):
    try:
        make_combiner(combiner, (0.2, 0.5, 0.3), np.random.default_rng(0))
    except UserError as error:  # optional packages of torchjd's own
        pytest.skip(str(error))
    made = model(double=False)
    given = {t: batch_of(made, t, k) for k, t in enumerate(made.heads)}

    def smart() -> Smart:
        made_up = smart_of(made, Repeatable, epsilon=0.05, sigma=0.05, step_size=1.0, weight=5.0)
        shift(made_up.average, 0.05)
        made_up.start_step = made_up._found.clear
        return made_up

    alphas = (0.2, 0.5, 0.3)
    record = engine_of(made, smart(), combiner, alphas).step(given)
    mine = current(made)
    parts, plain = [], separate(made, given)
    for task, batch in given.items():
        engine_of(made, smart()).step({task: batch})
        parts.append(current(made))
        assert not np.allclose(trunk(parts[-1]), trunk(plain[task]), rtol=0.1)
    vectors = np.array([trunk(p).double().numpy() for p in parts])
    want = record.weights @ vectors
    assert np.allclose(trunk(mine), want, rtol=1e-3, atol=1e-4 * np.abs(want).max())
    scales = record.weights if COMBINERS[combiner].fixed else np.ones(3)
    own = {n: v * float(w) for p, w in zip(parts, scales, strict=True) for n, v in heads(p).items()}
    assert_same(heads(mine), own, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("task", "keys"), SHAPES)
def test_terms_are_computed_in_single_precision_in_a_run_in_bf16(model, task, keys):
    found, losses = [], []
    for bf16 in (False, True):
        made = model((task,), double=False, dropout=0.2, **keys)
        set_product_dtype(made.encoder, bf16)
        smart = smart_of(made)
        shift(smart.average, 1e-4)
        batch, generator = batch_of(made, task), torch.Generator().manual_seed(0)
        own, loss = smart.losses(task, batch, generator, words_of(made, batch))
        loss.backward()
        assert made.encoder.pooler.product_dtype is (torch.bfloat16 if bf16 else torch.float32)
        found.append(smart.terms([task]))
        alone = made.loss(task, batch, torch.Generator().manual_seed(0))
        losses.append((loss.item() - found[-1]["proximal"][0], alone.item()))
    exact, narrow = found
    # Starts and masks are the same, so the terms are the same to the bit.
    assert narrow == exact
    assert exact["smoothness"][0] > 0
    assert exact["proximal"][0] > 0
    for whole, own in losses:
        assert whole == pytest.approx(own, rel=1e-6)
    assert losses[0][1] != losses[1][1]  # the task's own loss is in bf16


def test_single_precision_is_enough_for_the_default_perturbation(model):
    """The terms of the fp32 model against those of the same model in double precision."""
    for task, keys in SHAPES:
        found = []
        for double in (True, False):
            made = model((task,), double=double, **keys)
            smart = smart_of(made, Repeatable)
            batch = batch_of(made, task)
            smart.losses(task, batch, torch.Generator(), words_of(made, batch))
            found.append(smart.terms([task])["smoothness"][0])
        assert found[1] == pytest.approx(found[0], rel=0.05), task


def test_gradient_of_the_smoothness_term_by_differences(model):
    """Through both passes, with d held where it is."""
    made = model(("SEN",))
    smart = smart_of(made, Repeatable, epsilon=0.05, sigma=0.05, step_size=1.0, proximal=0)
    batch, seen = batch_of(made, "SEN"), Passes(made)
    gradients = []
    for loss in (lambda *given: smart.losses(*given)[1], made.loss):
        made.zero_grad(set_to_none=True)
        loss("SEN", batch, torch.Generator(), words_of(made, batch)).backward()
        gradients.append(current(made)["encoder.layers.0.output.weight"])
    d = seen.words[2] - seen.words[0]
    weight = made.encoder.layers[0].output.weight

    def value() -> float:
        with torch.no_grad():
            words = words_of(made, batch)
            one, other = (made.outputs("SEN", batch, None, w) for w in (words + d, words))
            return float(divergences(made.targets["SEN"], one, other).mean())

    for place in ((0, 0), (3, 7), (20, 30)):
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weight[place] += step
            values.append(value())
            with torch.no_grad():
                weight[place] -= step
        want = (values[0] - values[1]) / 2e-6
        got = float((gradients[0] - gradients[1])[place])
        assert got == pytest.approx(want, rel=1e-4, abs=1e-12)
        assert abs(got) > 1e-9


def test_detached_task_trains_its_head_alone(model):
    made = model(("PAR",))
    smart = smart_of(made, epsilon=0.1)
    shift(smart.average)
    batch = batch_of(made, "PAR")
    words = words_of(made, batch).detach().requires_grad_()
    _, whole = smart.losses("PAR", batch, torch.Generator(), words)
    own = current_of(whole, made)
    terms = smart.terms(["PAR"])
    detached = smart_of(made, epsilon=0.1)
    shift(detached.average)
    _, loss = detached.losses("PAR", batch, torch.Generator(), words, detach=True)
    assert loss.item() == whole.item()
    assert detached.terms(["PAR"]) == terms
    found = current_of(loss, made)
    assert found
    assert all(name.startswith("head_") for name in found)
    assert_same(found, {n: g for n, g in own.items() if n in found})


def current_of(loss, made) -> dict[str, torch.Tensor]:
    made.zero_grad(set_to_none=True)
    loss.backward()
    return current(made)


def test_frozen_gives_back_what_it_found(model):
    made = model(("SEN",))
    made.encoder.pooler.weight.requires_grad_(False)
    before = {n: p.requires_grad for n, p in made.named_parameters()}
    with frozen(made):
        assert not any(p.requires_grad for p in made.parameters())
    assert {n: p.requires_grad for n, p in made.named_parameters()} == before
    assert set(before.values()) == {True, False}
