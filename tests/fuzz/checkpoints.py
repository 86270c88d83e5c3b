"""Folders of encoders: edited config.json, safetensors (header, tensors, index), tokenizer files.

Beside them lie pickles and remote code that nothing may run.
"""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from core_helpers import VOCABULARY, write_checkpoint
from edits import edited, edits, json_edited, json_edits
from harness import Payload, marker, refused
from hypothesis import strategies as st

from weightwise.config import load_study
from weightwise.data.stage import prepare_study
from weightwise.errors import UserError
from weightwise.layout import Layout

KEYS = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "type_vocab_size", "vocab_size", "hidden_act", "layer_norm_eps"),
    *("model_type", "hidden_dropout_prob", "position_embedding_type", "architectures", "auto_map"),
)
VALUES = (
    *(None, True, 0, -1, -2, 1, 2, 3, 31, 32, 33, 10**9, 10**18, 2**62, 1.5, 1e-12, -1e-5, 1e999),
    *("", "2", "gelu", "relu", "bert", "roberta", "x", "\ud800", [], ["gelu"], {}, {"a": "x.Y"}),
)
PICKLES = ("pytorch_model.bin", "model.pt", "training_args.bin", "optimizer.pt", "modeling_x.py")


@dataclass(frozen=True)
class Folder:
    """What is done to a sound folder."""

    settings: tuple[tuple[str, Any], ...]
    config: list
    tokenizer: list
    header: list
    files: tuple[tuple[str, list], ...]
    vocabulary_only: bool
    gone: tuple[str, ...]
    index: Any
    pickles: tuple[str, ...]


@st.composite
def _folders(draw: st.DrawFn) -> Folder:
    settings = st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES))
    what = draw(st.sampled_from(("settings", "config", "tokenizer", "header", "bytes", "files")))
    names = ("config.json", "model.safetensors", "tokenizer.json", "vocab.txt")
    index = {
        "metadata": {"total_size": 1},
        "weight_map": {
            "pooler.dense.bias": draw(st.sampled_from(("model.safetensors", "../x", 1)))
        },
    }
    return Folder(
        tuple(draw(st.lists(settings, min_size=1, max_size=2))) if what == "settings" else (),
        draw(json_edits()) if what == "config" else [],
        draw(json_edits()) if what == "tokenizer" else [],
        draw(json_edits()) if what == "header" else [],
        tuple(draw(st.lists(st.tuples(st.sampled_from(names), edits(2)), max_size=2)))
        if what == "bytes"
        else (),
        draw(st.integers(0, 3)) == 0,
        tuple(draw(st.lists(st.sampled_from(names), max_size=2))) if what == "files" else (),
        draw(st.sampled_from((None, None, index, {}, {"weight_map": []})))
        if what == "files"
        else None,
        tuple(draw(st.lists(st.sampled_from(PICKLES), max_size=2))),
    )


CASES = _folders()


def _change(path: Path, new: bytes) -> None:
    path.write_bytes(new)


def _build(case: Folder, folder: Path) -> None:
    sound = folder.parent / "sound"
    if not sound.exists():
        write_checkpoint(sound)
        (sound / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    encoder = folder / "encoder"
    shutil.copytree(sound, encoder)
    config = json.loads((sound / "config.json").read_text()) | dict(case.settings)
    (encoder / "config.json").write_text(json.dumps(config))
    for name, changes in (("config.json", case.config), ("tokenizer.json", case.tokenizer)):
        if changes:
            (encoder / name).write_bytes(json_edited((encoder / name).read_text(), changes))
    if case.header:
        weights = (sound / "model.safetensors").read_bytes()
        (size,) = struct.unpack("<Q", weights[:8])
        header = json_edited(weights[8 : 8 + size].decode(), case.header)
        new = struct.pack("<Q", len(header)) + header + weights[8 + size :]
        (encoder / "model.safetensors").write_bytes(new)
    for name, changes in case.files:
        (encoder / name).write_bytes(edited((encoder / name).read_bytes(), changes))
    if case.vocabulary_only:
        (encoder / "tokenizer.json").unlink()
    for name in case.gone:
        (encoder / name).unlink(missing_ok=True)
    if case.index is not None:
        (encoder / "model.safetensors.index.json").write_text(json.dumps(case.index))
    for name in case.pickles:
        code = f"import os\nos.mkdir({str(marker(folder))!r})\n".encode()
        payload = code if name.endswith(".py") else pickle.dumps(Payload(marker(folder)))
        (encoder / name).write_bytes(payload)


def attempt(case: Folder, folder: Path) -> str:
    """Prepare a study with the encoder: its files copied, loaded, texts tokenised."""
    _build(case, folder)
    rows = "".join(f"w{i} w{i + 1},{i % 2}\n" for i in range(1, 9))
    (folder / "rows.csv").write_text("text,label\n" + rows)
    source = {"type": "file", "path": "rows.csv", "format": "csv"}
    keys = {
        "name": "fuzz",
        "data_dir": str(folder),
        "encoder": {
            "source": {"type": "directory", "path": str(folder / "encoder")},
            "max_length": 24,
        },
        "tasks": {
            "T": {
                "kind": "binary",
                "text": ["text"],
                "label": "label",
                "data": {"train": source, "dev": source},
            }
        },
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(keys))
    try:
        study = load_study(folder / "study.yaml")
        prepare_study(study, Layout("fuzz", folder / "results", folder / "reports"))
    except UserError as error:
        return refused(error)
    return "accepted"
