"""Studies, code, links and figures of README, CONTRIBUTING and docs/ are what they say."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
import yaml
from documented import DOCUMENTS, ROOT, anchors, blocks, links

from tiny_study import task
from weightwise.combine.base import Combiner
from weightwise.config import load_study
from weightwise.config.load import merge
from weightwise.grid import Grid

README = ROOT / "README.md"
YAML = [piece for d in DOCUMENTS for piece in blocks(d) if piece.kind == "yaml"]
PYTHON = [piece for d in DOCUMENTS for piece in blocks(d) if piece.kind == "python"]


def whole_study(text: str) -> dict:
    """The keys of a block, with what it leaves out: three tasks and an encoder."""
    keys = yaml.safe_load(text)
    tasks = {
        "SEN": task("mood", kind="classification", classes=["bad", "fair", "good"]),
        "PAR": task("same", kind="binary"),
        "SIM": task("near", kind="regression", range=[0, 5]),
    }
    base = {
        "name": "documented",
        "tasks": tasks,
        "encoder": {"source": {"type": "directory", "path": "encoder"}},
    }
    if keys.get("tasks") == {"...": None}:
        keys["tasks"] = tasks
    else:
        for name, one in (keys.get("tasks") or {}).items():
            if name in tasks and "data" in one:  # where its rows come from, as a whole
                del tasks[name]["data"]
    return merge(base, keys)


@pytest.mark.parametrize("piece", YAML, ids=lambda piece: piece.where)
def test_yaml_is_a_study_once_tasks_and_encoder_stand_beside_it(piece, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(whole_study(piece.text)))
    assert Grid(load_study(path)).runs


def test_the_parts_that_matter_most_are_a_study_with_baselines(tmp_path):
    text = README.read_text("utf-8")
    block = next(piece for piece in blocks(README) if piece.text.startswith("name: my-study"))
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(whole_study(block.text)))
    grid = Grid(load_study(path))
    promised = int(re.search(r"With three tasks that is (\d+) runs", text)[1])
    assert len(grid.runs) == promised
    alone = {(run.group, run.variant, run.seed) for run in grid.runs if len(run.group) == 1}
    for run in grid.runs:
        assert all(((name,), run.variant, run.seed) in alone for name in run.group)


@pytest.mark.parametrize("piece", PYTHON, ids=lambda piece: piece.where)
def test_python_runs(piece, monkeypatch):
    if "..., " in piece.text:  # one line of a dictionary
        assert ast.parse(piece.text.replace("..., ", ""))
        return
    names: dict = {"Combiner": Combiner, "dataclass": dataclass, "np": np, "__name__": "example"}
    monkeypatch.setitem(sys.modules, "example", ModuleType("example"))
    exec(compile(piece.text, piece.where, "exec", dont_inherit=True), names)
    (kind,) = (v for v in names.values() if isinstance(v, type) and v.__module__ == "example")
    weights = kind(None, np.random.default_rng(0))(np.array([[4.0, 0.0], [0.0, 1.0]]), np.ones(2))
    np.testing.assert_allclose(weights, [0.25, 0.5], rtol=1e-5)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for path, fragment in links(document):
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name}: {path}"
        assert not fragment or fragment in anchors(target), f"{document.name}: {path}#{fragment}"


def test_files_that_the_documents_name_exist():
    """Paths in code spans that begin with a folder of the repository."""
    folders = "|".join(p.name for p in ROOT.iterdir() if p.is_dir() and p.name[0] != ".")
    for document in DOCUMENTS:
        for path in re.findall(rf"`((?:{folders})/[\w./-]+\.\w+)`", document.read_text("utf-8")):
            made = re.search(r"NAME|^results/|^reports/|inverse_norm", path)
            assert made or (ROOT / path).exists(), f"{document.name}: {path}"


def test_the_documents_cite_nothing_that_is_not_here():
    for document in DOCUMENTS:
        assert not re.search(r"\b(SPEC|DESIGN)\b", document.read_text("utf-8")), document.name
