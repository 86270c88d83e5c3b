"""An encoder as a checkpoint folder in the Hugging Face layout. Nothing is pickled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.torch import save_file

from weightwise.data.tokenizer_settings import TOKENIZER_FILES
from weightwise.model.checkpoint import published_names
from weightwise.model.encoder import Encoder
from weightwise.stages.inputs import StageInputs
from weightwise.untrusted import read_object


def save_encoder(encoder: Encoder, inputs: StageInputs, folder: Path) -> None:
    """Write `config.json`, `model.safetensors` and the tokenizer's files into a new folder.

    `load_encoder` and `transformers.BertModel` load it. The weights are fp32; a pooler is written
    where the encoder came with one.

    Args:
        encoder: with its whole vocabulary and all positions.
        inputs: the stage's; tokenizer and what else `config.json` says are of the checkpoint that
            it started from.
        folder: where to.
    """
    folder.mkdir(parents=True)
    config = read_object(inputs.folder / "config.json", str(inputs.folder / "config.json"))
    config |= {
        "architectures": ["BertModel"],
        "num_hidden_layers": encoder.config.num_hidden_layers,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    kept = list(range(encoder.config.num_hidden_layers))
    tensors = {}
    for name, tensor in encoder.state_dict().items():
        if name.startswith("pooler.") and not encoder.has_pooler:
            continue
        published = published_names(name, kept)
        for part, piece in zip(published, tensor.chunk(len(published)), strict=True):
            tensors[part] = piece.detach().cpu().clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for name in TOKENIZER_FILES:
        if (inputs.folder / name).is_file():
            shutil.copyfile(inputs.folder / name, folder / name)
