"""Checkpoint folders as people have them, and hostile ones: read, or one UserError each."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from weightwise.config.sources import EncoderConfig
from weightwise.data.convert import convert
from weightwise.data.encoder_source import fetch_encoder
from weightwise.errors import UserError
from weightwise.model.checkpoint import load_encoder


def fetch(folder, out):
    source = {"type": "directory", "path": str(folder)}
    return fetch_encoder(EncoderConfig.model_validate({"source": source}), out, out / "encoder")


def refused(folder, tmp_path, match) -> None:
    with pytest.raises(UserError, match=match) as caught:
        fetch(folder, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert not (tmp_path / "out" / "encoder").exists()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("hidden_size", "1000000000000000000"), ("hidden_size", str(2**62)),
        ("hidden_size", "9" * 5000), ("hidden_act", '["gelu"]'), ("hidden_act", '"swish"'),
        ("layer_norm_eps", '"x"'), ("layer_norm_eps", "null"), ("layer_norm_eps", "0"),
        ("layer_norm_eps", "NaN"), ("type_vocab_size", '"2"'), ("type_vocab_size", "-2"),
        ("type_vocab_size", "null"), ("num_hidden_layers", "1000000000"),
        ("num_hidden_layers", "1000"), ("vocab_size", "true"), ("is_decoder", "true"),
        ("position_embedding_type", '"relative_key"'), ("model_type", '"roberta"'),
        ("pruned_heads", '{"0": [1]}'), ("x", "[" * 100000),
    ],
)  # fmt: skip
def test_hostile_config(checkpoint, tmp_path, key, text):
    path = checkpoint / "config.json"
    data = json.loads(path.read_text())
    data.pop(key, None)
    path.write_text(json.dumps(data)[:-1] + f', "{key}": {text}}}')
    refused(checkpoint, tmp_path, "config.json|encoder.layer")


def test_a_byte_order_mark_and_architectures_for_model_type(checkpoint, tmp_path):
    path = checkpoint / "config.json"
    data = json.loads(path.read_text())
    del data["model_type"]
    path.write_text(json.dumps(data), "utf-8-sig")
    refused(checkpoint, tmp_path, 'add `"model_type": "bert"`')
    path.write_text(json.dumps(data | {"architectures": ["BertForMaskedLM"]}), "utf-8-sig")
    fetch(checkpoint, tmp_path / "out")


def split(checkpoint):
    tensors = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    names = sorted(tensors)
    places = {n: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, n in enumerate(names)}
    for file in set(places.values()):
        save_file({n: tensors[n] for n in names if places[n] == file}, checkpoint / file)
    return tensors, places


def write_index(checkpoint, places) -> None:
    path = checkpoint / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": places}))


def test_shards_give_the_same_encoder(checkpoint, tmp_path):
    whole = load_encoder(checkpoint).state_dict()
    _, places = split(checkpoint)
    write_index(checkpoint, places)
    fetch(checkpoint, tmp_path / "out")
    again = load_encoder(tmp_path / "out" / "encoder").state_dict()
    assert all(torch.equal(whole[k], again[k]) for k in whole)
    name = sorted(places)[0]
    for change, match in (
        ({name: "../x.safetensors"}, "no name of a safetensors file"),
        ({name: "gone.safetensors"}, "not there"),
        ({"more": places[name]}, "in none of the shards"),
        ({name: places[sorted(places)[1]]}, "of one revision"),
    ):
        write_index(checkpoint, places | change)
        refused(checkpoint, tmp_path / "two", match)


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "encoder.", "bert.", "module.bert.", "0.auto_model."]
)
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_prefixes_and_halves(checkpoint, tmp_path, prefix, kind):
    path = checkpoint / "model.safetensors"
    tensors = {k: v.clone() for k, v in load_file(path).items()}
    path.unlink()
    save_file({prefix + k: v.to(kind) for k, v in tensors.items()}, path)
    assert fetch(checkpoint, tmp_path / "out")["prefix"] == prefix
    words = load_encoder(tmp_path / "out" / "encoder").word_embeddings.weight
    assert torch.equal(words, tensors["embeddings.word_embeddings.weight"].to(kind).float())


def test_two_towers_and_pointers(checkpoint, tmp_path):
    path = checkpoint / "model.safetensors"
    tensors = {k: v.clone() for k, v in load_file(path).items()}
    path.unlink()
    save_file(tensors | {f"bert.{k}": v + 1 for k, v in tensors.items()}, path)
    refused(checkpoint, tmp_path, "holds 2 encoders")
    path.unlink()
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    refused(checkpoint, tmp_path, "git lfs pull")


def test_old_sentence_transformers_layout_and_pooling(checkpoint, tmp_path):
    folder = tmp_path / "st"
    folder.mkdir()
    checkpoint.rename(folder / "0_Transformer")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    assert fetch(folder, tmp_path / "out")["pooling"] == ["mean"]


def test_convert(checkpoint, tmp_path):
    path = checkpoint / "model.safetensors"
    tensors = {f"bert.{k}": v.clone() for k, v in load_file(path).items()}
    whole = load_encoder(checkpoint).state_dict()
    path.unlink()
    tied = tensors["bert.embeddings.word_embeddings.weight"]
    torch.save(tensors | {"cls.predictions.decoder.weight": tied}, checkpoint / "pytorch_model.bin")
    refused(checkpoint, tmp_path, f"`weightwise convert {checkpoint} OUT`")
    assert convert(checkpoint, tmp_path / "new")["left_out"] == 1
    again = load_encoder(tmp_path / "new").state_dict()
    assert all(torch.equal(whole[k], again[k]) for k in whole)


class Runs:
    def __reduce__(self):
        return os.mkdir, (os.environ["WEIGHTWISE_TEST_MARK"],)


def test_a_pickle_that_runs_code_is_refused(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("WEIGHTWISE_TEST_MARK", str(tmp_path / "ran"))
    (checkpoint / "model.safetensors").unlink()
    torch.save({"a": Runs()}, checkpoint / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"wants to run|no pickle of tensors alone") as caught:
        convert(checkpoint, tmp_path / "new")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "new").exists()
