"""Load a BERT checkpoint in the Hugging Face layout into our encoder. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from weightwise.errors import UserError
from weightwise.model.architecture import BertConfig, layers_kept
from weightwise.model.encoder import Encoder
from weightwise.model.weights import Weights

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


def published_names(name: str, kept: list[int]) -> list[str]:
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


def load_encoder(
    folder: Path,
    layers: int | Sequence[int] | None = None,
    dropout_probability: float | None = None,
    vocabulary: np.ndarray | None = None,
    longest: int | None = None,
) -> Encoder:
    """Build an encoder from `config.json` and the weights in `folder`.

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
    checkpoint = Weights(folder, config)
    config = config.resized(num_hidden_layers=len(numbers))
    kept = config
    if vocabulary is not None:
        if vocabulary[-1] >= config.vocab_size:
            raise UserError(
                f"{folder}: the tokenizer gives token id {vocabulary[-1]}, but the checkpoint has "
                f"{config.vocab_size} word embeddings: the two do not belong together"
            )
        kept = kept.resized(vocab_size=len(vocabulary))
    if longest is not None:
        if longest > config.max_position_embeddings:
            raise UserError(
                f"encoder.max_length: {longest} asked for, but the checkpoint in {folder} has "
                f"{config.max_position_embeddings} positions"
            )
        kept = kept.resized(max_position_embeddings=longest)
    with torch.device("meta"):
        encoder = Encoder(kept, dropout_probability)
        expected = Encoder(config).state_dict()
    weights = {}
    for name, empty in expected.items():
        if name.startswith("pooler.") and not checkpoint.has_pooler:
            weights[name] = torch.zeros(empty.shape)
            continue
        published = published_names(name, numbers)
        shape = [empty.shape[0] // len(published), *empty.shape[1:]]
        tensor = torch.cat([checkpoint.get(n, shape) for n in published])
        if name == "word_embeddings.weight" and vocabulary is not None:
            tensor = tensor[torch.from_numpy(vocabulary.astype(np.int64))]
        if name == "position_embeddings.weight" and longest is not None:
            tensor = tensor[:longest]
        weights[name] = tensor.clone()
    encoder.load_state_dict(weights, assign=True)
    encoder.has_pooler = checkpoint.has_pooler
    return encoder.requires_grad_(True)
