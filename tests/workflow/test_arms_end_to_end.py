"""A study of named arms end to end: runs, tables, page, predictions to hand in."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

GROUP = "MOOD+NEAR+SAME"


def test_named_arms_end_to_end(project):
    project.write(
        groupings=[["MOOD", "SAME", "NEAR"]],
        single_tasks=False,
        combiners=["addition"],
        runs_per_job=10,
        training={
            **project.study["training"],
            "pair": "siamese",
            "decoder": "product",
            "output": "identity",
        },
        arms={
            "all": {},
            "probe": {"freeze_trunk": True},
            "without-SAME": {"trunk_tasks": ["MOOD", "NEAR"]},
            "chance": {"head": "chance", "freeze_trunk": True, "epochs": 1},
            "few": {"train_rows": {"SAME": 16}, "combiners": ["pcgrad"]},
        },
    )
    done = project.snakemake()
    assert done.returncode == 0, done.stderr
    combiners = {"few": "pcgrad"}
    arms = ("all", "probe", "without-SAME", "chance", "few")
    assert set(project.records()) == {
        f"{GROUP}/{combiners.get(arm, 'addition')}/{arm}/seed-{seed}"
        for arm in arms
        for seed in (1, 2)
    }

    tables = project.folder / "results" / "tiny" / "tables"
    left = pd.read_parquet(tables / "leave_one_out.parquet")
    assert set(left["left_out"]) == {"SAME"}
    references = dict(zip(left["task"], left["reference"], strict=True))
    assert references == {"MOOD": "all", "SAME": "probe", "NEAR": "all"}
    compared = pd.read_parquet(tables / "comparisons.parquet")
    assert set(compared["variant"]) == set(arms)
    assert set(compared["task"]) == {"MOOD", "SAME", "NEAR", "overall"}
    errors = pd.read_parquet(tables / "errors.parquet")
    assert set(errors["split"]) == {"test"}
    assert len(errors)

    page = project.page
    for anchor in ("named-arms", "left-out", "overfitting", "errors", "arms"):
        assert page.count(f'id="{anchor}"') == 1, anchor
    again = project.snakemake("-n")
    assert "Nothing to be done" in again.stdout + again.stderr

    handed_in = subprocess.run(
        [sys.executable, "-m", "weightwise", "submit", "study.yaml", "--out", "handed-in"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert handed_in.returncode == 0, handed_in.stderr
    told = json.loads((project.folder / "handed-in" / "submission.json").read_text())
    assert {task: found["run"] in project.records() for task, found in told["tasks"].items()} == {
        "MOOD": True,
        "NEAR": True,
        "SAME": True,
    }
    for task in told["tasks"]:
        lines = (project.folder / "handed-in" / f"{task}.tsv").read_text().splitlines()
        assert len(lines) == 1 + 24
