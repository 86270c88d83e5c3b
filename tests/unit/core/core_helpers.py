"""A tiny encoder and a tiny study on disk; everything is drawn from fixed seeds."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from weightwise.config import StudyConfig
from weightwise.data.batches import Framing, make_batch
from weightwise.data.tokens import SpecialTokens, TokenisedSplit

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"w{i}" for i in range(55)]
VOCABULARY = SPECIAL + WORDS
CLS, SEP = 2, 3
SIZES: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}


def bert_tensors(sizes: dict[str, Any], seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under BERT's plain names."""
    generator = torch.Generator().manual_seed(seed)
    hidden, between = sizes["hidden_size"], sizes["intermediate_size"]
    tensors = {}

    def draw(name: str, *shape: int, scale: float = 0.1, centre: float = 0.0) -> None:
        tensors[name] = torch.randn(*shape, generator=generator) * scale + centre

    def norm(name: str) -> None:
        draw(f"{name}.weight", hidden, centre=1.0)
        draw(f"{name}.bias", hidden)

    def dense(name: str, rows: int, columns: int) -> None:
        draw(f"{name}.weight", rows, columns, scale=0.15)
        draw(f"{name}.bias", rows)

    draw("embeddings.word_embeddings.weight", sizes["vocab_size"], hidden, scale=0.5)
    draw("embeddings.position_embeddings.weight", sizes["max_position_embeddings"], hidden)
    draw("embeddings.token_type_embeddings.weight", sizes["type_vocab_size"], hidden, scale=0.3)
    norm("embeddings.LayerNorm")
    for i in range(sizes["num_hidden_layers"]):
        prefix = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            dense(f"{prefix}attention.self.{part}", hidden, hidden)
        dense(f"{prefix}attention.output.dense", hidden, hidden)
        norm(f"{prefix}attention.output.LayerNorm")
        dense(f"{prefix}intermediate.dense", between, hidden)
        dense(f"{prefix}output.dense", hidden, between)
        norm(f"{prefix}output.LayerNorm")
    dense("pooler.dense", hidden, hidden)
    return tensors


def tokenizer() -> Tokenizer:
    """WordPiece over whole words, framed as BERT frames."""
    made = Tokenizer(WordPiece(vocab={w: i for i, w in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.add_special_tokens(SPECIAL)
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    return made


def write_checkpoint(folder: Path, seed: int = 0, **sizes: Any) -> Path:
    """A checkpoint folder in the Hugging Face layout."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = SIZES | sizes
    (folder / "config.json").write_text(json.dumps(sizes))
    save_file(bert_tensors(sizes, seed), folder / "model.safetensors")
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def rewrite_tensors(folder: Path, change) -> None:
    """Apply `change(tensors) -> tensors` to a checkpoint's weights."""
    path = folder / "model.safetensors"
    tensors = change({k: v.clone() for k, v in load_file(path).items()})
    path.unlink()
    save_file(tensors, path)


def sentence(generator: np.random.Generator, low: int = 2, high: int = 9) -> list[str]:
    """Random words, w10 and up: the first ten carry the labels of SEN."""
    return [WORDS[i] for i in generator.integers(10, 55, int(generator.integers(low, high)))]


def _rows_of(task: str, count: int, seed: int) -> tuple[list[str], list[list]]:
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        words = sentence(generator)
        if task == "SEN":
            label = int(generator.integers(3))
            words.insert(int(generator.integers(len(words) + 1)), WORDS[label])
            rows.append([" ".join(words), label])
        else:
            kept = [w for w in words if generator.random() < generator.choice([0.1, 0.9])]
            other = kept or sentence(generator)
            share = len(kept) / len(words)
            label = int(share > 0.5) if task == "PAR" else round(5 * share, 2)
            rows.append([" ".join(words), " ".join(other), label])
    header = ["text", "label"] if task == "SEN" else ["first", "second", "label"]
    return header, rows


def write_data(folder: Path) -> Path:
    """csv files of three tasks, 41 to 60 rows of train, 24 of dev, 20 of test."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (task, train) in enumerate((("SEN", 60), ("PAR", 41), ("SIM", 47))):
        for k, (split, count) in enumerate((("train", train), ("dev", 24), ("test", 20))):
            header, rows = _rows_of(task, count, seed=10 * number + k)
            with (folder / f"{task}-{split}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([header, *rows])
    return folder


def source(task: str, splits=("train", "dev", "test")) -> dict:
    """The `data` entry of a task of `write_data`."""
    return {split: {"type": "file", "path": f"{task}-{split}.csv"} for split in splits}


def study_keys(folder: Path, **keys: Any) -> dict[str, Any]:
    """The tiny study as plain data; `folder` holds data/ and encoder/."""
    training = {
        "epochs": 3,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "dropout": 0.1,
        "device": "cpu",
    }
    training |= keys.pop("training", {})
    data = {
        "name": "tiny",
        "data_dir": str(folder / "data"),
        "encoder": {
            "source": {"type": "directory", "path": str(folder / "encoder")},
            "max_length": 24,
        },
        "tasks": {
            "SEN": {
                "kind": "classification",
                "classes": ["bad", "fair", "good"],
                "text": ["text"],
                "label": "label",
                "data": source("SEN"),
            },
            "PAR": {
                "kind": "binary",
                "text": ["first", "second"],
                "label": "label",
                "data": source("PAR"),
            },
            "SIM": {
                "kind": "regression",
                "range": [0, 5],
                "text": ["first", "second"],
                "label": "label",
                "data": source("SIM"),
            },
        },
        "alphas": [0.3],
        "seeds": [1],
        "training": training,
    }
    return data | keys


def make_study(folder: Path, **keys: Any) -> StudyConfig:
    """The tiny study."""
    return StudyConfig.model_validate(study_keys(folder, **keys))


def random_split(
    seed: int, count: int = 12, pair: bool = True, classes: int | None = None
) -> TokenisedSplit:
    """A split of random token ids; labels are class numbers, or reals in [0, 5]."""
    generator = np.random.default_rng(seed)

    def side() -> tuple[np.ndarray, np.ndarray]:
        lengths = generator.integers(1, 12, count)
        ids = generator.integers(5, len(VOCABULARY), lengths.sum()).astype(np.int32)
        return ids, np.concatenate(([0], np.cumsum(lengths)))

    a, a_offsets = side()
    b, b_offsets = side() if pair else (None, None)
    labels = generator.integers(classes, size=count) if classes else generator.uniform(0, 5, count)
    return TokenisedSplit(
        a, a_offsets, b, b_offsets, labels.astype(np.float64), np.arange(1, count + 1)
    )


def random_batch(seed: int, vocabulary=None, pairing: str = "joint", **keys):
    """A batch of all examples of `random_split`."""
    split = random_split(seed, **keys)
    framing = Framing(SpecialTokens(CLS, SEP), pairing, 24, vocabulary)
    return make_batch(split, np.arange(len(split)), framing)
