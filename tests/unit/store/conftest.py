"""A tiny study whose files a test may edit, prepared or not, and runs laid into its store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from core_helpers import study_keys, write_checkpoint, write_data

from weightwise.config import StudyConfig, load_study
from weightwise.data.prepared import asked
from weightwise.data.stage import prepare_study
from weightwise.layout import Layout
from weightwise.reconcile import reconcile_data, reconcile_runs
from weightwise.runs import StudyRuns
from weightwise.store import write_record


@dataclass
class Made:
    """A study's file, data and encoder in a folder of their own."""

    folder: Path
    keys: dict[str, Any]
    said: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "study.yaml"

    def write(self) -> None:
        self.file.write_text(yaml.safe_dump(self.keys))

    @property
    def study(self) -> StudyConfig:
        self.write()
        return load_study(self.file)

    @property
    def layout(self) -> Layout:
        return Layout(self.keys["name"], self.folder / "results", self.folder / "reports")

    @property
    def runs(self) -> StudyRuns:
        return StudyRuns(self.study, self.layout)

    @property
    def digest(self) -> str:
        return asked(self.study, self.layout).digest

    def prepare(self) -> dict[str, Any]:
        return prepare_study(self.study, self.layout, self.said.append)

    def finish(self) -> None:
        """Lay a result of every run into the store."""
        runs = self.runs
        for run in runs.grid.runs:
            scores = {t: {"metric": "accuracy", "epoch": 1, "dev": 0.5} for t in run.group}
            record = {"status": "done", "key": runs.key(run), "id": run.id, "scores": scores}
            with runs.store.writing(runs.key(run)) as folder:
                if folder is not None:
                    (folder / "timings.parquet").write_bytes(bytes(100))
                    write_record(folder, record)

    def reconcile(self) -> list[str]:
        """What a workflow says when it starts."""
        layout, study = self.layout, self.study
        said = reconcile_data(layout, asked(study, layout))
        return said + (reconcile_runs(self.runs) if layout.prepared.exists() else [])

    def marked(self) -> set[str]:
        """Runs that have a marker."""
        runs = self.runs
        return {
            run.id
            for run in runs.grid.runs
            if runs.layout.done(run, runs.grid.fingerprint(run)).exists()
        }


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    """`make(**keys)`: the tiny study with changed keys, not prepared yet."""

    def build(name: str = "project", **keys: Any) -> Made:
        folder = tmp_path / name
        write_data(folder / "data")
        write_checkpoint(folder / "encoder")
        made = Made(folder, study_keys(folder, groupings=[["SEN", "PAR"]], **keys))
        made.write()
        return made

    return build
