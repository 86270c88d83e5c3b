"""One run from configuration to the store, on the tiny study."""

from __future__ import annotations

import os
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from core_helpers import rewrite_tensors, write_checkpoint

from weightwise.config.tasks import SimilarityLoss
from weightwise.data.stage import prepare_study
from weightwise.errors import Diverged, UserError
from weightwise.files import read_json
from weightwise.model.linear import set_product_dtype
from weightwise.tables import (
    Epochs,
    Gramians,
    Predictions,
    Steps,
    StepTimes,
    Timings,
    read_table,
)
from weightwise.train import loop
from weightwise.train.inputs import Prepared
from weightwise.train.run import execute
from weightwise.train.scoring import score_split

PAIR = "SEN+PAR/addition/default/seed-1"
SCHEMAS = {
    "epochs": Epochs,
    "steps": Steps,
    "gramians": Gramians,
    "step_times": StepTimes,
    "timings": Timings,
    "predictions": Predictions,
}


def trained(prepared: Prepared, run_id: str) -> dict:
    """Train a run: its key, folder, record and tables."""
    run = prepared.grid.run(run_id)
    key, now = execute(prepared, run)
    folder = prepared.store.folder(key)
    tables = {name: read_table(folder / f"{name}.parquet", s) for name, s in SCHEMAS.items()}
    return {"key": key, "now": now, "folder": folder, "record": prepared.record(run)} | tables


def train_loss(result, task) -> list[float]:
    epochs = result["epochs"]
    return epochs[epochs["task"] == task].sort_values("epoch")["train_loss"].tolist()


