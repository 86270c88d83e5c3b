"""A BERT encoder of our own ("minBERT"), on packed batches.

Gives the hidden states of `transformers.BertModel` to 1e-5 in fp32 and can be read in one sitting.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from weightwise.model.architecture import BertConfig
from weightwise.model.dropout import dropout
from weightwise.model.linear import Linear
from weightwise.model.packed import Packed

ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}


class Layer(nn.Module):
    """One post-norm transformer layer. Queries, keys and values come from one product."""

    def __init__(self, config: BertConfig):
        super().__init__()
        hidden, eps = config.hidden_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        self.activation = ACTIVATIONS[config.hidden_act]
        self.query_key_value = Linear(hidden, 3 * hidden)
        self.attention_output = Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden, eps=eps)
        self.intermediate = Linear(hidden, config.intermediate_size)
        self.output = Linear(config.intermediate_size, hidden)
        self.output_norm = nn.LayerNorm(hidden, eps=eps)

    def attention(
        self, x: torch.Tensor, batch: Packed, p: float, generator: torch.Generator | None
    ) -> torch.Tensor:
        """Self-attention within each sequence: [N, H] -> [N, H]."""
        hidden = x.shape[1]
        width = hidden // self.heads
        grid = batch.sequences * batch.longest
        packed = self.query_key_value(x)
        # Fillers share the one place beyond the grid.
        padded = packed.new_zeros(grid + 1, 3 * hidden).index_copy(0, batch.slots, packed)
        q, k, v = (
            padded[:grid]
            .view(batch.sequences, batch.longest, 3, self.heads, width)
            .permute(2, 0, 3, 1, 4)
        )
        # Written out: with dropout the fused kernels would draw from the global generator.
        scores = (q * (1.0 / math.sqrt(width))) @ k.transpose(-1, -2)
        weights = dropout((scores.to(x.dtype) + batch.mask).softmax(-1), p, generator)
        mixed = weights.to(v.dtype) @ v
        return mixed.transpose(1, 2).reshape(grid, hidden).index_select(0, batch.sources)

    def forward(
        self,
        x: torch.Tensor,
        batch: Packed,
        p_hidden: float,
        p_attention: float,
        generator: torch.Generator | None,
    ) -> torch.Tensor:
        """[N, H] -> [N, H]."""
        mixed = self.attention_output(self.attention(x, batch, p_attention, generator))
        x = self.attention_norm(x + dropout(mixed.to(x.dtype), p_hidden, generator))
        fed = self.output(self.activation(self.intermediate(x)))
        return self.output_norm(x + dropout(fed.to(x.dtype), p_hidden, generator))


class Encoder(nn.Module):
    """Embeddings, L layers, pooler: the shared trunk of every task."""

    def __init__(self, config: BertConfig, dropout_probability: float | None = None):
        """Build without weights.

        Args:
            config: sizes.
            dropout_probability: dropout of the whole encoder; None: the checkpoint's own.
        """
        super().__init__()
        self.config = config
        own = dropout_probability
        self.p_hidden = config.hidden_dropout_prob if own is None else own
        self.p_attention = config.attention_probs_dropout_prob if own is None else own
        hidden = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, hidden)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, hidden)
        self.segment_embeddings = nn.Embedding(config.type_vocab_size, hidden)
        self.embedding_norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.pooler = Linear(hidden, hidden)
        self.has_pooler = True

    def forward(
        self,
        batch: Packed,
        generator: torch.Generator | None = None,
        words: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Hidden states [N, H] of the last layer.

        Args:
            batch: N tokens in B sequences.
            generator: source of dropout; None: no dropout (scoring).
            words: word embeddings [N, H] of the tokens, where the caller looked them up.
        """
        x = (
            (self.word_embeddings(batch.ids) if words is None else words)
            + self.position_embeddings(batch.positions)
            + self.segment_embeddings(batch.segments)
        )
        x = dropout(self.embedding_norm(x), self.p_hidden, generator)
        for layer in self.layers:
            x = layer(x, batch, self.p_hidden, self.p_attention, generator)
        return x

    def represent(self, hidden: torch.Tensor, batch: Packed, how: str) -> torch.Tensor:
        """One vector per sequence, [B, H], from hidden states [N, H].

        Args:
            how: `cls` (first token), `pooler` (BERT's pooler on it) or `mean` (over its tokens).
        """
        if how == "mean":
            sums = hidden.new_zeros(batch.sequences + 1, hidden.shape[1])
            sums = sums.index_add(0, batch.rows, hidden)[:-1]
            return sums / batch.lengths[:, None].to(hidden.dtype)
        first = hidden.index_select(0, batch.first)
        return torch.tanh(self.pooler(first).to(hidden.dtype)) if how == "pooler" else first
