"""What a step records, micro-batches, memory, and gradients seen through coordinates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import test_engine
import torch
from core_helpers import SIZES, make_study, random_split
from test_engine import (
    NAMES,
    assert_same,
    batches,
    conflicting,
    current,
    engine_of,
    separate,
    trunk,
)

from weightwise.combine import Combiner, make_combiner
from weightwise.combine.gradattention import GradAttention
from weightwise.data.batches import Framing, make_batch
from weightwise.data.tokens import SpecialTokens
from weightwise.errors import Diverged
from weightwise.model.linear import set_product_dtype
from weightwise.tables import Gramians, Steps, check
from weightwise.train.coordinates import CoordinateReader
from weightwise.train.engine import Engine
from weightwise.train.gramian import blocks_of, inner_products, update_cosine
from weightwise.train.optimiser import AdamW
from weightwise.train.recording import gramian_rows, step_rows
from weightwise.train.schedule import micro_batches

model = test_engine.model
BLOCKS = ["all", "embeddings", "layer_0", "layer_1"]
ARMS = [("addition", None), ("unitary", (0.2, 0.5, 0.3)), ("pcgrad", None), ("gradattention", None)]


def recording(made, combiner, weights=None, every=1, seed=0) -> Engine:
    engine = engine_of(made, combiner, weights, seed)
    engine.record_every = every
    return engine


def block_of_name(name: str) -> str:
    parts = name.removeprefix("encoder.").split(".")
    return f"layer_{parts[1]}" if parts[0] == "layers" else "embeddings"


def wanted_gramians(model, given) -> dict[str, np.ndarray]:
    """By plain autograd and flat vectors in double precision."""
    parts = list(separate(model, given).values())
    found = {}
    for block in BLOCKS:
        flat = np.array(
            [
                torch.cat(
                    [
                        v.double().reshape(-1)
                        for n, v in g.items()
                        if n.startswith("encoder.") and block in ("all", block_of_name(n))
                    ]
                ).numpy()
                for g in parts
            ]
        )
        found[block] = flat @ flat.T
    return found


@pytest.mark.parametrize(("combiner", "weights"), ARMS)
@pytest.mark.parametrize("double", [True, False])
def test_recorded_gramians_are_those_of_the_gradients(model, combiner, weights, double):
    made, given = model(double=double), batches(double=double)
    record = recording(made, combiner, weights).step(given)
    wanted = wanted_gramians(made, given)
    assert list(record.gramians) == BLOCKS
    for block, gramian in record.gramians.items():
        scale = np.sqrt(np.outer(np.diag(wanted[block]), np.diag(wanted[block])))
        tolerance = 1e-12 if double else 2e-6
        assert np.abs((gramian - wanted[block]) / scale).max() < tolerance, block
    blocks = sum(record.gramians[b] for b in BLOCKS[1:])
    assert blocks == pytest.approx(record.gramians["all"], rel=1e-12)


@pytest.mark.parametrize(("combiner", "weights"), ARMS)
def test_cosines_of_a_recorded_step(model, combiner, weights):
    made, given = model(), batches()
    record = recording(made, combiner, weights).step(given)
    flat = torch.stack([trunk(g) for g in separate(made, given).values()])
    update, plain = torch.from_numpy(record.weights) @ flat, flat.sum(0)
    cosine = torch.nn.functional.cosine_similarity
    assert record.update_cosine == pytest.approx(float(cosine(update, plain, dim=0)), abs=1e-6)
    for k, found in enumerate(record.cosines):
        others = [float(cosine(flat[k], flat[j], dim=0)) for j in range(3) if j != k]
        assert found == pytest.approx(min(others), abs=1e-6)
    if combiner == "addition":
        assert record.update_cosine == pytest.approx(1.0, abs=1e-12)
    if combiner == "unitary":
        assert record.update_cosine < 0.999
    assert not record.acted or combiner == "pcgrad"


def test_update_cosine_of_surgery(model):
    made = model(double=False)
    given = conflicting(made)
    record = recording(made, "pcgrad").step(given)
    parts = torch.stack([trunk(g) for g in separate(made, given).values()])
    update = torch.from_numpy(record.weights).float() @ parts
    cosine = torch.nn.functional.cosine_similarity(update, parts.sum(0), dim=0)
    assert record.acted
    assert record.update_cosine == pytest.approx(float(cosine), abs=1e-5)
    assert record.update_cosine < 1 - 1e-4


def test_update_cosine_by_hand():
    gramian = np.array([[1.0, 0.0], [0.0, 4.0]])
    assert update_cosine(gramian, np.array([0.5, 0.5])) == pytest.approx(1.0)
    assert update_cosine(gramian, np.array([1.0, 0.0])) == pytest.approx(1 / np.sqrt(5))
    assert update_cosine(gramian, np.array([-1.0, -1.0])) == pytest.approx(-1.0)
    assert np.isnan(update_cosine(gramian, np.zeros(2)))
    assert np.isnan(update_cosine(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([1.0, 0.5])))
    assert np.isnan(update_cosine(np.full((2, 2), np.nan), np.ones(2)))


def trained(made, combiner, weights, every, steps=7, bf16=False, accumulate=1, clip=None):
    """Weights after a few real steps, with what they recorded."""
    set_product_dtype(made.encoder, bf16)
    arm = make_combiner(combiner, weights, np.random.default_rng(0))
    generators = {t: torch.Generator().manual_seed(k) for k, t in enumerate(made.heads)}
    engine = Engine(made, arm, generators, every)
    optimiser = AdamW(0.9, 0.999, 1e-6)
    optimiser.add(made.trunk_parameters(), 1e-3, 0.01, arm.sampler())
    for head in made.heads.values():
        optimiser.add(head.named_parameters(), 1e-3, 0.01)
    records = []
    for number in range(1, steps + 1):
        given = micro(number % 3, accumulate)
        records.append(engine.step(given, number))
        if clip is not None:
            torch.nn.utils.clip_grad_norm_([p for _, p in made.trunk_parameters()], clip)
        optimiser.step()
        optimiser.zero()
    return {n: p.detach().clone() for n, p in made.named_parameters()}, records


def micro(seed: int, parts: int, count: int = 6, double: bool = False) -> dict:
    """Every task's batch of `count` rows in micro-batches."""
    framing = Framing(SpecialTokens(2, 3), "joint", 24)
    given = {}
    for k, name in enumerate(NAMES):
        classes = {"SEN": 3, "PAR": 2}.get(name)
        split = random_split(10 * seed + k, pair=name != "SEN", classes=classes, count=count)
        made = [make_batch(split, i, framing) for i in micro_batches(np.arange(count), parts)]
        if double:
            made = [
                replace(
                    b,
                    packed=replace(
                        b.packed, mask=b.packed.mask.double(), lengths=b.packed.lengths.double()
                    ),
                    labels=b.labels.double(),
                )
                for b in made
            ]
        given[name] = made
    return given


