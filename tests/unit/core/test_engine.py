"""One step: its gradient is that of the combined loss, and says when it is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from core_helpers import make_study, random_batch

from weightwise.combine import make_combiner
from weightwise.combine.pcgrad import PCGrad
from weightwise.errors import Diverged
from weightwise.model.multitask import MultiTaskModel
from weightwise.train.engine import Engine
from weightwise.train.gramian import gramian_of, lowest_cosines

NAMES = ("SEN", "PAR", "SIM")


@pytest.fixture
def model(checkpoint):
    """`model(names)` -> a model without dropout, in double precision."""

    def make(names=NAMES, changes=None, double=True):
        study = make_study(checkpoint.parent, training={"dropout": 0.0, "encoder_dropout": 0.0})
        tasks = {t: study.tasks[t].model_copy(update=(changes or {}).get(t, {})) for t in names}
        means = dict.fromkeys(tasks, 2.0)
        made = MultiTaskModel(tasks, study.training, checkpoint, None, None, None, means, 0, 1)
        return made.double() if double else made

    return make


def batches(names=NAMES, seed: int = 0, count: int = 6, double: bool = True) -> dict:
    made = {}
    for k, name in enumerate(names):
        classes = {"SEN": 3, "PAR": 2}.get(name)
        batch = random_batch(10 * seed + k, pair=name != "SEN", classes=classes, count=count)
        if double:
            packed = replace(
                batch.packed, mask=batch.packed.mask.double(), lengths=batch.packed.lengths.double()
            )
            batch = replace(batch, packed=packed, labels=batch.labels.double())
        made[name] = batch
    return made


def engine_of(model, combiner, weights=None, seed=0):
    generators = {t: torch.Generator().manual_seed(0) for t in model.heads}
    return Engine(model, make_combiner(combiner, weights, np.random.default_rng(seed)), generators)


def separate(model, given) -> dict[str, dict[str, torch.Tensor]]:
    """Every task's gradient of every parameter that it has, by plain autograd."""
    found = {}
    for task, batch in given.items():
        model.zero_grad(set_to_none=True)
        model.loss(task, batch).backward()
        found[task] = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def trunk(gradients: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([v.reshape(-1) for k, v in gradients.items() if k.startswith("encoder.")])


def heads(gradients: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: v for k, v in gradients.items() if not k.startswith("encoder.")}


def current(model) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_same(one: dict, other: dict, **tolerance) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.allclose(one[name], other[name], **({"atol": 1e-10} | tolerance)), name


@pytest.mark.parametrize(
    ("combiner", "weights"),
    [("addition", (1.0, 1.0, 1.0)), ("unitary", (0.2, 0.5, 0.3)), ("unitary", (0.0, 1.0, 0.0))],
)
def test_gradient_is_that_of_the_weighted_sum(model, combiner, weights):
    made, given = model(), batches()
    engine = engine_of(made, combiner, weights)
    record = engine.step(given)
    mine = current(made)
    made.zero_grad(set_to_none=True)
    losses = [made.loss(t, b) for t, b in given.items()]
    sum(w * x for w, x in zip(weights, losses, strict=True)).backward()
    assert_same(mine, current(made))
    assert mine["encoder.word_embeddings.weight"].shape == (60, 32)
    assert record.losses == pytest.approx([x.item() for x in losses])
    assert record.weights.tolist() == list(weights)
    assert np.isnan(record.cosines).all()
    assert not record.acted


def test_rows_of_the_last_step_are_forgotten(model):
    made, given, earlier = model(), batches(seed=1, count=2), batches(seed=0, count=2)
    engine = engine_of(made, "addition")
    engine.step(earlier)
    made.zero_grad(set_to_none=True)
    engine.step(given)
    mine = current(made)
    parts = separate(made, given)
    assert_same(mine, {n: sum(p[n] for p in parts.values() if n in p) for n in mine})
    used, before = (
        set(torch.cat([b.packed.ids for b in g.values()]).tolist()) for g in (given, earlier)
    )
    assert before - used
    rows = mine["encoder.word_embeddings.weight"].abs().sum(1).nonzero()[:, 0]
    assert set(rows.tolist()) == used


def test_clipping_of_the_last_step_leaves_no_trace(model):
    """The table's gradient is kept between steps; whoever scales it must not reach the next."""
    made = model()
    engine = engine_of(made, "addition")
    engine.step(batches())
    mine = current(made)
    torch.nn.utils.clip_grad_norm_([p for _, p in made.trunk_parameters()], 1e-3)
    made.zero_grad(set_to_none=True)
    engine.step(batches())
    assert_same(mine, current(made))


def conflicting(model) -> dict:
    """The first batches whose gradients conflict."""
    for seed in range(40):
        given = batches(seed=seed, double=False)
        flat = [trunk(g) for g in separate(model, given).values()]
        if min(float(flat[i] @ flat[j]) for i, j in ((0, 1), (0, 2), (1, 2))) < 0:
            return given
    raise AssertionError("no conflict found")


def test_pcgrad_combines_the_trunk_and_leaves_the_heads(model):
    made = model(double=False)
    given = conflicting(made)
    parts = separate(made, given)
    flat = np.array([trunk(g).double().numpy() for g in parts.values()])
    record = engine_of(made, "pcgrad", seed=3).step(given)
    want = PCGrad(None, np.random.default_rng(3))(flat @ flat.T, np.ones(3))
    assert record.weights == pytest.approx(want, abs=1e-4)
    assert np.abs(want - 1).max() > 1e-2
    assert record.acted
    mine = current(made)
    assert np.allclose(trunk(mine), want @ flat, rtol=1e-4, atol=1e-4)
    assert_same(heads(mine), {k: v for g in parts.values() for k, v in heads(g).items()}, atol=1e-5)


def test_unitary_scales_the_heads(model):
    made, given = model(), batches()
    parts = separate(made, given)
    engine_of(made, "unitary", (0.2, 0.5, 0.3)).step(given)
    scaled = {
        k: v * w
        for g, w in zip(parts.values(), (0.2, 0.5, 0.3), strict=True)
        for k, v in heads(g).items()
    }
    assert_same(heads(current(made)), scaled)


def test_record_of_surgery(model):
    made, given = model(double=False), batches(double=False)
    flat = [trunk(g) for g in separate(made, given).values()]
    record = engine_of(made, "pcgrad").step(given)
    cosine = torch.nn.functional.cosine_similarity
    pairs = [[float(cosine(a, b, dim=0)) for b in flat if b is not a] for a in flat]
    assert record.cosines == pytest.approx([min(p) for p in pairs], abs=1e-4)
    with torch.no_grad():
        losses = [float(made.loss(t, b)) for t, b in given.items()]
    assert record.losses == pytest.approx(losses, rel=1e-5)


def test_surgery_needs_no_common_representation(model):
    """One task reads the pooler, the other does not: its gradient there is zero."""
    made = model(("SEN", "SIM"), {"SIM": {"representation": "pooler"}}, double=False)
    given = batches(("SEN", "SIM"), double=False)
    engine_of(made, "addition").step(given)
    pooled = current(made)["encoder.pooler.weight"]
    made.zero_grad(set_to_none=True)
    record = engine_of(made, "pcgrad").step(given)
    assert torch.allclose(made.encoder.pooler.weight.grad, pooled * record.weights[1], atol=1e-6)


def test_single_precision_step(model):
    made, given = model(double=False), batches(double=False)
    parts = separate(made, given)
    engine_of(made, "addition").step(given)
    mine = current(made)
    summed = {n: sum(p[n] for p in parts.values() if n in p) for n in mine}
    assert_same(mine, summed, rtol=1e-4, atol=1e-5)


def test_gramian_is_that_of_the_flat_gradients():
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (7,), (2, 2, 2)]
    lists = [[torch.randn(s, generator=generator) for s in shapes] for _ in range(4)]
    flat = np.array([torch.cat([t.reshape(-1) for t in g]).double().numpy() for g in lists])
    gramian = gramian_of(lists)
    assert gramian.dtype == np.float64
    assert np.allclose(gramian, flat @ flat.T, rtol=1e-5, atol=1e-5)
    assert np.array_equal(gramian, gramian.T)


