"""A tiny study for real Snakemake runs: three tasks from files, an encoder of random weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer

from weightwise.model.checkpoint import published_names
from weightwise.model.encoder import BertConfig, Encoder

ROOT = Path(__file__).resolve().parents[1]
GOOD = ["good", "fine", "great", "lovely", "happy", "bright"]
BAD = ["bad", "poor", "awful", "dull", "sad", "dark"]
OTHER = "the a film book song day cat dog house tree river road is was very quite".split()  # noqa: SIM905


def write_encoder(folder: Path) -> None:
    """A BERT of two layers, 32 wide, with random weights, in the layout of a published one."""
    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *OTHER]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertWordPieceTokenizer(str(folder / "vocab.txt")).save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "vocab_size": len(words),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 32,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
    }
    (folder / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, tensor in Encoder(BertConfig.read(folder / "config.json")).state_dict().items():
        norm = "norm" in name
        drawn = torch.randn(tensor.shape, generator=generator) * 0.1 + (
            1.0 if norm and name.endswith("weight") else 0.0
        )
        published = published_names(name, [0, 1])
        for part, piece in zip(published, drawn.chunk(len(published)), strict=True):
            tensors[part] = piece.contiguous()
    save_file(tensors, str(folder / "model.safetensors"))


def write_data(folder: Path) -> None:
    """Sentences whose words decide the labels, so that there is something to learn."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)

    def sentence(words: list[str]) -> str:
        chosen = [*generator.choice(words, 2), *generator.choice(OTHER, 4)]
        return " ".join(generator.permutation(chosen))

    for split, rows in (("train", 64), ("dev", 24), ("test", 24)):
        lines = ["text\tlabel"]
        for _ in range(rows):
            label = int(generator.integers(3))
            words = [BAD, OTHER, GOOD][label]
            lines.append(f"{sentence(words)}\t{label}")
        (folder / f"mood-{split}.tsv").write_text("\n".join(lines) + "\n")
        for name in ("same", "near"):
            lines = ["first\tsecond\tlabel"]
            for _ in range(rows):
                one, two = generator.integers(2, size=2)
                a, b = (sentence([BAD, GOOD][side]) for side in (one, two))
                label = float(one == two) * (1 if name == "same" else 5)
                lines.append(f"{a}\t{b}\t{label}")
            (folder / f"{name}-{split}.tsv").write_text("\n".join(lines) + "\n")


def task(name: str, **keys) -> dict:
    """A task of the tiny study."""
    pair = name != "mood"
    source = {
        split: {"type": "file", "path": f"{name}-{split}.tsv", "format": "tsv"}
        for split in ("train", "dev", "test")
    }
    return {
        "text": ["first", "second"] if pair else ["text"],
        "label": "label",
        "data": source,
    } | keys


@dataclass
class Project:
    """A folder in which a study runs, with a copy of the package that a test may edit."""

    folder: Path
    study: dict
    environment: dict = field(default_factory=dict)
    started: list[subprocess.Popen] = field(default_factory=list)

    def write(self, **changes) -> None:
        """Write the study's file with some keys changed."""
        self.study |= changes
        (self.folder / "study.yaml").write_text(yaml.safe_dump(self.study))

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run Snakemake as a user would."""
        return subprocess.run(
            self.command("--cores", "2", *arguments),
            cwd=self.folder,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake and come back at once; what it says goes into snakemake.txt."""
        with (self.folder / "snakemake.txt").open("w") as said:
            process = subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End what `start` started, if a test did not."""
        for process in self.started:
            process.kill()
            process.wait()

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """Snakemake on the tiny study."""
        return [sys.executable, "-m", "snakemake", "--configfile", "study.yaml", *arguments]

    @property
    def said(self) -> str:
        """What the Snakemake of `start` has said so far."""
        return (self.folder / "snakemake.txt").read_text("utf-8")

    @property
    def package(self) -> Path:
        """The package's source files."""
        return self.folder / "src" / "weightwise"

    @property
    def page(self) -> str:
        """The report."""
        return (self.folder / "reports" / "tiny" / "index.html").read_text("utf-8")

    def trainings(self) -> dict[str, dict[str, str]]:
        """Environments of the trainings of this project that run just now, by run or pack."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if words[1:3] != ["-m", "weightwise.train"]:
                    continue
                if (process / "cwd").resolve() != self.folder.resolve():
                    continue
                environment = (process / "environ").read_bytes().decode(errors="replace")
            except OSError:  # ended meanwhile
                continue
            pairs = (pair.partition("=") for pair in environment.split("\0"))
            found[words[3]] = {key: value for key, _, value in pairs}
        return found

    def records(self) -> dict[str, int]:
        """Finished runs and when they were written."""
        found = {}
        for path in (self.folder / "results" / "runs").glob("*/run.json"):
            found[json.loads(path.read_text())["id"]] = path.stat().st_mtime_ns
        return found


def make_project(folder: Path) -> Project:
    """A project folder with everything that a clone has, and the tiny study."""
    for name in ("Snakefile", "workflow", "profiles", "slurm", "src"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    write_encoder(folder / "encoder")
    write_data(folder / "data")
    made = Project(
        folder,
        {
            "name": "tiny",
            "data_dir": "data",
            "tasks": {
                "MOOD": task("mood", kind="classification", classes=["sad", "plain", "happy"]),
                "SAME": task("same", kind="binary"),
                "NEAR": task("near", kind="regression", range=[0, 5]),
            },
            "encoder": {
                "source": {"type": "directory", "path": "encoder"},
                "max_length": 32,
            },
            "groupings": [["MOOD", "SAME"], ["SAME", "NEAR"]],
            "alphas": [0.3, 0.7],
            "seeds": [1, 2],
            "runs_per_job": 4,
            "training": {"epochs": 2, "learning_rate": 1e-3, "dropout": 0.0},
        },
        {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    made.write()
    return made
