"""Further pre-training by masked language modelling (Devlin et al. 2019, section 3.1; mlm paper,
section 3.2.4)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from weightwise.model.architecture import BertConfig
from weightwise.model.encoder import ACTIVATIONS, Encoder
from weightwise.model.weights import Weights
from weightwise.seeding import seed_for
from weightwise.stages.inputs import StageInputs, ragged
from weightwise.stages.masking import MaskedBatch, choose, masked_batch, pieces
from weightwise.train.schedule import micro_batches

HEAD = "cls.predictions."
INITIAL_SD = 0.02
"""Standard deviation of a fresh transform's weights (Devlin et al.'s published code)."""
SCORING_SEQUENCES = 32


class MaskedLanguageHead(nn.Module):
    """BERT's head: linear, activation, layer norm, then the product with the word embeddings."""

    def __init__(self, config: BertConfig):
        """Build with the weights of a fresh head but for the linear layer's, see `start`."""
        super().__init__()
        hidden = config.hidden_size
        self.transform = nn.Linear(hidden, hidden)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def start(self, inputs: StageInputs) -> bool:
        """Take the checkpoint's head if it has one, else draw a fresh one; whether it had one.

        Raises:
            UserError: the checkpoint's head has another shape or is not finite.
        """
        checkpoint = Weights(inputs.folder, BertConfig.read(inputs.folder / "config.json"))
        names = {
            "transform.weight": "transform.dense.weight",
            "transform.bias": "transform.dense.bias",
            "norm.weight": "transform.LayerNorm.weight",
            "norm.bias": "transform.LayerNorm.bias",
            "bias": "bias" if checkpoint.head(f"{HEAD}bias") else "decoder.bias",
        }
        if not all(checkpoint.head(HEAD + name) for name in names.values()):
            seed = seed_for(inputs.study_seed, 0, f"stage:{inputs.name}:head")
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                self.transform.weight.normal_(0.0, INITIAL_SD, generator=generator)
                self.transform.bias.zero_()
            return False
        own = self.state_dict()
        found = {k: checkpoint.get(HEAD + name, list(own[k].shape)) for k, name in names.items()}
        self.load_state_dict(found)
        return True

    def forward(self, hidden: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Logits [M, V] from hidden states [M, H] and the word embeddings [V, H]."""
        x = self.norm(self.activation(self.transform(hidden)))
        return F.linear(x, words, self.bias)


class MaskedLanguageModel(nn.Module):
    """The encoder and the head that is dropped afterwards."""

    def __init__(self, encoder: Encoder, head: MaskedLanguageHead):
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, batch: MaskedBatch, generator: torch.Generator | None = None) -> torch.Tensor:
        """Logits [M, V] of a batch's chosen tokens; `generator=None`: no dropout."""
        hidden = self.encoder(batch.packed, generator).index_select(0, batch.places)
        return self.head(hidden, self.encoder.word_embeddings.weight)


class MaskedLanguageObjective:
    """Cross-entropy of the chosen tokens, mean over all of a step."""

    def __init__(self, inputs: StageInputs):
        """Load encoder and head, divide the texts, draw the held-out texts' masks once for all."""
        self.inputs = inputs
        encoder = inputs.encoder()
        head = MaskedLanguageHead(encoder.config)
        own = head.start(inputs)
        self.model = MaskedLanguageModel(encoder, head.to(inputs.device))
        room = inputs.max_length - 2
        self.texts = pieces(ragged(inputs.train.a, inputs.train.a_offsets), room)
        self.size = len(self.texts)
        held = pieces(ragged(inputs.held_out.a, inputs.held_out.a_offsets), room)
        self._held_out = [
            batch.to(inputs.device)
            for batch in self._batches(held, inputs.draws("held-out"), SCORING_SEQUENCES)
        ]
        self.facts: dict[str, object] = {
            "sequences": {"train": self.size, "held_out": len(held)},
            "head": "the checkpoint's" if own else "fresh",
        }

    def _choose(self, texts: list[np.ndarray], draws: np.random.Generator) -> list:
        stage, vocabulary = self.inputs.stage, self.model.encoder.config.vocab_size
        share, mask = stage.mask_share, self.inputs.mask
        return [choose(ids, share, mask, vocabulary, draws) for ids in texts]

    def _batches(
        self, texts: list[np.ndarray], draws: np.random.Generator, size: int
    ) -> list[MaskedBatch]:
        """Batches of at most `size` sequences, neighbours in length together."""
        texts = sorted(texts, key=len)
        chosen = self._choose(texts, draws)
        return [
            masked_batch(texts[i : i + size], chosen[i : i + size], self.inputs)
            for i in range(0, len(texts), size)
        ]

    def backward(
        self, index: np.ndarray, draws: np.random.Generator, dropout: torch.Generator
    ) -> torch.Tensor:
        """See `Objective`. Micro-batches weigh by their chosen tokens, so that the gradient is that
        of the whole step's mean."""
        parts = micro_batches(index, self.inputs.stage.accumulate)
        largest = max(len(part) for part in parts)
        batches = self._batches([self.texts[i] for i in index], draws, largest)
        total = sum(len(batch.targets) for batch in batches)
        losses = []
        for batch in batches:
            batch = batch.to(self.inputs.device)
            loss = F.cross_entropy(self.model(batch, dropout), batch.targets, reduction="sum")
            (loss / total).backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum() / total

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """`held_out_loss`, nats per chosen token, and `held_out_accuracy`, share [0, 1] of the
        chosen tokens that the model ranks first."""
        loss = right = count = 0.0
        for batch in self._held_out:
            logits = self.model(batch)
            loss += float(F.cross_entropy(logits, batch.targets, reduction="sum"))
            right += float((logits.argmax(1) == batch.targets).sum())
            count += len(batch.targets)
        return {"held_out_loss": loss / count, "held_out_accuracy": right / count}
