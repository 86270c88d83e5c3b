"""What is stored is what was asked for: data of another definition, and results that are gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def weightwise(project, *arguments: str) -> subprocess.CompletedProcess:
    """A command of ours in the project's folder."""
    return subprocess.run(
        [sys.executable, "-m", "weightwise", *arguments],
        cwd=project.folder,
        env=os.environ | project.environment | {"COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def rows(project) -> int:
    """Training rows of MOOD that the study is trained on."""
    checks = json.loads((project.folder / "results/tiny/data/checks.json").read_text())
    return checks["tasks"]["MOOD"]["splits"]["train"]["rows"]


def prepare_is_due(project) -> bool:
    said = project.snakemake("-n")
    return "\nprepare " in said.stdout + said.stderr


def test_a_look_changes_nothing_and_content_decides(project):
    project.write(seeds=[1], groupings=[["MOOD", "SAME"]], alphas=[0.3])
    own = project.folder / "results" / "tiny"
    assert weightwise(project, "check", "study.yaml").returncode == 0
    assert not own.exists()
    done = project.snakemake()
    assert done.returncode == 0, done.stderr
    assert rows(project) == 64

    # A look at a variant, of the data or of the encoder, leaves the study's data alone.
    before = {p: p.read_bytes() for p in (own / "data").rglob("*") if p.is_file()}
    looked = weightwise(project, "check", "study.yaml", "--set", "tasks.MOOD.data.limit.train=10")
    assert looked.returncode == 0, looked.stderr
    assert {p: p.read_bytes() for p in (own / "data").rglob("*") if p.is_file()} == before
    again = project.snakemake("-n")
    assert "Nothing to be done" in again.stdout + again.stderr

    # By hand, data of another definition are refused by the key that differs.
    asked = ("train", "MOOD/baseline/default/seed-1", "--study", "study.yaml", "--set")
    refused = weightwise(project, *asked, "tasks.MOOD.data.limit.train=8")
    assert refused.returncode != 0
    assert "already in the store" not in refused.stderr
    assert "tasks.MOOD.data.limit.train was not there, and is 8 now" in refused.stderr
    refused = weightwise(project, *asked, "encoder.source.path=encoder2")
    assert "encoder.source.path was encoder, and is encoder2 now" in refused.stderr
    refused = weightwise(project, "collect", "study.yaml", "--set", "encoder.max_length=16")
    assert "encoder.max_length was 32, and is 16 now" in refused.stderr

    # A file replaced by one with an older date counts, and so does going back.
    source = project.folder / "data" / "mood-train.tsv"
    kept = project.folder / "kept.tsv"
    shutil.copy2(source, kept)
    source.write_text("\n".join(kept.read_text().splitlines()[:41]) + "\n")
    os.utime(source, (1_000_000_000, 1_000_000_000))
    assert prepare_is_due(project)
    assert project.snakemake().returncode == 0
    assert rows(project) == 40
    shutil.copy2(kept, source)
    assert project.snakemake().returncode == 0
    assert rows(project) == 64
    again = project.snakemake("-n")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_results_that_are_gone_or_damaged_are_trained_again(project):
    project.write(seeds=[1], groupings=[["MOOD", "SAME"]], alphas=[0.3])
    assert project.snakemake().returncode == 0
    store = project.folder / "results" / "runs"
    folders = {json.loads(p.read_text())["id"]: p.parent for p in store.glob("*/run.json")}
    shutil.rmtree(folders["MOOD/baseline/default/seed-1"])
    damaged = folders["MOOD+SAME/pcgrad/default/seed-1"] / "run.json"
    damaged.write_text('{"status": "done"}')
    again = project.snakemake()
    assert again.returncode == 0, again.stderr
    for name in ("MOOD/baseline/default/seed-1", "MOOD+SAME/pcgrad/default/seed-1"):
        assert f"{name}: its results are gone or damaged; training it again" in again.stderr
    assert len(project.records()) == len(folders)
    last = project.snakemake("-n")
    assert "Nothing to be done" in last.stdout + last.stderr