@pytest.fixture
def noisy(checkpoint):
    """A model with dropout, in single precision; always the same one."""
    from weightwise.model.multitask import MultiTaskModel

    def make():
        study = make_study(checkpoint.parent, training={"dropout": 0.3})
        means = dict.fromkeys(NAMES, 2.0)
        tasks = {t: study.tasks[t] for t in NAMES}
        return MultiTaskModel(tasks, study.training, checkpoint, None, None, None, means, 0, 1)

    return make


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(("combiner", "weights"), [*ARMS, ("unitary", (0.0, 0.4, 0.6))])
def test_recording_changes_no_bit_of_the_training(noisy, combiner, weights, bf16, accumulate):
    off, nothing = trained(noisy(), combiner, weights, 0, bf16=bf16, accumulate=accumulate)
    assert not any(r.gramians for r in nothing)
    for every in (1, 3):
        on, records = trained(noisy(), combiner, weights, every, bf16=bf16, accumulate=accumulate)
        assert all(torch.equal(on[n], off[n]) for n in off)
        assert all(
            np.array_equal(a.losses, b.losses) for a, b in zip(records, nothing, strict=True)
        )
        assert all(
            np.array_equal(a.weights, b.weights) for a, b in zip(records, nothing, strict=True)
        )


def test_which_steps_record_what(noisy):
    _, fixed = trained(noisy(), "addition", None, 3)
    assert [list(r.gramians) for r in fixed] == [BLOCKS, [], [], BLOCKS, [], [], BLOCKS]
    assert [np.isnan(r.update_cosine) for r in fixed] == [False, True, True] * 2 + [False]
    _, surgery = trained(noisy(), "pcgrad", None, 3)
    whole = ["all"]
    assert [list(r.gramians) for r in surgery] == [BLOCKS, whole, whole] * 2 + [BLOCKS]
    assert not any(np.isnan(r.cosines).any() for r in surgery)


