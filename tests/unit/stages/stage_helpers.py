"""Texts and NLI pairs for stages of the tiny study."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from core_helpers import WORDS, study_keys

from weightwise.config import StudyConfig


def write_texts(path: Path, rows: int = 60, seed: int = 5) -> Path:
    """Texts in which every word says the next one."""
    generator = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "other"])
        for row in range(rows):
            # Text and length together are different in every row.
            start, length = row % len(WORDS), 4 + row // len(WORDS) + 2 * generator.integers(18)
            words = [WORDS[(start + k) % len(WORDS)] for k in range(length)]
            writer.writerow([" ".join(words), f"w1 w2 {words[0]}"])
    return path


def write_pairs(path: Path, rows: int = 60, seed: int = 6) -> Path:
    """Premises, each with an entailed hypothesis (its words in another order), every third one with
    a contradiction as well, some rows that say neither."""
    generator = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["premise", "hypothesis", "relation"])
        for number in range(rows):
            words = [WORDS[i] for i in generator.choice(len(WORDS), 6, replace=False)]
            other = [WORDS[i] for i in generator.choice(len(WORDS), 6, replace=False)]
            premise, turned = " ".join(words), " ".join(generator.permutation(words))
            writer.writerow([premise, turned, "entailment"])
            if number % 3 == 0:
                writer.writerow([premise, " ".join([*words[:3], *other[:3]]), "contradiction"])
            writer.writerow([premise, " ".join(other), "neutral"])
        writer.writerow(["w1 w2 w3", "w7 w8", "contradiction"])  # of a premise that entails nothing
    return path


def stages(**changes: dict[str, Any]) -> dict[str, Any]:
    """Both kinds of stages, one after the other; `changes` by stage."""
    made = {
        "TEXTS": {
            "kind": "mlm",
            "source": {"type": "file", "path": "texts.csv"},
            "text": ["text"],
            "epochs": 2,
            "batch_size": 16,
            "accumulate": 2,
            "learning_rate": 3e-3,
            "max_length": 20,
        },
        "PAIRS": {
            "kind": "simcse",
            "after": "TEXTS",
            "source": {"type": "file", "path": "pairs.csv"},
            "text": ["premise", "hypothesis"],
            "label": "relation",
            "batch_size": 8,
            "learning_rate": 1e-3,
            "representation": "mean",
        },
    }
    return {name: keys | changes.get(name, {}) for name, keys in made.items()}


def stage_keys(folder: Path, **keys: Any) -> dict[str, Any]:
    """The tiny study with both stages as plain data; its runs start from PAIRS."""
    training = {"start": "PAIRS", "epochs": 1} | keys.pop("training", {})
    return study_keys(folder, training=training, **({"stages": stages()} | keys))


def stage_study(folder: Path, **keys: Any) -> StudyConfig:
    """The tiny study with both stages."""
    return StudyConfig.model_validate(stage_keys(folder, **keys))