def test_run_leaves_tables_a_record_and_a_marker(prepared):
    study = prepared()
    result = trained(study, PAIR)
    run = study.grid.run(PAIR)
    assert result["now"]
    per_epoch = -(-41 // 8)
    steps = result["steps"]
    assert len(steps) == 3 * per_epoch * 2
    assert steps["step"].max() == 3 * per_epoch
    assert set(steps["weight"]) == {1.0}
    assert result["timings"]["steps"].tolist() == [per_epoch] * 3
    assert result["step_times"]["step"].tolist() == list(range(1, 3 * per_epoch + 1))
    assert result["step_times"]["seconds"].sum() <= result["timings"]["train_seconds"].sum()
    gramians = result["gramians"]
    assert set(gramians["step"]) == {1}
    assert gramians.groupby("block").size().to_dict() == dict.fromkeys(
        ["all", "embeddings", "layer_0", "layer_1"], 3
    )
    assert len(result["epochs"]) == 3 * 2
    predictions = result["predictions"]
    counts = predictions.groupby(["task", "split"]).size()
    assert counts.to_dict() == {
        ("PAR", "dev"): 24,
        ("PAR", "test"): 20,
        ("SEN", "dev"): 24,
        ("SEN", "test"): 20,
    }
    record = result["record"]
    assert record["status"] == "done"
    assert record["epoch_lengths"] == {"SEN": 41, "PAR": 41}
    assert record["key"] == result["key"]
    assert record["precision"] == "fp32"
    marker = study.layout.done(run, study.grid.fingerprint(run))
    assert read_json(marker) == {"id": PAIR, "key": result["key"]}
    assert not study.failed(run).exists()


def test_finished_run_is_not_trained_again(prepared):
    study = prepared()
    first = trained(study, PAIR)
    marker = study.layout.done(study.grid.run(PAIR), study.grid.fingerprint(study.grid.run(PAIR)))
    marker.unlink()
    stamp = (first["folder"] / "run.json").stat().st_mtime_ns
    again = trained(study, PAIR)
    assert not again["now"]
    assert again["key"] == first["key"]
    assert (first["folder"] / "run.json").stat().st_mtime_ns == stamp
    assert marker.exists()


@pytest.mark.parametrize(
    "run_id",
    [
        PAIR,
        "SEN+PAR+SIM/pcgrad/default/seed-1",
        "SEN+PAR+SIM/gradattention/default/seed-1",
    ],
)
def test_run_repeats_to_the_byte(prepared, run_id):
    keys = {
        "groupings": {"up_to": 3},
        "combiners": ["addition", "pcgrad", "gradattention"],
        "training": {"epochs": 2, "clip_norm": 1.0, "accumulate": 2, "record_every": 3},
    }
    torch.manual_seed(1)
    np.random.seed(1)
    one = trained(prepared(**keys), run_id)
    torch.manual_seed(2)
    np.random.seed(2)
    two = trained(prepared(**keys), run_id)
    assert two["now"]
    assert one["key"] == two["key"]
    assert one["folder"] != two["folder"]
    for name in ("epochs", "steps", "gramians", "predictions"):
        data = [(r["folder"] / f"{name}.parquet").read_bytes() for r in (one, two)]
        assert data[0] == data[1], name
    for record in (one["record"], two["record"]):
        for name in ("timings", "step_times"):
            del record["files"][f"{name}.parquet"]
    assert one["record"] == two["record"]


def test_run_does_not_depend_on_the_runs_before_it(prepared):
    """Runs of one process share batches and data, and nothing else."""
    alone = trained(prepared(), PAIR)
    study = prepared()
    trained(study, "SIM/baseline/default/seed-1")
    trained(study, "SEN+PAR/pcgrad/default/seed-1")
    after = trained(study, PAIR)
    assert after["steps"].equals(alone["steps"])
    assert after["predictions"].equals(alone["predictions"])


def test_every_arm_meets_the_same_examples_noise_and_heads(prepared):
    study = prepared(seeds=[1, 2], training={"epochs": 1, "dropout": 0.4})
    runs = ["SEN/baseline", "SEN+PAR/addition", "SEN+SIM/pcgrad", "SEN+PAR/unitary-0.3"]

    def first_loss(run, seed=1):
        steps = trained(study, f"{run}/default/seed-{seed}")["steps"]
        return steps[(steps["task"] == "SEN") & (steps["step"] == 1)]["loss"].item()

    assert len({first_loss(run) for run in runs}) == 1
    assert first_loss(runs[0], 2) != first_loss(runs[0])


def test_baseline_sees_as_many_examples_as_a_pair(prepared):
    study = prepared(training={"epochs": 1})
    for run in ("SEN/baseline", "SIM/baseline", "SEN+SIM/addition"):
        assert trained(study, f"{run}/default/seed-1")["steps"]["step"].max() == 6
    longest = prepared(training={"epochs": 1, "schedule": "max_size"})
    assert trained(longest, "PAR/baseline/default/seed-1")["steps"]["step"].max() == 8
    short = prepared(training={"epochs": 1, "examples_per_epoch": 10})
    assert trained(short, "PAR/baseline/default/seed-1")["steps"]["step"].max() == 2


def test_run_without_recording(prepared):
    """The tables are there, and nothing else differs."""
    on = trained(prepared(training={"epochs": 1, "record_every": 2}), PAIR)
    off = trained(prepared(training={"epochs": 1, "record_every": 0}), PAIR)
    assert len(off["gramians"]) == 0
    assert sorted(set(on["gramians"]["step"])) == [1, 3, 5]
    assert on["key"] == off["key"]
    assert off["predictions"].equals(on["predictions"])
    assert off["epochs"].equals(on["epochs"])
    assert off["steps"]["loss"].equals(on["steps"]["loss"])


def test_weights_and_cosines_of_the_arms(prepared):
    study = prepared(training={"epochs": 1})
    steps = trained(study, "SEN+PAR/unitary-0.3/default/seed-1")["steps"]
    assert steps.groupby("task")["weight"].unique().map(list).to_dict() == {
        "SEN": [0.3],
        "PAR": [0.7],
    }
    assert (steps["cosine"].notna() == (steps["step"] == 1)).all()
    assert not steps["acted"].any()
    steps = trained(study, "SEN+PAR/pcgrad/default/seed-1")["steps"]
    assert steps["cosine"].between(-1, 1).all()
    conflict = steps["cosine"] < 0
    assert (steps["acted"] == conflict).all()
    assert (steps.loc[~conflict, "weight"] == 1).all()
    assert (steps.loc[conflict, "weight"] > 1).all()


class Watch(loop.Progress):
    """Keeps every epoch's weights."""

    def __init__(self, monkeypatch):
        self.weights: list[dict] = []
        original = loop.score_split

        def watched(model, *arguments):
            self.model = model
            return original(model, *arguments)

        monkeypatch.setattr(loop, "score_split", watched)

    def epoch(self, number, scores, best):
        self.weights.append({k: v.clone() for k, v in self.model.state_dict().items()})


def test_best_epoch_counts_on_dev_and_test(prepared, monkeypatch):
    study = prepared(
        groupings={"up_to": 3}, training={"epochs": 6, "learning_rate": 5e-3, "dropout": 0.0}
    )
    run = study.grid.run("SEN+PAR+SIM/addition/default/seed-1")
    watch = Watch(monkeypatch)
    key, _ = execute(study, run, watch)
    record = study.record(run)
    folder = study.store.folder(key)
    epochs = read_table(folder / "epochs.parquet", Epochs)
    predictions = read_table(folder / "predictions.parquet", Predictions)
    model, inputs = study.model(run), study.inputs(run)
    set_product_dtype(model.encoder, False)
    chosen = {}
    for task in run.group:
        scores = epochs[epochs["task"] == task].sort_values("epoch")["score"].to_numpy()
        best = int(np.nanargmax(scores)) + 1
        chosen[task] = best
        assert record["scores"][task]["epoch"] == best
        assert record["scores"][task]["dev"] == scores[best - 1]
        running = [bool(s > max([-2, *scores[:i]])) for i, s in enumerate(scores)]
        assert epochs[epochs["task"] == task].sort_values("epoch")["best"].tolist() == running
        model.load_state_dict(watch.weights[best - 1])
        for split in ("dev", "test"):
            again = score_split(
                model, task, inputs.scoring[task, split], inputs.tasks[task].score_name
            )
            assert record["scores"][task][split] == again.score
            kept = predictions[(predictions["task"] == task) & (predictions["split"] == split)]
            assert np.array_equal(kept["prediction"], again.predictions.astype(float))
            assert np.array_equal(kept["row"], again.rows)
            if again.confidence is not None:
                assert np.array_equal(kept["confidence"], again.confidence.astype(float))
            model.load_state_dict(watch.weights[-1])
            last = score_split(
                model, task, inputs.scoring[task, split], inputs.tasks[task].score_name
            )
            model.load_state_dict(watch.weights[best - 1])
            if best < 6:
                assert last.loss != again.loss
    assert len(set(chosen.values())) > 1, "a test of one snapshot only; change the seed"
    assert min(chosen.values()) < 6


def test_training_learns(prepared):
    study = prepared(training={"epochs": 8, "learning_rate": 3e-3, "dropout": 0.0})
    for run, task in (("SEN/baseline", "SEN"), ("SEN+SIM/pcgrad", "SIM")):
        losses = train_loss(trained(study, f"{run}/default/seed-1"), task)
        assert losses[-1] < 0.8 * losses[0], run


def test_learning_rates_of_encoder_and_heads(prepared):
    def moved(**keys):
        study = prepared(training={"epochs": 1, "dropout": 0.0, **keys})
        run = study.grid.run("SEN/baseline/default/seed-1")
        model = study.model(run)
        start = {k: v.clone() for k, v in model.state_dict().items()}
        loop.train(model, study.inputs(run))
        change = {k: float((v - start[k]).abs().max()) for k, v in model.state_dict().items()}
        head = max(v for k, v in change.items() if not k.startswith("encoder."))
        return max(v for k, v in change.items() if k.startswith("encoder.")), head

    trunk, head = moved(learning_rate=1e-6, head_learning_rate=1e-2)
    assert trunk < 1e-4 < 1e-3 < head
    trunk, head = moved(learning_rate=1e-2)
    assert min(trunk, head) > 1e-3


def test_rate_follows_the_schedule(prepared, monkeypatch):
    factors = []
    monkeypatch.setattr(loop.AdamW, "step", lambda optimiser, factor, _: factors.append(factor))
    keys = {"epochs": 2, "learning_rate_schedule": "linear", "warmup": 0.25}
    trained(prepared(training=keys), PAIR)
    rise, fall = [1 / 3, 2 / 3, 1], [k / 9 for k in range(9, 0, -1)]
    assert factors == pytest.approx(rise + fall)


def test_every_parameter_is_optimised_once_with_its_keys(prepared, monkeypatch):
    seen = []
    monkeypatch.setattr(loop.AdamW, "step", lambda optimiser, *_: seen.append(optimiser))
    keys = {"epochs": 1, "weight_decay": 0.2, "head_learning_rate": 0.5, "epsilon": 1e-4}
    study = prepared(training=keys)
    run = study.grid.run(PAIR)
    model = study.model(run)
    loop.train(model, study.inputs(run))
    assert (seen[0].beta1, seen[0].beta2, seen[0].epsilon) == (0.9, 0.999, 1e-4)
    groups = {
        id(p): (g.learning_rate, g.weight_decay) for g in seen[0].groups for p in g.parameters
    }
    assert sum(len(g.parameters) for g in seen[0].groups) == len(groups)
    for name, parameter in model.named_parameters():
        rate = 1e-3 if name.startswith("encoder.") else 0.5
        want = (rate, 0.2 if parameter.ndim > 1 else 0.0)
        assert groups.pop(id(parameter), None) == (None if "pooler" in name else want), name
    assert not groups


def test_model_holds_what_its_tasks_need(prepared):
    study = prepared()
    run = study.grid.run(PAIR)
    encoder = study.model(run).encoder
    assert encoder.word_embeddings.weight.shape == (len(study.vocabulary(run.group)), 32)
    assert encoder.position_embeddings.weight.shape == (24, 32)


def test_clipping_changes_the_encoder_alone(prepared, monkeypatch):
    norms = []
    step = loop.AdamW.step

    def watched(optimiser, *given):
        groups = optimiser.groups
        squares = [sum(float(p.grad.square().sum()) for p in g.parameters) for g in groups]
        norms.append((sum(squares[:2]) ** 0.5, sum(squares[2:]) ** 0.5))
        step(optimiser, *given)

    monkeypatch.setattr(loop.AdamW, "step", watched)
    trained(prepared(training={"epochs": 1, "clip_norm": 0.01}), PAIR)
    assert max(trunk for trunk, _ in norms) == pytest.approx(0.01, rel=1e-3)
    assert max(head for _, head in norms) > 0.05


def test_bf16_run_is_close(prepared):
    keys = {"epochs": 2, "dropout": 0.0, "encoder_dropout": 0.0}
    exact = trained(prepared(training=keys), PAIR)
    narrow = trained(prepared(training=keys | {"precision": "bf16"}), PAIR)
    assert narrow["record"]["precision"] == "bf16"
    assert exact["key"] != narrow["key"]
    assert np.allclose(exact["steps"]["loss"], narrow["steps"]["loss"], atol=0.1)
    assert not np.array_equal(exact["steps"]["loss"], narrow["steps"]["loss"])


def test_siamese_study(prepared):
    keys = {"pair": "siamese", "decoder": "product", "representation": "mean", "epochs": 1}
    result = trained(prepared(training=keys), "PAR+SIM/pcgrad/default/seed-1")
    assert result["record"]["scores"].keys() == {"PAR", "SIM"}


@pytest.mark.parametrize("loss", get_args(SimilarityLoss))
def test_study_of_cosines(prepared, loss):
    """A regression head that is the cosine has no parameters of its own; runs must bear that."""
    keys = {"pair": "siamese", "decoder": "cosine", "head": "linear", "similarity_loss": loss}
    study = prepared(training=keys | {"representation": "mean", "epochs": 2})
    result = trained(study, "PAR+SIM/pcgrad/default/seed-1")
    found = result["predictions"][result["predictions"]["task"] == "SIM"]["prediction"]
    assert found.between(0, 5).all()
    assert found.nunique() > 10
    assert result["epochs"]["loss"].notna().all()


def assert_failed(study, run, error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        execute(study, run)
    note = read_json(study.failed(run))
    assert note["id"] == run.id
    assert said in note["error"]
    assert study.record(run) is None
    kept = {p.name for p in study.layout.store.iterdir() if not p.name.endswith(".lock")}
    assert kept == set()
    assert not study.layout.done(run, study.grid.fingerprint(run)).exists()


def test_failed_run_leaves_a_note_and_nothing_else(prepared, monkeypatch):
    study = prepared(training={"epochs": 1})
    run = study.grid.run(PAIR)

    def broken(*arguments):
        raise Diverged("the loss of task PAR is nan")

    with monkeypatch.context() as patch:
        patch.setattr(loop.Engine, "step", broken)
        assert_failed(study, run, Diverged, "the loss of task PAR is nan in step 1 of 6")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "make_batch", lambda *a: 1 / 0)
        assert_failed(study, run, ZeroDivisionError, "division by zero")
    assert trained(study, PAIR)["now"]
    assert not study.failed(run).exists()


def test_checkpoint_that_does_not_load_is_a_failed_run(prepared):
    study = prepared()
    rewrite_tensors(study.layout.encoder, lambda t: {"other": torch.zeros(2)})
    assert_failed(study, study.grid.run(PAIR), UserError, "has no tensor")


def test_run_that_diverges_says_so(prepared):
    study = prepared(training={"epochs": 2, "learning_rate": 1e38})
    with pytest.raises(Diverged, match=r"the loss of task \w+ is .* in step \d+ of 12 \(epoch"):
        execute(study, study.grid.run(PAIR))


@pytest.mark.parametrize("task", ["SEN", "SIM"])
def test_run_that_diverges_in_its_last_step_is_no_result(prepared, task):
    """No further loss would tell: the weights themselves are not finite."""
    study = prepared(training={"epochs": 1, "batch_size": 41, "learning_rate": 1e38})
    with pytest.raises(Diverged):
        execute(study, study.grid.run(f"{task}/baseline/default/seed-1"))


def test_undefined_score_is_kept_as_such(prepared, monkeypatch):
    """Pearson's r of constant predictions: a result, though an undefined one."""
    original = loop.score_split

    def constant(model, task, *arguments):
        with torch.no_grad():
            model.heads[task].last.weight.zero_()
        return original(model, task, *arguments)

    monkeypatch.setattr(loop, "score_split", constant)
    result = trained(prepared(training={"epochs": 1}), "SIM/baseline/default/seed-1")
    assert result["record"]["scores"]["SIM"]["dev"] is None
    assert result["epochs"]["score"].isna().all()
    assert result["predictions"]["prediction"].nunique() == 1


@pytest.mark.parametrize("task", ["SEN", "PAR", "SIM"])
def test_unlabelled_test_split_gives_predictions(fresh, task):
    def unlabelled(keys):
        keys["tasks"][task]["data"]["test_labelled"] = False
        return keys

    result = trained(fresh(unlabelled, training={"epochs": 1}), f"{task}/baseline/default/seed-1")
    predictions = result["predictions"]
    test = predictions[predictions["split"] == "test"]
    assert len(test) == 20
    assert test["label"].isna().all()
    assert test["prediction"].notna().all()
    assert result["record"]["scores"][task]["test"] is None


def test_study_without_test_splits(fresh):
    def bare(keys):
        for task in keys["tasks"].values():
            del task["data"]["test"]
        return keys

    result = trained(fresh(bare, training={"epochs": 1}), PAIR)
    assert set(result["predictions"]["split"]) == {"dev"}
    assert "test" not in result["record"]["scores"]["SEN"]


def test_key_changes_with_the_checkpoints_config(fresh):
    """Heads, activation, epsilon and dropout stand in config.json, not in the weights."""
    study = fresh()
    run = study.grid.run(PAIR)
    before = study.key(run)
    folder = study.layout.results.parent / "encoder"
    write_checkpoint(folder, num_attention_heads=2, hidden_dropout_prob=0.4)
    prepare_study(study.study, study.layout)
    assert Prepared(study.study, study.layout).key(run) != before


def test_key_changes_with_data_and_weights(fresh):
    study = fresh()
    keys = {r.id: study.key(r) for r in study.grid.runs}
    assert len(set(keys.values())) == len(keys)
    path = study.layout.results.parent / "data" / "SEN-dev.csv"
    frame = pd.read_csv(path)
    frame.loc[0, "text"] = "w11 w12"
    frame.to_csv(path, index=False)
    prepare_study(study.study, study.layout)
    changed = Prepared(study.study, study.layout)
    moved = {i for i, k in keys.items() if changed.key(changed.grid.run(i)) != k}
    assert moved == {i for i in keys if "SEN" in i}
    write_checkpoint(study.layout.results.parent / "encoder", seed=5)
    prepare_study(study.study, study.layout)
    other = Prepared(study.study, study.layout)
    assert all(other.key(other.grid.run(i)) != changed.key(changed.grid.run(i)) for i in keys)


def test_unprepared_study_says_what_to_do(prepared):
    study = prepared()
    os.remove(study.layout.checks)
    with pytest.raises(UserError, match="prepare the data first"):
        Prepared(study.study, study.layout)


def test_gpu_that_is_not_there(prepared):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    study = prepared(training={"device": "cuda"})
    assert_failed(study, study.grid.run(PAIR), UserError, "PyTorch sees no GPU")


TRIPLE = {
    "pcgrad": "pcgrad",
    "pcgrad_alpha": "pcgrad_alpha-0.25,0.5,0.25",
    "mgda": "mgda",
    "cagrad(c=0.8)": "cagrad-c=0.8",
    "imtl_g": "imtl_g",
    "upgrad": "upgrad",
    "random": "random",
    "torchjd:GradVac(beta=0.3)": "torchjd-GradVac-beta=0.3",
}


def test_a_triple_trains_with_every_combiner_and_repeats(prepared):
    """Three tasks through the store under each combiner's own path; again elsewhere, the same bytes
    of steps."""
    keys = {"groupings": [["SEN", "PAR", "SIM"]], "combiners": list(TRIPLE), "seeds": [1]}
    first, again = (prepared(training={"epochs": 1}, **keys) for _ in range(2))
    weights = {}
    for combiner, label in TRIPLE.items():
        result = trained(first, f"SEN+PAR+SIM/{label}/default/seed-1")
        assert result["now"]
        steps = result["steps"]
        weights[combiner] = steps["weight"].to_numpy().reshape(-1, 3)
        assert np.isfinite(weights[combiner]).all()
        assert first.grid.run(f"SEN+PAR+SIM/{label}/default/seed-1").arm.combiner == combiner
        assert first.layout.done(*_marked(first, label)).exists()
        repeated = trained(again, f"SEN+PAR+SIM/{label}/default/seed-1")
        assert repeated["key"] == result["key"]
        pd.testing.assert_frame_equal(repeated["steps"], steps)
    for combiner in ("mgda", "imtl_g", "random"):
        assert np.allclose(weights[combiner].sum(axis=1), 1)
    assert len({w.round(6).tobytes() for w in weights.values()}) == len(weights)


def _marked(study: Prepared, label: str) -> tuple:
    run = study.grid.run(f"SEN+PAR+SIM/{label}/default/seed-1")
    return run, study.grid.fingerprint(run)