def test_task_of_weight_zero_leaves_no_gramian(model):
    made, given = model(), batches()
    record = recording(made, "unitary", (0.0, 0.4, 0.6)).step(given)
    wanted = wanted_gramians(made, given)["all"]
    assert np.isnan(record.gramians["all"][0]).all()
    assert np.isnan(record.gramians["all"][:, 0]).all()
    assert record.gramians["all"][1:, 1:] == pytest.approx(wanted[1:, 1:], rel=1e-9)
    assert np.isnan(record.update_cosine)


def test_single_task_records_its_norm(model):
    made = model(("SEN",))
    given = batches(("SEN",))
    record = recording(made, "baseline").step(given)
    wanted = wanted_gramians(made, given)
    for block in BLOCKS:
        assert record.gramians[block] == pytest.approx(wanted[block], rel=1e-9)
    assert np.isnan(record.cosines).all()
    assert record.update_cosine == pytest.approx(1.0)


@pytest.mark.parametrize(("combiner", "weights"), ARMS)
@pytest.mark.parametrize("parts", [2, 4, 6, 9])
def test_micro_batches_give_the_gradient_of_the_whole_batch(model, combiner, weights, parts):
    """Six rows in four parts are of unequal length; in nine there are six parts."""
    made = model()
    record = recording(made, combiner, weights).step(micro(0, 1, double=True))
    whole = current(made)
    cut = micro(0, parts, double=True)
    assert {len(own) for own in cut.values()} == {min(parts, 6)}
    other = recording(made, combiner, weights).step(cut)
    assert_same(current(made), whole)
    assert other.losses == pytest.approx(record.losses, rel=1e-12)
    assert other.weights == pytest.approx(record.weights, rel=1e-9)
    for block in BLOCKS:
        assert other.gramians[block] == pytest.approx(record.gramians[block], rel=1e-9)


def test_run_in_micro_batches_is_the_same_run(prepared):
    """Without dropout; 41 rows of each task leave a last batch of one row."""
    from weightwise.train import loop

    def run(**keys):
        still = {"epochs": 1, "dropout": 0.0, "encoder_dropout": 0.0}
        study = prepared(training=still | keys)
        cell = study.grid.run("SEN+PAR/pcgrad/default/seed-1")
        fingerprint = study.grid.fingerprint(cell)
        return loop.train(study.model(cell), study.inputs(cell)), fingerprint

    (one, first), (three, second) = run(), run(accumulate=3)
    assert first != second
    for a, b in zip(one.steps, three.steps, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)


def test_surgery_is_clipped_after_combining(noisy):
    free, records = trained(noisy(), "pcgrad", None, 1, steps=1)
    tight, _ = trained(noisy(), "pcgrad", None, 1, steps=1, clip=1e-12)
    start = {n: p.detach() for n, p in noisy().named_parameters()}
    pulled = [n for n in start if n.startswith("encoder.layers") and start[n].ndim > 1]
    assert min((free[n] - start[n]).abs().max() for n in pulled) > 5e-4
    # Gradients far below epsilon move nothing but for the decay; heads are not clipped.
    assert max((tight[n] - start[n] * (1 - 1e-5)).abs().max() for n in pulled) < 1e-6
    assert all(torch.equal(tight[n], free[n]) for n in start if n.startswith("head_"))
    assert records[0].gramians["all"][0, 0] > 1e-6


@pytest.mark.parametrize("combiner", ["addition", "pcgrad", "gradattention"])
def test_products_in_bfloat16(noisy, combiner):
    """Gradients stay fp32; the Gramian is that of the gradients that are used."""
    exact, _ = trained(noisy(), combiner, None, 1, steps=1)
    made = noisy()
    set_product_dtype(made.encoder, True)
    record = recording(made, combiner).step(batches(double=False))
    assert {p.grad.dtype for p in made.parameters() if p.grad is not None} == {torch.float32}
    combined = trunk({n: g.double() for n, g in current(made).items()})
    gramian = record.gramians["all"]
    squared = record.weights @ gramian @ record.weights
    assert float(combined @ combined) == pytest.approx(squared, rel=1e-4)
    narrow, _ = trained(noisy(), combiner, None, 1, steps=1, bf16=True)
    assert any(not torch.equal(narrow[n], exact[n]) for n in exact)


