"""On which study a benchmark measures: arguments, prepared data, the run whose model takes steps.

`--quick` measures on a made-up study of three tiny tasks and an encoder 32 wide, which it prepares
in a temporary folder: seconds, and figures that say nothing but that the benchmark runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from weightwise.config import StudyConfig, load_study
from weightwise.config.variants import DEFAULT_VARIANT
from weightwise.data.stage import prepare_study
from weightwise.grid import Arm, Cell
from weightwise.layout import Layout
from weightwise.train.inputs import Prepared

REFERENCE = "addition"
QUICK_GROUP, QUICK_ROUNDS = "MOOD+NEAR", 6


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments that benchmarks of steps share."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--study", default="config.yaml")
    made.add_argument("--results", type=Path, default=Path("results"))
    made.add_argument("--group", default="SEN+SIM")
    made.add_argument("--rounds", type=int, default=60)
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    made.add_argument("--quick", action="store_true", help="seconds, on a made-up tiny study")
    return made


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[tuple[Prepared, Cell]]:
    """The prepared study and one run of the group, with the number of threads set.

    Args:
        options: what `parser` parsed; `--quick` replaces its group and rounds.
    """
    if not options.quick:
        yield _prepared(load_study(options.study, options.set), options)
        return
    options.group, options.rounds = QUICK_GROUP, QUICK_ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        options.results = Path(folder) / "results"
        study = _tiny(Path(folder), options.set)
        prepare_study(study, Layout(study.name, options.results))
        yield _prepared(study, options)


def _prepared(study: StudyConfig, options: argparse.Namespace) -> tuple[Prepared, Cell]:
    torch.set_num_threads(study.threads)
    prepared = Prepared(study, Layout(study.name, options.results))
    group = tuple(options.group.split("+"))
    return prepared, Cell(group, Arm(REFERENCE), DEFAULT_VARIANT, study.seeds[0])


def _tiny(folder: Path, overrides: list[str]) -> StudyConfig:
    """The study that the tests run in Snakemake, written into a folder."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
    from tiny_study import make_project

    (folder / "study").mkdir()
    project = make_project(folder / "study")
    encoder = {"type": "directory", "path": str(project.folder / "encoder")}
    project.write(
        data_dir=str(project.folder / "data"),
        encoder=project.study["encoder"] | {"source": encoder},
    )
    return load_study(project.folder / "study.yaml", overrides)
