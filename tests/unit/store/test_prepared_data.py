"""Prepared data are named by what made them: configuration, content, code; dates play no part."""

from __future__ import annotations

import os
import shutil
import struct
import threading

import pytest

from weightwise.config import StudyConfig
from weightwise.data import definition, stage
from weightwise.data.definition import NOT_OF_A_TASK, NOT_OF_THE_STUDY
from weightwise.data.prepared import GIVEN, NotPrepared, find
from weightwise.errors import UserError


def older(path) -> None:
    os.utime(path, (1_000_000_000, 1_000_000_000))


def sen(made) -> dict:
    return made.keys["tasks"]["SEN"]


def fewer_rows(made) -> None:
    path = made.folder / "data" / "SEN-train.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:41]) + "\n")
    older(path)


def other_weights(made) -> None:
    path = made.folder / "encoder" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-4:] = struct.pack("<f", 0.25)
    path.write_bytes(content)
    older(path)


EDITS = {
    "limit": (lambda m: sen(m)["data"].update(limit={"train": 8}), "tasks.SEN.data.limit.train"),
    "balance": (lambda m: sen(m)["data"].update(balance=True), "tasks.SEN.data.balance"),
    "classes": (lambda m: sen(m).update(classes=["a", "b", "c"]), "tasks.SEN.classes"),
    "range": (lambda m: m.keys["tasks"]["SIM"].update(range=[0, 6]), "tasks.SIM.range"),
    "text": (lambda m: m.keys["tasks"]["PAR"].update(text=["first"]), "tasks.PAR.text"),
    "max_length": (lambda m: m.keys["encoder"].update(max_length=16), "encoder.max_length"),
    "layers": (lambda m: m.keys["encoder"].update(layers=1), "encoder.layers"),
    "seed": (lambda m: m.keys.update(study_seed=1), "study_seed"),
    "rows": (fewer_rows, "content of the file of tasks.SEN.data.train"),
    "weights": (other_weights, "content of the file of encoder.source: model.safetensors"),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_asks_for_other_data_and_is_named(make, name):
    made = make()
    made.prepare()
    before = made.digest
    edit, words = EDITS[name]
    edit(made)
    assert made.digest != before
    with pytest.raises(NotPrepared, match="prepare the data first") as caught:
        find(made.study, made.layout)
    assert words in str(caught.value)


def test_dates_names_and_training_ask_for_the_same_data(make):
    made = make()
    made.prepare()
    before = made.digest
    for path in (made.folder / "data").iterdir():
        older(path)
    sen(made).update(title="Mood", head="linear")
    made.keys |= {"name": "other", "seeds": [4, 5], "threads": 2, "report": {"confidence": 0.9}}
    made.keys["training"] |= {"epochs": 9, "pair": "siamese"}
    assert made.digest == before
    assert find(made.study, made.layout).data.name == before
    (made.folder / "data").rename(made.folder / "moved")
    made.keys["data_dir"] = str(made.folder / "moved")
    assert made.digest == before


def test_a_key_of_tomorrow_counts():
    """What decides nothing is listed, so that a new key decides until somebody says otherwise."""
    assert set(StudyConfig.model_fields) >= NOT_OF_THE_STUDY
    kept = {"tasks", "stages", "encoder", "study_seed"}
    assert set(StudyConfig.model_fields) - NOT_OF_THE_STUDY == kept
    task = StudyConfig.model_fields["tasks"].annotation.__args__[1]
    assert set(task.model_fields) >= NOT_OF_A_TASK


def test_a_second_preparation_finds_the_first(make, monkeypatch):
    made = make()
    checks = made.prepare()
    assert checks["definition"]["configuration"]["encoder"]["max_length"] == 24
    monkeypatch.setattr(stage, "prepare", None)  # it would fail if it were called
    assert made.prepare() == checks
    assert any("prepared already" in line for line in made.said)


def test_what_training_asks_of_the_encoder_is_asked_of_prepared_data_too(make):
    made = make()
    made.prepare()
    made.keys["training"]["representation"] = "pooler"
    config = made.folder / "encoder" / "config.json"
    assert config.exists()
    made.prepare()  # the checkpoint has a pooler
    made.keys["encoder"]["layers"] = 9
    with pytest.raises(UserError, match="layers"):
        made.prepare()


def test_going_back_finds_the_first_data(make):
    made = make()
    made.prepare()
    first = find(made.study, made.layout).data
    made.keys["encoder"]["max_length"] = 16
    made.prepare()
    second = find(made.study, made.layout)
    made.keys["encoder"]["max_length"] = 24
    assert find(made.study, made.layout).data == first != second.data
    # Both share one encoder.
    assert find(made.study, made.layout).encoder == second.encoder
    assert len([p for p in made.layout.encoder_store.iterdir() if p.is_dir()]) == 1


@pytest.mark.parametrize("what", ["SEN.tokens.parquet", "model.safetensors"])
@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_damaged_data_are_named_and_prepared_again(make, what, how):
    made = make()
    made.prepare()
    layout = find(made.study, made.layout)
    path = (layout.encoder if what == "model.safetensors" else layout.data) / what
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 255]))
        older(path)
    with pytest.raises(NotPrepared, match=rf"{what} is gone or damaged"):
        find(made.study, made.layout)
    made.prepare()
    assert any(f"{what} is gone or damaged; prepared again" in line for line in made.said)
    assert find(made.study, made.layout).data == layout.data
    assert path.read_bytes() == content


