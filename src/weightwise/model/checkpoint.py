"""Load a BERT checkpoint in the Hugging Face layout into our encoder. Nothing is unpickled."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from weightwise.errors import UserError
from weightwise.model.encoder import BertConfig, Encoder

_LAYER = {
    "attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}
_TOP = {
    "word_embeddings": "embeddings.word_embeddings",
    "position_embeddings": "embeddings.position_embeddings",
    "segment_embeddings": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    "pooler": "pooler.dense",
}


def _published_names(name: str, kept: list[int]) -> list[str]:
    """The names in the checkpoint that make our parameter `name`, in order of concatenation.

    Our layer i is the checkpoint's layer kept[i].
    """
    module, _, kind = name.rpartition(".")
    if not module.startswith("layers."):
        return [f"{_TOP[module]}.{kind}"]
    _, number, part = module.split(".", 2)
    prefix = f"encoder.layer.{kept[int(number)]}."
    if part == "query_key_value":
        return [f"{prefix}attention.self.{p}.{kind}" for p in ("query", "key", "value")]
    return [f"{prefix}{_LAYER[part]}.{kind}"]


class _Checkpoint:
    """Tensors of a safetensors file by their plain BERT names.

    Checkpoints of a model with heads put `bert.` before the names, and old ones call the weight
    and bias of a layer norm gamma and beta (bert-base-uncased does both).
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self.file = safe_open(path, framework="pt")
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path}: cannot be read as safetensors ({error})") from None
        self.names = {}
        for name in self.file.keys():  # noqa: SIM118 (safe_open is no mapping)
            plain = name.removeprefix("bert.")
            plain = plain.replace("LayerNorm.gamma", "LayerNorm.weight")
            self.names[plain.replace("LayerNorm.beta", "LayerNorm.bias")] = name

    def get(self, name: str, shape: list[int]) -> torch.Tensor:
        """A tensor in fp32.

        Raises:
            UserError: it is missing, or of another shape.
        """
        if name not in self.names:
            raise UserError(
                f"{self.path}: tensor '{name}' is missing: this is not a checkpoint of the "
                "architecture in the config.json beside it"
            )
        tensor = self.file.get_tensor(self.names[name]).float()
        if list(tensor.shape) != shape:
            raise UserError(
                f"{self.path}: tensor '{name}' has shape {list(tensor.shape)}, config.json says "
                f"{shape}"
            )
        return tensor


def layers_kept(layers: int | Sequence[int] | None, available: int) -> list[int]:
    """Numbers of the checkpoint's layers to keep, ascending.

    Args:
        layers: the first so many, or their numbers from 0, or None for all.
        available: layers of the checkpoint.

    Raises:
        UserError: there are no such layers.
    """
    if layers is None:
        return list(range(available))
    wanted = list(range(layers)) if isinstance(layers, int) else list(layers)
    if not wanted or wanted != sorted(set(wanted)) or wanted[-1] >= available:
        raise UserError(
            f"encoder.layers: {layers} asked for, but the checkpoint has {available} layers; give "
            f"a number up to {available}, or ascending layer numbers from 0 to {available - 1}"
        )
    return wanted


def load_encoder(
    folder: Path,
    layers: int | Sequence[int] | None = None,
    dropout_probability: float | None = None,
    vocabulary: np.ndarray | None = None,
    longest: int | None = None,
) -> Encoder:
    """Build an encoder from `config.json` and `model.safetensors` in `folder`.

    Args:
        folder: checkpoint folder.
        layers: layers to keep, see `layers_kept`.
        dropout_probability: dropout of the encoder; None: the checkpoint's own.
        vocabulary: ascending token ids; if given, only their embedding rows are kept and the
            encoder then takes positions in this array as ids. Results are the same to the bit,
            since rows of ids that never occur have no gradient.
        longest: longest sequence in tokens; positions beyond it are left out likewise.

    Raises:
        UserError: another architecture, a tensor missing, of the wrong shape or not finite.
    """
    config = BertConfig.read(folder / "config.json")
    numbers = layers_kept(layers, config.num_hidden_layers)
    config = dataclasses.replace(config, num_hidden_layers=len(numbers))
    kept = config
    if vocabulary is not None:
        if vocabulary[-1] >= config.vocab_size:
            raise UserError(
                f"{folder}: the tokenizer gives token id {vocabulary[-1]}, but the checkpoint has "
                f"{config.vocab_size} word embeddings: the two do not belong together"
            )
        kept = dataclasses.replace(kept, vocab_size=len(vocabulary))
    if longest is not None:
        if longest > config.max_position_embeddings:
            raise UserError(
                f"encoder.max_length: {longest} asked for, but the checkpoint in {folder} has "
                f"{config.max_position_embeddings} positions"
            )
        kept = dataclasses.replace(kept, max_position_embeddings=longest)
    with torch.device("meta"):
        encoder = Encoder(kept, dropout_probability)
        expected = Encoder(config).state_dict()
    checkpoint = _Checkpoint(folder / "model.safetensors")
    weights = {}
    for name, empty in expected.items():
        if name.startswith("pooler.") and "pooler.dense.weight" not in checkpoint.names:
            # Sentence encoders are often published without one; `has_pooler` says so.
            weights[name] = torch.zeros(empty.shape)
            continue
        published = _published_names(name, numbers)
        shape = [empty.shape[0] // len(published), *empty.shape[1:]]
        tensor = torch.cat([checkpoint.get(n, shape) for n in published])
        if not torch.isfinite(tensor).all():
            raise UserError(f"{checkpoint.path}: '{published[0]}' is not finite")
        if name == "word_embeddings.weight" and vocabulary is not None:
            tensor = tensor[torch.from_numpy(vocabulary.astype(np.int64))]
        if name == "position_embeddings.weight" and longest is not None:
            tensor = tensor[:longest]
        weights[name] = tensor.clone()
    encoder.load_state_dict(weights, assign=True)
    encoder.has_pooler = "pooler.dense.weight" in checkpoint.names
    return encoder.requires_grad_(True)
