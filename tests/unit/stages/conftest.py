"""The tiny study with stages, prepared once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from core_helpers import write_checkpoint, write_data
from stage_helpers import stage_study, write_pairs, write_texts

from weightwise.data.stage import prepare_study
from weightwise.layout import Layout
from weightwise.train.inputs import Prepared

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def stage_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ and encoder/ of the tiny study with stages, prepared in results/."""
    folder = tmp_path_factory.mktemp("stages")
    write_data(folder / "data")
    write_texts(folder / "data" / "texts.csv")
    write_pairs(folder / "data" / "pairs.csv")
    write_checkpoint(folder / "encoder")
    prepare_study(stage_study(folder), Layout("tiny", folder / "results"))
    return folder


@pytest.fixture
def prepared(stage_folder: Path, tmp_path: Path):
    """`prepared(stages={...})` -> the tiny study with stages, prepared, with empty stores."""
    count = 0

    def make(**keys) -> Prepared:
        nonlocal count
        count += 1
        layout = Layout("tiny", tmp_path / f"results{count}")
        shutil.copytree(stage_folder / "results", layout.results)
        study = stage_study(stage_folder, **keys)
        prepare_study(study, layout)
        return Prepared(study, layout)

    return make


@pytest.fixture
def fresh(stage_folder: Path, tmp_path: Path):
    """`fresh(**keys)` -> (study, layout) with a copy of data and encoder that a test may spoil."""
    folder = tmp_path / "fresh"
    for name in ("data", "encoder"):
        shutil.copytree(stage_folder / name, folder / name)

    def make(**keys):
        return stage_study(folder, **keys), Layout("tiny", folder / "results")

    make.folder = folder
    return make