def test_lowest_cosines():
    gramian = np.array([[4.0, -2.0, 1.0], [-2.0, 4.0, 3.0], [1.0, 3.0, 9.0]])
    assert lowest_cosines(gramian) == pytest.approx([-0.5, -0.5, 1 / 6])
    assert np.isnan(lowest_cosines(np.ones((1, 1)))).all()
    zero = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.5, 1.0]])
    assert np.isnan(lowest_cosines(zero)[0])
    assert lowest_cosines(zero)[1:] == pytest.approx([0.5, 0.5])
    assert gramian[0, 0] == 4.0


@pytest.mark.parametrize("combiner", ["addition", "pcgrad"])
def test_loss_that_is_not_finite_names_its_task(model, combiner):
    made = model()
    with torch.no_grad():
        made.heads["PAR"].last.bias.fill_(float("nan"))
    with pytest.raises(Diverged, match="the loss of task PAR is nan"):
        engine_of(made, combiner).step(batches())


def test_gradient_that_is_not_finite_names_its_task(model):
    """A finite loss whose gradient is not: the step may not be taken."""
    made = model(double=False)
    loss = made.loss

    def poisoned(task, *arguments, **keys):
        value = loss(task, *arguments, **keys)
        if task == "SIM":
            value.register_hook(lambda grad: grad * float("inf"))
        return value

    made.loss = poisoned
    with pytest.raises(Diverged, match="the gradient of task SIM is not finite"):
        engine_of(made, "pcgrad").step(batches(double=False))


