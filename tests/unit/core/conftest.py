"""A tiny checkpoint and a tiny prepared study; runs go into a store of each test's choice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from core_helpers import make_study, study_keys, write_checkpoint, write_data

from weightwise.config import StudyConfig
from weightwise.data.stage import prepare_study
from weightwise.layout import Layout
from weightwise.train.inputs import Prepared

torch.set_num_threads(1)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A random checkpoint of two layers."""
    return write_checkpoint(tmp_path / "checkpoint")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ and encoder/ of the tiny study, with its data stage done in results/."""
    folder = tmp_path_factory.mktemp("tiny")
    write_data(folder / "data")
    write_checkpoint(folder / "encoder")
    prepare_study(make_study(folder), Layout("tiny", folder / "results"))
    return folder


@pytest.fixture
def prepared(tiny_folder: Path, tmp_path: Path):
    """`prepared(training={...})` -> the tiny study, prepared, with an empty store of its own."""
    count = 0

    def make(**keys) -> Prepared:
        nonlocal count
        count += 1
        layout = Layout("tiny", tmp_path / f"results{count}")
        shutil.copytree(tiny_folder / "results", layout.results)
        study = make_study(tiny_folder, **keys)
        prepare_study(study, layout)
        return Prepared(study, layout)

    return make


@pytest.fixture
def fresh(tmp_path: Path):
    """`fresh(**keys)` -> a tiny study prepared anew, for keys that the data stage reads."""

    def make(change=lambda keys: keys, **keys) -> Prepared:
        folder = tmp_path / "fresh"
        write_data(folder / "data")
        write_checkpoint(folder / "encoder")
        study = StudyConfig.model_validate(change(study_keys(folder, **keys)))
        layout = Layout(study.name, folder / "results")
        prepare_study(study, layout)
        return Prepared(study, layout)

    return make