def peak_bytes(made, combiner, weights, every, accumulate=1) -> int:
    """Largest memory of the CPU allocator during a step, over what was there before it."""
    engine = recording(made, combiner, weights, every)
    given = micro(0, accumulate, count=2)
    engine.step(given)  # coordinates and attention are built in the first step
    for parameter in made.parameters():
        parameter.grad = None
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        engine.step(given)
    totals, first = [], []

    def walk(event):
        if event.name == "[memory]":
            fields = event.extra_fields
            totals.append(fields.total_allocated)
            first.append((event.start_time_ns, fields.total_allocated - fields.alloc_size))
        for child in event.children:
            walk(child)

    for event in profile.profiler.kineto_results.experimental_event_tree():
        walk(event)
    return max(totals) - min(first)[1]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_memory_is_one_more_gradient_per_task_at_most(checkpoint, accumulate):
    from core_helpers import write_checkpoint

    from weightwise.model.multitask import MultiTaskModel

    # Wide layers: gradients outweigh the activations of two short rows.
    wide = SIZES | {"hidden_size": 128, "intermediate_size": 512}
    folder = write_checkpoint(checkpoint.parent / "wide", **wide)
    study = make_study(checkpoint.parent)
    tasks = {t: study.tasks[t] for t in NAMES}
    means = dict.fromkeys(NAMES, 2.0)
    made = MultiTaskModel(tasks, study.training, folder, None, None, None, means, 0, 1)
    own = sum(p.numel() * p.element_size() for _, p in made.trunk_parameters())
    plain = peak_bytes(made, "addition", None, 0, accumulate)
    assert plain > own
    for combiner, weights, every in (
        ("pcgrad", None, 0),
        ("pcgrad", None, 1),
        ("gradattention", None, 1),
        ("addition", None, 1),
        ("unitary", (0.2, 0.3, 0.5), 1),
    ):
        extra = peak_bytes(made, combiner, weights, every, accumulate) - plain
        # The sum of the first task's gradient takes no more than addition's own.
        assert own < extra <= len(NAMES) * own * 1.02, (combiner, every, extra / own)


class Looking(Combiner):
    """Takes the coordinates that a test names and keeps what it was shown."""

    reads_gradients = True
    chosen: np.ndarray

    def coordinates(self, size):
        self.size = size
        return self.chosen

    def __call__(self, gramian, losses, gradients):
        self.seen = gradients
        return np.ones(len(losses))


def test_combiner_sees_the_gradients_on_its_coordinates(model):
    made, given = model(), batches(count=2)
    looking = Looking(None, np.random.default_rng(0))
    engine = Engine(made, looking, {t: torch.Generator() for t in made.heads})
    table = made.encoder.word_embeddings.weight
    others = [n for n, p in made.trunk_parameters() if p is not table]
    names = [f"encoder.{n}" for n in ["word_embeddings.weight", *others]]
    parts = separate(made, given)
    flat = np.array([torch.cat([g[n].reshape(-1) for n in names]).numpy() for g in parts.values()])
    generator = np.random.default_rng(1)
    for count in (1, 30, 4000, flat.shape[1]):
        looking.chosen = np.sort(generator.choice(flat.shape[1], count, replace=False))
        engine.step(given)
        assert looking.size == flat.shape[1]
        assert looking.seen.shape == (3, count)
        assert looking.seen == pytest.approx(flat[:, looking.chosen], rel=1e-9, abs=1e-12)
    assert (flat[:, : table.numel()] == 0).mean() > 0.2  # rows that no task used are among them


def test_coordinates_outside_the_trunk_are_refused():
    table, other = torch.zeros(4, 3), [torch.zeros(5)]
    for wrong in ([17], [-1, 3]):
        with pytest.raises(ValueError, match="outside the trunk's 17 parameters"):
            CoordinateReader(np.array(wrong), table, other)
    with pytest.raises(ValueError, match="must ascend"):
        CoordinateReader(np.array([3, 3]), table, other)


def test_gradattention_in_the_engine_keeps_the_heads(model):
    made, given = model(double=False), batches(double=False)
    parts = separate(made, given)
    record = engine_of(made, "gradattention").step(given)
    assert record.weights == pytest.approx(np.full(3, 1 / 3))
    mine = current(made)
    flat = torch.stack([trunk(g) for g in parts.values()])
    assert torch.allclose(trunk(mine), flat.mean(0), atol=1e-5)
    heads = {k: v for g in parts.values() for k, v in g.items() if not k.startswith("encoder.")}
    assert_same({k: v for k, v in mine.items() if k in heads}, heads, atol=1e-6)