def test_the_same_noise_in_every_arm(checkpoint):
    """A task's dropout stream is its own, so its first loss is the same alone and in a group."""
    study = make_study(checkpoint.parent, training={"dropout": 0.4})

    def first_loss(names, combiner):
        tasks = {t: study.tasks[t] for t in names}
        means = dict.fromkeys(tasks, 2.0)
        made = MultiTaskModel(tasks, study.training, checkpoint, None, None, None, means, 0, 1)
        given = {
            t: random_batch(NAMES.index(t), pair=t != "SEN", classes=2 if t != "SIM" else None)
            for t in names
        }
        record = engine_of(made, combiner).step(given)
        return dict(zip(names, record.losses, strict=True))

    alone = first_loss(("SEN",), "baseline")["SEN"]
    for combiner in ("addition", "pcgrad"):
        assert first_loss(("PAR", "SEN"), combiner)["SEN"] == alone


def flat(gradients: dict[str, torch.Tensor], model) -> np.ndarray:
    """All parameters of the model as one vector, zero where a task has none, as the popular PCGrad
    port lays them out: the trunk first, then every head."""
    names = sorted(dict(model.named_parameters()), key=lambda n: not n.startswith("encoder."))
    sizes = dict(model.named_parameters())
    parts = [gradients.get(n, torch.zeros_like(sizes[n])).reshape(-1) for n in names]
    return torch.cat(parts).double().numpy()


def port_of_pcgrad(vectors: np.ndarray) -> np.ndarray:
    """What the popular port adds up: its projections are over all parameters, heads included."""
    projected = vectors.copy()
    for i in range(len(vectors)):
        for j in range(len(vectors)):
            if j != i and (product := projected[i] @ vectors[j]) < 0:
                projected[i] -= product / (vectors[j] @ vectors[j]) * vectors[j]
    return projected.sum(axis=0)


def test_heads_play_no_part_in_surgery(model):
    """Two faults of the popular port: the heads' gradients stand in the denominator, so conflicts
    are mended by halves; and a head is changed by projections of other tasks' gradients."""
    made = model(("SEN", "PAR"), double=False)
    for seed in range(60):
        given = batches(("SEN", "PAR"), seed=seed, double=False)
        parts = separate(made, given)
        shared = np.array([trunk(g).double().numpy() for g in parts.values()])
        if shared[0] @ shared[1] < -0.1 * np.prod(np.linalg.norm(shared, axis=1)):
            break
    else:
        raise AssertionError("no strong conflict found")
    engine_of(made, "pcgrad").step(given)
    mine = current(made)
    assert np.allclose(trunk(mine), port_of_pcgrad(shared), rtol=1e-3, atol=1e-4)

    whole = np.array([flat(g, made) for g in parts.values()])
    port = port_of_pcgrad(whole)
    trunk_size = shared.shape[1]
    scale = np.abs(shared).max()
    assert np.abs(port[:trunk_size] - port_of_pcgrad(shared)).max() > 1e-2 * scale
    own_heads = whole.sum(axis=0)[trunk_size:]
    assert np.allclose(flat(mine, made)[trunk_size:], own_heads, atol=1e-5)
    assert np.abs(port[trunk_size:] - own_heads).max() > 1e-2 * np.abs(own_heads).max()


@pytest.mark.parametrize(
    "combiner", ["pcgrad_alpha", "mgda", "cagrad(c=0.7)", "imtl_g", "upgrad", "torchjd:AlignedMTL"]
)
def test_every_surgery_combines_the_trunk_and_leaves_the_heads(model, combiner):
    made = model(double=False)
    given = conflicting(made)
    parts = separate(made, given)
    vectors = np.array([trunk(g).double().numpy() for g in parts.values()])
    alphas = (0.2, 0.5, 0.3)
    record = engine_of(made, combiner, alphas, seed=3).step(given)
    mine = current(made)
    size = np.abs(record.weights[:, None] * vectors).max()
    assert np.allclose(trunk(mine), record.weights @ vectors, atol=1e-4 * size)
    want = make_combiner(combiner, alphas, np.random.default_rng(3))
    assert record.weights == pytest.approx(want(vectors @ vectors.T, np.ones(3)), abs=2e-3)
    assert_same(heads(mine), {k: v for g in parts.values() for k, v in heads(g).items()}, atol=1e-5)


def test_random_weights_reach_the_heads_and_are_drawn_anew(model):
    made, given = model(), batches()
    parts = separate(made, given)
    engine = engine_of(made, "random", seed=4)
    want = make_combiner("random", None, np.random.default_rng(4))
    for _ in range(2):
        record = engine.step(given)
        drawn = want.fixed_weights(3)
        assert record.weights.tolist() == drawn.tolist()
        mine = current(made)
        scaled = [
            {k: v * w for k, v in g.items()} for g, w in zip(parts.values(), drawn, strict=True)
        ]
        assert_same(mine, {n: sum(p[n] for p in scaled if n in p) for n in mine})
        made.zero_grad(set_to_none=True)
    assert len(set(drawn)) == 3
