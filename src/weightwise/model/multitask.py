"""One encoder, one head per task: what every run trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from weightwise.config import TaskConfig, TrainingConfig
from weightwise.data.batches import Batch
from weightwise.errors import UserError
from weightwise.model.chance import ChanceHead
from weightwise.model.checkpoint import load_encoder
from weightwise.model.heads import Head, Target
from weightwise.seeding import seed_for


class MultiTaskModel(nn.Module):
    """The shared trunk and the heads of a run's tasks."""

    def __init__(
        self,
        tasks: dict[str, TaskConfig],
        training: TrainingConfig,
        encoder_folder: Path,
        layers: int | Sequence[int] | None,
        vocabulary: np.ndarray | None,
        longest: int | None,
        label_means: dict[str, float],
        study_seed: int,
        seed: int,
        labels: Mapping[str, np.ndarray] | None = None,
    ):
        """Load the encoder and draw the heads' first weights.

        Args:
            tasks: the run's tasks.
            training: training keys of the run.
            encoder_folder: checkpoint folder.
            layers: layers of the checkpoint to keep, see `layers_kept`.
            vocabulary, longest: token ids and positions that occur, see `load_encoder`.
            label_means: mean training label of every task, where regression heads start.
            study_seed, seed: a task's head starts the same in every arm with these seeds.
            labels: training labels [rows] of every task; only the head `chance` reads them.

        Raises:
            UserError: the checkpoint does not fit.
        """
        super().__init__()
        self.training_keys = training
        self.encoder = load_encoder(
            encoder_folder, layers, training.encoder_dropout, vocabulary, longest
        )
        hidden = self.encoder.config.hidden_size
        # No ModuleDict: it refuses names with dots, and names such as "type".
        self.heads: dict[str, Head | ChanceHead] = {}
        self.targets: dict[str, Target] = {}
        self.representations: dict[str, str] = {}
        self.pairs: dict[str, str | None] = {}
        self.decoders: dict[str, str] = {}
        for name, task in tasks.items():
            self.pairs[name] = (task.pair or training.pair) if len(task.text) == 2 else None
            self.decoders[name] = task.decoder or training.decoder
            self.representations[name] = task.representation or training.representation
            # A decoder serves siamese pairs; elsewhere there is one vector and nothing to decode.
            decoder = self.decoders[name] if self.pairs[name] == "siamese" else None
            low, high = task.range or (0.0, 1.0)
            own_seed = seed_for(study_seed, seed, f"head:{name}")
            if (task.head or training.head) == "chance":
                count = len(task.class_names)
                self._add(
                    name,
                    ChanceHead(labels[name], count, low, high, own_seed),
                    Target(task.kind, "identity", low, high, classes=count),
                )
                continue
            target = Target(
                task.kind,
                task.output or training.output,
                low,
                high,
                task.loss or training.similarity_loss,
                decoder == "cosine",
                len(task.class_names),
            )
            generator = torch.Generator().manual_seed(own_seed)
            head = Head(
                task.head or training.head,
                2 * hidden if decoder == "concatenate" else hidden,
                hidden,
                target.outputs,
                training.dropout,
                generator,
                decoder == "cosine",
            )
            target.start_at(head, label_means[name])
            self._add(name, head, target)
        if "joint" in self.pairs.values() and self.encoder.config.type_vocab_size < 2:
            raise UserError(
                f"{encoder_folder}: the checkpoint tells no first text from a second one "
                f"(`type_vocab_size: {self.encoder.config.type_vocab_size}`), so pairs cannot be "
                "joined; set `pair: siamese`"
            )
        if "pooler" in self.representations.values() and not self.encoder.has_pooler:
            raise UserError(
                f"{encoder_folder}: the checkpoint has no pooler; use representation cls or mean"
            )

    def _add(self, name: str, head: Head | ChanceHead, target: Target) -> None:
        self.add_module(f"head_{len(self.heads)}", head)
        self.heads[name] = head
        self.targets[name] = target

    def trunk_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Named parameters of the encoder that this run's losses depend on."""
        pooled = "pooler" in self.representations.values()
        return [
            (n, p)
            for n, p in self.encoder.named_parameters()
            if pooled or not n.startswith("pooler.")
        ]

    def outputs(
        self,
        task: str,
        batch: Batch,
        generator: torch.Generator | None = None,
        words: torch.Tensor | None = None,
        detach: bool = False,
    ) -> torch.Tensor:
        """Outputs [n, outputs] of a task's head in fp32.

        Args:
            task: name of the task.
            batch: n examples.
            generator: source of dropout; None: scoring.
            words: the tokens' word embeddings, where the caller looked them up.
            detach: train the head alone: the gradient stops at the representation, and nothing of
                the trunk (nor `words`) gets any (leave-one-task-out, probing). The
                outputs are the same, the dropout drawn included; the trunk's graph is not kept.
        """
        if isinstance(self.heads[task], ChanceHead):
            return self.heads[task](batch.rows)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not detach):
            hidden = self.encoder(batch.packed, generator, words)
            x = self.encoder.represent(hidden, batch.packed, self.representations[task])
        decoder = self.decoders[task] if self.pairs[task] == "siamese" else None
        # The cosine is the head's own affair: it comes after the head's layers.
        if decoder in ("product", "concatenate"):
            first, second = x.chunk(2)
            x = first * second if decoder == "product" else torch.cat((first, second), dim=1)
        return self.heads[task](x, generator)

    def loss(
        self,
        task: str,
        batch: Batch,
        generator: torch.Generator | None = None,
        words: torch.Tensor | None = None,
        detach: bool = False,
    ) -> torch.Tensor:
        """Mean loss of a task's batch (scalar, fp32); arguments as for `outputs`."""
        outputs = self.outputs(task, batch, generator, words, detach)
        return self.targets[task].loss(outputs, batch.labels)