def test_sampled_elements_alone_move(noisy):
    """The paper's update: of the trunk a part, of the heads everything."""
    made = noisy()
    options = GradAttention.Options(update="sample", sample_fraction=0.25, coordinates=50)
    arm = GradAttention(None, np.random.default_rng(0), options)
    engine = Engine(made, arm, {t: torch.Generator() for t in made.heads})
    optimiser = AdamW(0.9, 0.999, 1e-6)
    optimiser.add(made.trunk_parameters(), 1e-3, 0.1, arm.sampler())
    for head in made.heads.values():
        optimiser.add(head.named_parameters(), 1e-3, 0.1)
    before = torch.cat([p.detach().reshape(-1).clone() for _, p in made.trunk_parameters()])
    heads = {n: p.detach().clone() for n, p in made.named_parameters() if n.startswith("head_")}
    engine.step(batches(double=False))
    optimiser.step()
    after = torch.cat([p.detach().reshape(-1) for _, p in made.trunk_parameters()])
    moved = float((after != before).float().mean())
    assert 0.2 < moved < 0.27
    assert all((p != heads[n]).any() for n, p in made.named_parameters() if n in heads)


@pytest.mark.parametrize("combiner", ["addition", "pcgrad"])
def test_gradient_that_is_not_finite_names_its_task_where_recorded(model, combiner):
    made = model(double=False)
    loss = made.loss

    def poisoned(task, *arguments, **keys):
        value = loss(task, *arguments, **keys)
        if task == "PAR":
            value.register_hook(lambda grad: grad * float("nan"))
        return value

    made.loss = poisoned
    with pytest.raises(Diverged, match="the gradient of task PAR is not finite"):
        recording(made, combiner).step(batches(double=False))


def test_run_that_diverges_keeps_its_tables(prepared):
    from weightwise.train import loop

    study = prepared(training={"epochs": 2, "learning_rate": 1e38})
    cell = study.grid.run("SEN+PAR/addition/default/seed-1")
    training = loop.Training(study.model(cell), study.inputs(cell))
    with pytest.raises(Diverged, match=r"of task \w+ is .* in step \d+ of 12 \(epoch") as raised:
        training.run()
    tables = training.tables
    step = int(str(raised.value).split(" in step ")[1].split()[0])
    assert [row["step"] for row in tables.steps] == [s for s in range(1, step) for _ in range(2)]
    assert [row["step"] for row in tables.step_times] == list(range(1, step))
    assert {row["step"] for row in tables.gramians} == {1}


def test_rows_fit_their_tables(noisy):
    import pandas as pd

    _, records = trained(noisy(), "pcgrad", None, 2, steps=2)
    rows = [r for n, x in enumerate(records, 1) for r in step_rows(NAMES, x, n, 1)]
    steps = check(pd.DataFrame(rows), Steps, "steps")
    assert steps["task"].tolist() == list(NAMES) * 2
    rows = [r for n, x in enumerate(records, 1) for r in gramian_rows(NAMES, x, n, 1)]
    table = check(pd.DataFrame(rows), Gramians, "gramians")
    assert table.groupby("step").size().to_dict() == {1: 4 * 6, 2: 6}
    pairs = set(zip(table["first"], table["second"], strict=True))
    assert len(pairs) == 6
    row = table[(table["step"] == 2) & (table["first"] == "SEN") & (table["second"] == "SIM")]
    assert row["product"].item() == records[1].gramians["all"][0, 2]


def test_record_every_decides_no_result(prepared):
    """Another value makes nothing due."""
    study, other = prepared(), prepared(training={"record_every": 3})
    for run in study.grid.runs:
        assert study.grid.fingerprint(run) == other.grid.fingerprint(other.grid.run(run.id))
        assert study.key(run) == other.key(other.grid.run(run.id))


def test_blocks_of_parameters():
    names = ["word_embeddings.weight", "embedding_norm.bias", "layers.0.output.weight"]
    names += ["layers.11.output.bias", "pooler.weight", "layers.0.output.bias"]
    assert blocks_of(names) == {
        "embeddings": [0, 1],
        "layer_0": [2, 5],
        "layer_11": [3],
        "pooler": [4],
    }


def test_inner_products_by_parameter():
    generator = torch.Generator().manual_seed(0)
    lists = [[torch.randn(s, generator=generator) for s in ((4, 3), (7,))] for _ in range(3)]
    found = inner_products(lists)
    wanted = [
        [float((a * b).sum()) for a, b in zip(lists[i], lists[j], strict=True)]
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    ]
    assert torch.allclose(found, torch.tensor(wanted), atol=1e-5)