def test_two_at_once_prepare_once(make, monkeypatch):
    made = make()
    study, calls, prepare = made.study, [], stage.prepare
    monkeypatch.setattr(stage, "prepare", lambda *a, **k: calls.append(1) or prepare(*a, **k))
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(stage.prepare_study(study, made.layout)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert found[0] == found[1] == found[2]


def test_a_preparation_that_fails_leaves_nothing(make):
    made = make()
    path = made.folder / "data" / "SEN-dev.csv"
    kept = path.read_text()
    path.write_text("text,label\nw1,7\n")
    with pytest.raises(UserError, match=r"SEN-dev.csv, line 2"):
        made.prepare()
    assert not [p for p in made.layout.data_store.iterdir() if p.is_dir()]
    path.write_text(kept)
    made.prepare()


def test_a_missing_source_is_left_to_the_preparation(make):
    made = make()
    made.prepare()
    (made.folder / "data" / "SEN-dev.csv").unlink()
    with pytest.raises(NotPrepared, match=r"the file of tasks.SEN.data.dev, which is gone"):
        find(made.study, made.layout)
    with pytest.raises(UserError, match=r"SEN-dev.csv: there is no such file"):
        made.prepare()


def test_a_source_that_changes_while_it_is_read_is_refused(make, monkeypatch):
    made = make()
    prepare = stage.prepare

    def slow(*arguments, **keys):
        checks = prepare(*arguments, **keys)
        fewer_rows(made)
        return checks

    monkeypatch.setattr(stage, "prepare", slow)
    with pytest.raises(UserError, match="changed while it was read"):
        made.prepare()
    assert not [p for p in made.layout.data_store.iterdir() if p.is_dir()]


def test_jobs_take_the_data_of_their_workflow(make, monkeypatch):
    """Its machine need not see the sources."""
    made = make()
    made.prepare()
    monkeypatch.setenv(GIVEN, made.digest)
    shutil.rmtree(made.folder / "data")
    assert find(made.study, made.layout).data.name == os.environ[GIVEN]
    made.keys["encoder"]["max_length"] = 16
    with pytest.raises(NotPrepared, match=r"encoder.max_length 24, asked for 16"):
        find(made.study, made.layout)


def test_large_files_are_read_once(make, monkeypatch):
    made = make()
    monkeypatch.setattr(definition, "SLOW", 1)
    monkeypatch.setattr(definition, "SETTLED", 0)
    before = made.digest
    read, sha256 = [], definition.file_sha256
    monkeypatch.setattr(definition, "file_sha256", lambda p: read.append(p.name) or sha256(p))
    assert made.digest == before
    assert read == []
    path = made.folder / "data" / "SEN-train.csv"
    state = path.stat()
    path.write_bytes(path.read_bytes().replace(b"w1", b"w2", 1))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # same size, same date
    assert path.stat().st_size == state.st_size
    assert made.digest != before
    assert read == ["SEN-train.csv"]


def test_a_date_in_the_future_is_told(make):
    made = make()
    os.utime(made.folder / "data" / "SEN-train.csv", (4e9, 4e9))
    made.prepare()
    assert any("SEN-train.csv: its date lies in the future" in line for line in made.said)
