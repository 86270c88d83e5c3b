"""Tiny studies and archives for the tests of the data stage."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tokenizers.implementations import BertWordPieceTokenizer

from weightwise.config import StudyConfig


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder in the checkpoint layout; the bytes of the weights mean nothing here, and of the
    tokenizer's words only that it has them."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertWordPieceTokenizer(str(folder / "vocab.txt")).save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").unlink()
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n\n# A model\n")
    (folder / "training_args.bin").write_bytes(b"not wanted")
    return folder


@pytest.fixture
def study(tmp_path: Path, checkpoint: Path):
    """`study({"SEN": {...}})` -> a StudyConfig whose files lie in tmp_path / "data"."""
    (tmp_path / "data").mkdir()

    def make(tasks: dict, **keys) -> StudyConfig:
        data = {
            "name": "tiny",
            "data_dir": str(tmp_path / "data"),
            "encoder": {"source": {"type": "directory", "path": str(checkpoint)}},
            "tasks": tasks,
        }
        return StudyConfig.model_validate(data | keys)

    return make


@pytest.fixture
def write(tmp_path: Path):
    """`write("a.tsv", [[...], ...])` writes a tab-separated file below tmp_path / "data"."""

    def make(name: str, rows: list[list]) -> Path:
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join("\t".join(map(str, r)) + "\n" for r in rows), "utf-8")
        return path

    return make


@pytest.fixture
def wheel(tmp_path: Path):
    """`wheel("tiny", {"tiny/a.txt": b"..."})` -> a wheel that pip accepts."""

    def make(package: str, files: dict[str, bytes]) -> Path:
        path = tmp_path / "index" / f"{package}-1.0-py3-none-any.whl"
        path.parent.mkdir(exist_ok=True)
        info = f"{package}-1.0.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
            archive.writestr(
                f"{info}/METADATA",
                f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nLicense: MIT\n\nText\n",
            )
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/RECORD", "")
        return path

    return make


@pytest.fixture
def local_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip looks for packages in this folder and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder
