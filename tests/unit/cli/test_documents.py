"""What is generated from the typed configuration is in step with it; shipped studies load."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from weightwise import runs, unfinished
from weightwise.analysis import gradients
from weightwise.analysis.run import SCHEMAS
from weightwise.config import load_study
from weightwise.config.document import json_schema, key_table
from weightwise.config.report import ReportConfig
from weightwise.config.study import STUDY_COMBINERS
from weightwise.data.definition import configuration
from weightwise.figures import KINDS
from weightwise.grid import Grid
from weightwise.published import printed_arms, published_names
from weightwise.published.papers import PAPERS
from weightwise.workflow import WorkflowStudy

ROOT = Path(__file__).resolve().parents[3]
STUDIES = sorted((ROOT / "workflow" / "studies").glob("*.yaml"))


def test_the_key_table_is_in_step():
    assert (ROOT / "docs" / "configuration.md").read_text("utf-8") == key_table()


def test_the_schema_is_in_step_and_knows_the_combiners():
    assert (ROOT / "docs" / "study.schema.json").read_text("utf-8") == json_schema()
    plain, with_options = json.loads(json_schema())["properties"]["combiners"]["items"]["anyOf"]
    assert plain["enum"] == STUDY_COMBINERS
    assert {"addition", "cagrad", "gradattention", "pcgrad", "torchjd:UPGrad", "unitary"} <= set(
        plain["enum"]
    )
    for text in ("cagrad(c=0.5)", "torchjd:MGDA(epsilon=0.1, max_iters=3)"):
        assert re.search(with_options["pattern"], text)
    for text in ("cagard(c=0.5)", "cagrad(c=0.5", "cagrad"):
        assert not re.search(with_options["pattern"], text)


def test_every_key_is_documented():
    for line in key_table().splitlines():
        if line.startswith("| `"):
            key, meaning = line.strip("| ").split(" | ")[0], line.strip("| ").split(" | ")[-1]
            assert len(meaning) > 5, key
            assert meaning != key, key


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *STUDIES], ids=lambda path: path.stem)
def test_shipped_studies_load(path):
    assert Grid(load_study(path)).runs


def test_the_pairing_study_is_the_papers_grid():
    grid = Grid(load_study(ROOT / "workflow" / "studies" / "pairing.yaml"))
    assert len(grid.cells) == 36 * 5
    assert len(grid.runs) == 36 * 5  # at the paper's epsilon equal weights are no addition
    training = grid.study.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (10, 8, 1e-5)
    assert (training.weight_decay, training.epsilon, training.dropout) == (0.01, 1e-6, 0.5)
    assert (training.pair, training.representation, training.head) == ("joint", "cls", "hidden")


def test_the_small_pairing_study_differs_by_configuration_only():
    small = Grid(load_study(ROOT / "workflow" / "studies" / "pairing-small.yaml"))
    whole = Grid(load_study(ROOT / "workflow" / "studies" / "pairing.yaml"))
    assert {c.id for c in small.cells if c.seed == 1} == {c.id for c in whole.cells if c.seed == 1}
    assert small.study.tasks["PAR"].data.dev is None


def test_the_gradattention_study_is_the_papers_grid():
    grid = Grid(load_study(ROOT / "workflow" / "studies" / "gradattention.yaml"))
    assert grid.groups[-1] == ("SEN", "PAR", "SIM")
    assert len(grid.groups) == 4  # each task alone, and all three
    arms = [arm.combiner for arm in grid.arms(grid.groups[-1], next(iter(grid.variants)))]
    assert arms == ["addition", "pcgrad", "gradattention"]
    trainings = [variant.training for variant in grid.variants.values()]
    kinds = {(t.head, t.learning_rate) for t in trainings}
    assert kinds == {(head, rate) for head in ("linear", "tanh2") for rate in (1e-5, 1e-4)}
    assert len(grid.runs) == 6 * 4 * 5
    for training in trainings:
        assert (training.epochs, training.batch_size, training.schedule) == (100, 24, "min_size")
        assert (training.weight_decay, training.dropout) == (0.01, 0.3)
        assert (training.pair, training.decoder) == ("siamese", "concatenate")
        assert training.output == "sigmoid"
    seen = {name: task.representation for name, task in grid.study.tasks.items()}
    assert seen == {"SEN": "cls", "PAR": "mean", "SIM": "mean"}
    assert grid.study.report.published == "gradattention"


def test_the_small_gradattention_study_differs_by_configuration_only():
    small = Grid(load_study(ROOT / "workflow" / "studies" / "gradattention-small.yaml"))
    whole = Grid(load_study(ROOT / "workflow" / "studies" / "gradattention.yaml"))
    group = whole.groups[-1]
    assert small.groups == whole.groups
    arms = {grid.arms(group, name) for grid in (small, whole) for name in grid.variants}
    assert len(arms) == 1
    assert {one.training.head for one in small.variants.values()} == {"linear", "tanh2"}
    assert len(small.runs) == 6 * 2 * 3
    assert small.study.tasks["PAR"].data.dev is None
    for key in ("dropout", "pair", "decoder", "output", "schedule", "weight_decay"):
        assert getattr(small.study.training, key) == getattr(whole.study.training, key)


@pytest.mark.parametrize(("name", "without"), [("bertram", 0), ("mlm", 1), ("simcse", 0)])
def test_every_printed_arm_of_a_paper_is_an_arm_of_its_study(name, without):
    """All but the leaderboard row of the mlm paper, which does not say what was submitted."""
    study = load_study(ROOT / "workflow" / "studies" / f"{name}.yaml")
    assert study.report.published == name
    printed = set(printed_arms(name))
    assert set(study.report.counterparts) <= printed
    assert len(printed - set(study.report.counterparts)) == without
    assert PAPERS[name].baseline in study.report.counterparts
    used = {study.report.counterpart(one).arm for one in study.report.counterparts}
    # What no paper has: MLM's arm without surgery, SimCSE's printed rate.
    assert set(study.arms) - used <= {"together", "rate-1e-3"}


@pytest.mark.parametrize("name", ["bertram", "mlm", "simcse"])
def test_the_small_studies_of_named_arms_differ_by_configuration_only(name):
    small = Grid(load_study(ROOT / "workflow" / "studies" / f"{name}-small.yaml"))
    whole = Grid(load_study(ROOT / "workflow" / "studies" / f"{name}.yaml"))
    assert {c.id for c in small.cells if c.seed == 1} == {c.id for c in whole.cells if c.seed == 1}
    assert small.study.report.counterparts == whole.study.report.counterparts
    keys = ("schedule", "smart", "similarity_loss", "decoder", "head", "freeze_trunk", "start")
    for arm, one in whole.variants.items():
        for key in (*keys, "dropout", "trunk_tasks", "epoch_surgery", "pair", "representation"):
            assert getattr(small.variants[arm].training, key) == getattr(one.training, key)


def test_the_bertram_study_is_the_papers_table():
    arms = Grid(load_study(ROOT / "workflow" / "studies" / "bertram.yaml")).variants
    assert len(arms) == 13  # experiment 13 is 12 on the test set
    assert next(iter(arms)) == "all"
    for name, arm in arms.items():
        keys = arm.training
        assert (keys.batch_size, keys.learning_rate, keys.dropout) == (8, 1e-5, 0.3)
        assert keys.epochs == {"rotating-mse-20": 20, "chance": 1}.get(name, 10)
        rows = {"rotating": 9000, "one-update": 6040, "full-PAR": None}.get(name, 8000)
        assert (keys.train_rows or {}).get("PAR") == rows
        assert (keys.similarity_loss == "mse") == (
            name in ("additive", "rotating-mse", "rotating-mse-20", "one-update", "full-PAR")
        )
        # Surgery at the end of an epoch, but for the one combined update per batch.
        assert keys.epoch_surgery == (keys.schedule == "rotating")
        assert (arm.combiners == ("pcgrad",)) == (name == "one-update")
        if keys.smart is not None:
            assert keys.smart.tasks == ("SEN",)


def test_every_paper_that_can_be_named_is_known():
    named = get_args(get_args(ReportConfig.model_fields["published"].annotation)[0])
    assert set(named) == set(PAPERS)
    assert {p.arms for p in PAPERS.values() if p.arms} <= set(published_names())


def test_what_decides_the_data_and_what_does_not():
    def definition(*changes: str) -> dict:
        return configuration(load_study(ROOT / "config.yaml", changes))

    assert definition() == definition("seeds=[7]", "training.epochs=9")
    assert definition() == definition("tasks.SEN.id=number")
    assert definition() != definition("tasks.SEN.cut_points=[-2, -1, 1, 3]")
    assert definition() != definition("study_seed=1")
    assert definition() != definition("encoder.max_length=64")


def test_the_workflow_declares_every_table_and_captions_every_figure():
    collected = {"predictions", "learning", "leave_one_out", "errors", "overlap"}
    declared = set(SCHEMAS) - {"scores"} | collected | set(gradients.SCHEMAS)
    assert set(WorkflowStudy.analysis_tables) == declared
    captions = {path.stem for path in (ROOT / "workflow" / "report").glob("*.rst")}
    assert captions == {*KINDS, "report", "workflow"}


def test_a_partial_report_takes_the_snakefile_that_failed(tmp_path, monkeypatch):
    study = WorkflowStudy(ROOT / "config.yaml", [], {"results": str(tmp_path)})
    monkeypatch.setattr(runs, "StudyRuns", lambda config, layout: None)
    failed = {"id": "SEN/baseline/default/seed-1", "error": "diverged"}
    monkeypatch.setattr(unfinished, "notes", lambda *arguments: [failed])
    commands = []

    def record(command, check):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", record)
    study.report_what_there_is(
        SimpleNamespace(
            executor_plugin=SimpleNamespace(name="local"),
            scheduler=SimpleNamespace(failed=[]),
            main_snakefile="/elsewhere/Snakefile",
        )
    )
    (command,) = commands
    assert command[command.index("--snakefile") + 1] == "/elsewhere/Snakefile"
