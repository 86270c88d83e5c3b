"""A stage from configuration to the store: checkpoint, record, stop, and who starts from it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from rich.text import Text
from stage_helpers import stages

from weightwise.data.show import render
from weightwise.data.stage import prepare_study
from weightwise.data.tokens import load_tokenizer
from weightwise.errors import Diverged, UserError
from weightwise.files import read_json
from weightwise.model.checkpoint import load_encoder
from weightwise.model.packed import pack
from weightwise.runs import StudyRuns
from weightwise.stages import run as runner
from weightwise.stages.__main__ import main
from weightwise.stages.loop import StageTraining
from weightwise.tables import StageEpochs, StageSteps, Timings, read_table
from weightwise.train.checkpoint import Checkpoints
from weightwise.train.resumable import Progress, Stopped
from weightwise.train.run import execute as execute_run


def contents(folder) -> dict[str, bytes]:
    """Every file that must repeat to the byte: all but the times."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "timings.parquet"]
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    record = json.loads(found.pop("stage.json"))
    assert record["files"].pop("timings.parquet")
    return found | {"stage.json": json.dumps(record).encode()}


def both(runs: StudyRuns) -> list[dict]:
    return [runner.execute(runs, name)[0] for name in ("TEXTS", "PAIRS")]


def test_a_chain_of_stages_leaves_encoders_records_and_tables(prepared):
    runs = prepared()
    texts, pairs = both(runs)
    assert texts["kind"] == "mlm"
    assert pairs["after"] == texts["key"]
    assert set(texts["before"]) == {"held_out_loss", "held_out_accuracy"}
    assert texts["afterwards"]["held_out_loss"] < texts["before"]["held_out_loss"]
    assert set(pairs["before"]) == {"held_out_loss", "alignment", "uniformity"}
    assert texts["head"] == "fresh"
    assert set(texts["similarity"]) == set(pairs["similarity"]) == {"SIM"}
    # What PAIRS starts from is what TEXTS left.
    before = pairs["similarity"]["SIM"]["mean"]["before"]
    assert before == texts["similarity"]["SIM"]["mean"]["afterwards"]
    folder = runs.stage_store.folder(pairs["key"])
    epochs = read_table(folder / "stage_epochs.parquet", StageEpochs)
    assert set(epochs["epoch"]) == {0, 1, 2, 3}
    assert len(read_table(folder / "stage_steps.parquet", StageSteps)) == pairs["steps"]
    assert len(read_table(folder / "timings.parquet", Timings)) == 3
    marker = read_json(runs.layout.stage_done("PAIRS", runs.grid.stage_fingerprint("PAIRS")))
    assert marker["key"] == pairs["key"]
    assert sorted(p.name for p in (folder / "encoder").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


def test_zero_shot_similarity_is_pearsons_r_of_cosines(prepared):
    runs = prepared()
    record, _ = runner.execute(runs, "TEXTS")
    from weightwise.data.tokens import load_splits

    dev = load_splits(runs.layout.tokens("SIM"))["dev"]
    encoder = load_encoder(runs.layout.encoder)
    cosines = []
    for i in range(len(dev)):
        sides = []
        for ids, offsets in ((dev.a, dev.a_offsets), (dev.b, dev.b_offsets)):
            framed = np.concatenate(([2], ids[offsets[i] : offsets[i + 1]], [3]))
            packed = pack([framed], multiple=1)
            with torch.no_grad():
                sides.append(encoder(packed).mean(0).double())
        cosines.append(float(torch.nn.functional.cosine_similarity(*sides, dim=0)))
    expected = np.corrcoef(cosines, dev.labels)[0, 1]
    assert record["similarity"]["SIM"]["mean"]["before"] == pytest.approx(expected, abs=1e-5)


def test_transformers_loads_what_a_stage_leaves(prepared):
    from transformers import BertModel

    runs = prepared(stages={"TEXTS": stages()["TEXTS"]}, training={"start": "TEXTS"})
    record, _ = runner.execute(runs, "TEXTS")
    folder = runs.stage_store.folder(record["key"]) / "encoder"
    ids = np.array([2, 10, 11, 30, 3])
    packed = pack([ids], multiple=1)
    encoder = load_encoder(folder)
    with torch.no_grad():
        ours = encoder(packed)
        theirs = BertModel.from_pretrained(folder).eval()(torch.from_numpy(ids)[None])
    torch.testing.assert_close(ours, theirs.last_hidden_state[0], atol=1e-5, rtol=1e-5)
    pooled = encoder.represent(ours, packed, "pooler")
    torch.testing.assert_close(pooled, theirs.pooler_output, atol=1e-5, rtol=1e-5)
    assert load_tokenizer(folder)[0].get_vocab_size() == encoder.config.vocab_size


def test_the_whole_vocabulary_and_only_the_kept_layers_are_trained(prepared):
    keys = {"source": {"type": "directory"}, "layers": [1], "max_length": 24}
    runs = prepared(stages={"TEXTS": stages()["TEXTS"]}, training={"start": "TEXTS"})
    keys["source"] = runs.study.encoder.source.model_dump()
    study = runs.study.model_validate(runs.study.model_dump() | {"encoder": keys})
    prepare_study(study, runs.layout)
    runs = StudyRuns(study, runs.layout)
    runner.execute(runs, "TEXTS")
    folder, layers = runs.encoder_after("TEXTS")
    assert layers is None
    left, original = load_encoder(folder), load_encoder(runs.layout.encoder, [1])
    assert left.config == original.config
    assert left.config.vocab_size == 60
    assert left.config.max_position_embeddings == 40
    moved = (left.word_embeddings.weight != original.word_embeddings.weight).any(1)
    assert moved.all()  # the tied output layer reaches every word
    name = "layers.0.query_key_value.weight"
    assert not torch.equal(left.state_dict()[name], original.state_dict()[name])
    assert torch.equal(left.pooler.weight, original.pooler.weight)


def test_the_same_stage_gives_the_same_bytes(prepared):
    found = []
    for _ in range(2):
        runs = prepared()
        both(runs)
        found.append(
            [contents(runs.stage_store.folder(runs.stage_key(name))) for name in ("TEXTS", "PAIRS")]
        )
    assert found[0] == found[1]


def test_a_finished_stage_is_not_computed_again(prepared):
    runs = prepared()
    record, trained = runner.execute(runs, "TEXTS")
    assert trained
    written = runs.stage_store.folder(record["key"]).stat().st_mtime_ns
    mark = runs.layout.stage_done("TEXTS", runs.grid.stage_fingerprint("TEXTS"))
    marker = mark.read_bytes()
    mark.unlink()
    again, trained = runner.execute(runs, "TEXTS")
    assert not trained
    assert again == record
    assert runs.stage_store.folder(record["key"]).stat().st_mtime_ns == written
    assert mark.read_bytes() == marker


class StopAfter:
    """Asks the stage to stop after so many steps."""

    def __init__(self, steps: int):
        self.left = steps

    def __call__(self) -> str | None:
        self.left -= 1
        return "TERM" if self.left == 0 else None


# It is asked after every step and after every epoch (of 7 steps of PAIRS).
@pytest.mark.parametrize(("name", "asked", "steps"), [("TEXTS", 3, 3), ("PAIRS", 10, 9)])
def test_a_stopped_stage_goes_on_to_the_same_bytes(prepared, name, asked, steps):
    straight = prepared()
    both(straight)
    runs = prepared()
    if name == "PAIRS":
        runner.execute(runs, "TEXTS")
    with pytest.raises(Stopped, match=f"after step {steps} of"):
        runner.execute(runs, name, stop=StopAfter(asked))
    note = runs.stage_failure(name)
    assert note["stopped"]
    assert runs.stage_record(name) is None

    notes = []

    class Told(Progress):
        def note(self, text: str) -> None:
            notes.append(text)

    runner.execute(runs, name, Told())
    assert notes == [f"goes on after step {steps} of {runs.stage_record(name)['steps']}"]
    assert runs.stage_failure(name) is None
    assert not runs.stage_store.checkpoints(runs.stage_key(name)).exists()
    folders = [r.stage_store.folder(r.stage_key(name)) for r in (straight, runs)]
    assert contents(folders[0]) == contents(folders[1])


@pytest.mark.parametrize("what", ["state.json", "tensors.safetensors", "steps.parquet", "key"])
def test_a_broken_checkpoint_is_left_aside(prepared, tmp_path, what):
    runs = prepared()
    inputs = runner.stage_inputs(runs, "TEXTS")
    checkpoints = Checkpoints(tmp_path / "checkpoints", "k", 10)
    with pytest.raises(Stopped):
        StageTraining(inputs).run(checkpoints, StopAfter(3))
    (place,) = checkpoints.folder.iterdir()
    key = "k"
    if what == "key":
        key = "another"
    else:
        (place / what).write_bytes(b"broken")
    training = StageTraining(inputs)
    weights = {k: v.clone() for k, v in training.model.state_dict().items()}
    assert not Checkpoints(checkpoints.folder, key, 10).load(training)
    assert training.step == 0
    assert not training.tables.steps
    assert all(torch.equal(weights[k], v) for k, v in training.model.state_dict().items())
    assert [p.name for p in checkpoints.folder.iterdir()] == [f"unusable-{place.name}"]


def test_a_stage_that_diverges_says_where(prepared):
    runs = prepared(stages=stages(TEXTS={"learning_rate": 1e30}))
    with pytest.raises(Diverged, match=r"stage TEXTS .*lower the stage's learning rate"):
        runner.execute(runs, "TEXTS")
    note = runs.stage_failure("TEXTS")
    assert note["id"] == "stage TEXTS"
    assert not note["stopped"]
    assert runs.stage_records() == {"TEXTS": None, "PAIRS": None}


def test_what_starts_from_an_unfinished_stage_is_refused_with_the_remedy(prepared):
    runs = prepared(groupings=[["SEN"]])
    with pytest.raises(UserError, match=r"stage 'TEXTS'.*python -m weightwise\.stages TEXTS"):
        runner.execute(runs, "PAIRS")
    (run,) = runs.grid.runs
    with pytest.raises(UserError, match=r"stage 'PAIRS'.*python -m weightwise\.stages PAIRS"):
        execute_run(runs, run)


def test_runs_start_from_the_stage_and_share_it(prepared):
    runs = prepared(
        groupings=[["SEN", "SIM"]],
        combiners=["addition"],
        sweep={"start": [None, "PAIRS"]},
        training={"start": None},
    )
    both(runs)
    by_start = {}
    for run in runs.grid.runs:
        start = runs.grid.training(run.variant).start
        model = runs.model(run)
        words = model.encoder.word_embeddings.weight
        by_start.setdefault(start, []).append((run.group, words))
        key, _ = execute_run(runs, run)
        record = runs.store.record(key)
        assert ("stage" in record) is (start is not None)
        if start:
            assert record["stage"] == {"name": "PAIRS", "key": runs.stage_key("PAIRS")}
    assert len(by_start[None]) == len(by_start["PAIRS"]) == 3
    left = load_encoder(runs.encoder_after("PAIRS")[0]).word_embeddings.weight
    for group, words in by_start["PAIRS"]:
        assert torch.equal(words, left[torch.from_numpy(runs.vocabulary(group).astype(np.int64))])
    assert not torch.equal(by_start[None][0][1], by_start["PAIRS"][0][1])
    keys = {runs.key(run) for run in runs.grid.runs}
    assert len(keys) == 6


def test_the_key_follows_the_texts_of_the_whole_chain(prepared, monkeypatch):
    runs = prepared()
    before = {name: runs.stage_key(name) for name in ("TEXTS", "PAIRS")}
    from weightwise.data import token_facts as tokens

    original = tokens.facts
    other = prepared()
    path = other.layout.stage_tokens("TEXTS")
    monkeypatch.setattr(
        tokens,
        "facts",
        lambda p: original(p) | ({"checksum": "another"} if p == path else {}),
    )
    after = {name: other.stage_key(name) for name in ("TEXTS", "PAIRS")}
    assert before["TEXTS"] != after["TEXTS"]
    assert before["PAIRS"] != after["PAIRS"]
    run = runs.grid.runs[0]
    assert runs.key(run) != other.key(run)


def write_study(prepared_runs: StudyRuns, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(prepared_runs.study.model_dump(mode="json", exclude_none=True)))
    return path


def test_by_hand_the_stages_before_are_computed_too(prepared, tmp_path, capfd):
    runs = prepared()
    study = write_study(runs, tmp_path)
    arguments = ["PAIRS", "--study", str(study), "--results", str(runs.layout.results)]
    assert main(arguments) == 0
    said = capfd.readouterr().err
    assert said.index("stage TEXTS: held-out loss") < said.index("stage PAIRS: held-out loss")
    assert "before: held-out loss" in said
    assert "epoch 2: loss" in said
    assert "SIM zero-shot r (mean)" in said
    assert main(arguments) == 0
    assert "already in the store" in capfd.readouterr().err
    shown = render(read_json(runs.layout.checks), runs.stage_records())
    told = "\n".join(str(part) for part in shown if isinstance(part, Text))
    assert f"Stage TEXTS ({runs.stage_key('TEXTS')[:12]}): held-out loss" in told
    assert f"Stage PAIRS ({runs.stage_key('PAIRS')[:12]})" in told


def test_by_hand_an_unknown_stage_is_refused(prepared, tmp_path, capsys):
    runs = prepared()
    study = write_study(runs, tmp_path)
    assert main(["PAIR", "--study", str(study), "--results", str(runs.layout.results)]) == 2
    assert "has no stage 'PAIR'; did you mean 'PAIRS'?" in capsys.readouterr().err
