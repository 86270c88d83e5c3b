"""A small study whose test rows have ids and no labels, with runs that nobody trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from core_helpers import write_checkpoint

from weightwise.config import StudyConfig
from weightwise.data.prepared import find
from weightwise.data.stage import prepare_study
from weightwise.files import write_json
from weightwise.layout import Layout
from weightwise.runs import StudyRuns
from weightwise.submit import submit
from weightwise.tables import Examples, Predictions, read_table, write_table


def labelled(prefix: str, word: str) -> dict[str, str]:
    """Tables of ten rows whose ids begin with `prefix`, labels as the course writes them."""
    single, pair = "id\ttext\tlabel\n", "id\tone\ttwo\tlabel\n"
    return {
        "SEN": single + "".join(f"{prefix}{i}\tw{i} {word}\t{i % 5}\n" for i in range(10)),
        "PAR": pair + "".join(f"{prefix}{i}\tw{i}\t{word}\t{i % 2}.0\n" for i in range(10)),
        "SIM": pair + "".join(f"{prefix}{i}\tw{i}\t{word}\t{i % 6}\n" for i in range(10)),
    }


TEST = {
    "SEN": "id\ttext\na7\tw30 w31\nb8\tw32\nc9\tw33 w34\n",
    "PAR": "id\tone\ttwo\np1\tw30\tw31\np2\tw32\tw33\n",
    "SIM": "id\tone\ttwo\ns1\tw30\tw31\ns2\tw32\tw33\ns3\tw34\tw35\n",
}


def tasks() -> dict[str, dict[str, Any]]:
    """Three tasks as the course has them."""
    kinds: dict[str, dict[str, Any]] = {
        "SEN": {
            "kind": "classification",
            "classes": ["awful", "bad", "so-so", "good", "great"],
            "text": ["text"],
        },
        "PAR": {"kind": "binary", "text": ["one", "two"]},
        "SIM": {"kind": "regression", "range": [0, 5], "text": ["one", "two"]},
    }
    return {
        name: kind
        | {
            "label": "label",
            "id": "id",
            "data": {
                split: {"type": "file", "path": f"{name}-{split}.tsv", "format": "tsv"}
                for split in ("train", "dev", "test")
            }
            | {"test_labelled": False},
        }
        for name, kind in kinds.items()
    }


@dataclass
class Made:
    """A prepared study, and runs laid into its store by hand."""

    folder: Path
    keys: dict[str, Any]
    predictions: dict[str, list[float]] = field(
        default_factory=lambda: {"SEN": [3, 0, 4], "PAR": [1, 0], "SIM": [0.1, 4.25, 5.5]}
    )

    @property
    def study(self) -> StudyConfig:
        return StudyConfig.model_validate(self.keys)

    @property
    def layout(self) -> Layout:
        return find(self.study, Layout(self.keys["name"], self.folder / "results"))

    @property
    def runs(self) -> StudyRuns:
        return StudyRuns(self.study, self.layout)

    def source(self, task: str, split: str = "test") -> Path:
        return self.folder / "data" / f"{task}-{split}.tsv"

    def prepare(self) -> None:
        prepare_study(self.study, Layout(self.keys["name"], self.folder / "results"))

    def finish(self, scores: Mapping[str, Mapping[str, float | None]]) -> None:
        """Finish runs: {id: {task: dev score}}. Test predictions are `predictions`; a run's dev
        predictions are the labels."""
        runs = self.runs
        for name, dev in scores.items():
            run = runs.grid.run(name)
            frames = [self._predicted(task) for task in run.group]
            folder = runs.folder(run)
            write_table(pd.concat(frames), Predictions, folder / "predictions.parquet")
            kinds = {t: self.study.tasks[t].score_name for t in run.group}
            told = {
                t: {"metric": kinds[t], "epoch": 1, "dev": dev[t], "test": None} for t in run.group
            }
            record = {"status": "done", "key": runs.key(run), "id": name, "scores": told}
            write_json(folder / "run.json", record)

    def _predicted(self, task: str) -> pd.DataFrame:
        examples = read_table(self.layout.examples(task), Examples)
        rows = examples[examples["split"] != "train"]
        predicted = rows["label"].to_numpy(copy=True)
        test = (rows["split"] == "test").to_numpy()
        predicted[test] = self.predictions[task][: test.sum()]
        frame = rows[["split", "row", "label"]].assign(
            task=task, prediction=predicted, confidence=np.nan
        )
        return frame.iloc[::-1]  # submit must not take the order for granted

    def submit(self, **keys: Any) -> tuple[Path, list[str]]:
        """The folder, and what was told."""
        lines: list[str] = []
        folder = submit(self.study, self.layout, report=lines.append, **keys)
        return folder, lines


@pytest.fixture(scope="session")
def encoder(tmp_path_factory) -> Path:
    """A random checkpoint."""
    return write_checkpoint(tmp_path_factory.mktemp("encoder") / "encoder")


@pytest.fixture
def make(tmp_path: Path, encoder: Path) -> Callable[..., Made]:
    """`make(change, {"SEN": "id\\ttext\\n..."})`: the study with changed keys and test files,
    prepared."""

    def build(
        change: Callable[[dict], object] = lambda keys: None,
        test: Mapping[str, str] | None = None,
        **keys: Any,
    ) -> Made:
        (tmp_path / "data").mkdir()
        for split, tables in (
            ("train", labelled("t", "w20")),
            ("dev", labelled("d", "w21")),
            ("test", TEST | dict(test or {})),
        ):
            for name, table in tables.items():
                (tmp_path / "data" / f"{name}-{split}.tsv").write_bytes(table.encode())
        study = {
            "name": "small",
            "data_dir": str(tmp_path / "data"),
            "encoder": {"source": {"type": "directory", "path": str(encoder)}, "max_length": 24},
            "tasks": tasks(),
            "groupings": "pairs",
            "combiners": ["addition", "unitary"],
            "alphas": [0.3],
            "seeds": [1, 2, 3],
            "training": {"epochs": 1, "batch_size": 4, "device": "cpu"},
        } | keys
        change(study)
        made = Made(tmp_path, study)
        made.prepare()
        return made

    return build
