"""What is stored is what was asked for: data of another definition, and results that are gone."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time

import pytest

from tiny_study import write_data

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
    """Training rows of MOOD in the data that the study's marker names."""
    name = json.loads((project.folder / "results/tiny/prepared.json").read_text())["data"]
    checks = json.loads((project.folder / "results" / "data" / name / "checks.json").read_text())
    return checks["tasks"]["MOOD"]["splits"]["train"]["rows"]


def due(project) -> set[str]:
    """Rules that a dry run would execute, packs of runs as `train`."""
    said = project.snakemake("-n")
    assert said.returncode == 0, said.stderr
    table = said.stdout.partition("Job stats:")[2].partition("total")[0]
    names = re.findall(r"^(\w+)\s+\d+$", table, flags=re.MULTILINE)
    return {re.sub(r"^train_\d+$", "train", name) for name in names}


def files(folder) -> dict:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


SMALL = {"seeds": [1], "groupings": [["MOOD", "SAME"]], "combiners": ["addition"]}
AFTER_TRAINING = {"all", "collect", "tables", "figures", "report"}


def mood(project) -> dict:
    return project.study["tasks"]["MOOD"]


def older(path) -> None:
    os.utime(path, (1_000_000_000, 1_000_000_000))


def another_file(project) -> None:
    source = project.folder / "data" / "mood-train.tsv"
    (source.parent / "b.tsv").write_text("\n".join(source.read_text().splitlines()[:41]) + "\n")
    older(source.parent / "b.tsv")
    mood(project)["data"]["train"]["path"] = "b.tsv"


def other_rows_in_place(project) -> None:
    source = project.folder / "data" / "mood-train.tsv"
    source.write_text("\n".join(source.read_text().splitlines()[:41]) + "\n")
    older(source)


def other_weights_in_place(project) -> None:
    weights = project.folder / "encoder" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-4:] = struct.pack("<f", 0.25)
    weights.write_bytes(content)
    older(weights)


EDITS = {
    "path": (another_file, "tasks.MOOD.data.train.path"),
    "limit": (lambda p: mood(p)["data"].update(limit={"train": 8}), "tasks.MOOD.data.limit.train"),
    "range": (lambda p: p.study["tasks"]["NEAR"].update(range=[0, 6]), "tasks.NEAR.range"),
    "classes": (
        lambda p: mood(p).update(classes=["sad", "listless", "happy"]),
        "tasks.MOOD.classes",
    ),
    "max_length": (lambda p: p.study["encoder"].update(max_length=16), "encoder.max_length"),
    "layers": (lambda p: p.study["encoder"].update(layers=1), "encoder.layers"),
    "rows in place": (other_rows_in_place, "content of the file of tasks.MOOD.data.train"),
    "weights in place": (other_weights_in_place, "encoder.source: model.safetensors"),
}


def test_a_look_changes_nothing_and_every_edit_is_due(project):
    project.write(**SMALL)
    own = project.folder / "results" / "tiny"
    assert weightwise(project, "check", "study.yaml").returncode == 0
    assert not own.exists()
    done = project.snakemake()
    assert done.returncode == 0, done.stderr
    assert rows(project) == 64

    # A look at a variant leaves the study's folder alone.
    before = files(own)
    looked = weightwise(project, "check", "study.yaml", "--set", "tasks.MOOD.data.limit.train=10")
    assert looked.returncode == 0, looked.stderr
    assert files(own) == before
    assert due(project) == set()

    # By hand, data of another definition are refused by the key that differs.
    asked = ("train", "MOOD/baseline/default/seed-1", "--study", "study.yaml", "--set")
    refused = weightwise(project, *asked, "tasks.MOOD.data.limit.train=8")
    assert refused.returncode != 0
    assert "already in the store" not in refused.stderr
    assert "tasks.MOOD.data.limit.train 10, asked for 8" in refused.stderr
    refused = weightwise(project, *asked, "encoder.source.path=encoder2")
    assert 'encoder.source.path "encoder", asked for "encoder2"' in refused.stderr
    for command in ("collect", "tables", "figures", "report", "submit"):
        refused = weightwise(project, command, "study.yaml", "--set", "encoder.max_length=16")
        assert refused.returncode == 2, command
        assert "encoder.max_length 32, asked for 16" in refused.stderr, command
        assert "Traceback" not in refused.stderr, command
    told = weightwise(project, "status", "study.yaml", "--set", "encoder.max_length=16")
    assert "The data are not prepared yet." in told.stdout

    # Every edit makes the preparation and what follows due; going back, nothing is.
    study, kept = copy.deepcopy(project.study), project.folder / "kept"
    for name in ("data", "encoder"):
        shutil.copytree(project.folder / name, kept / name)
    for name, (edit, words) in EDITS.items():
        edit(project)
        project.write()
        said = project.snakemake("-n")
        assert words in said.stderr, (name, said.stderr)
        assert due(project) == {"prepare", "train"} | AFTER_TRAINING, name
        project.study = copy.deepcopy(study)
        project.write()
        for folder in ("data", "encoder"):
            shutil.copytree(kept / folder, project.folder / folder, dirs_exist_ok=True)
        assert due(project) == set(), name


def test_what_is_edited_is_trained_and_told_and_going_back_loses_nothing(project):
    project.write(**SMALL)
    assert project.snakemake().returncode == 0
    first, page = project.records(), project.page
    other_rows_in_place(project)
    mood(project).update(classes=["sad", "listless", "happy"])
    project.write()
    assert project.snakemake().returncode == 0
    assert rows(project) == 40
    assert "listless" in project.page
    assert "listless" not in page
    assert due(project) == set()
    second = project.records()
    assert len(files(project.folder / "results" / "runs")) > 0

    write_data(project.folder / "again")
    shutil.copy2(project.folder / "again/mood-train.tsv", project.folder / "data/mood-train.tsv")
    mood(project).update(classes=["sad", "plain", "happy"])
    project.write()
    # The first runs are in the store still: none is trained, only what is told of them is made.
    assert due(project) == AFTER_TRAINING
    assert project.snakemake().returncode == 0
    assert rows(project) == 64
    assert "listless" not in project.page
    assert due(project) == set()
    assert project.records() == second
    assert first.keys() == second.keys()


def test_a_file_of_tomorrow_and_two_files_of_one_name(project):
    project.write(**SMALL)
    source = project.folder / "data" / "mood-train.tsv"
    tomorrow = time.time() + 86_400
    os.utime(source, (tomorrow, tomorrow))
    done = project.snakemake("prepared")
    assert done.returncode == 0, done.stderr
    assert "mood-train.tsv: its date lies in the future" in done.stderr
    shutil.copy(project.folder / "study.yaml", project.folder / "second.yaml")
    second = subprocess.run(
        [sys.executable, "-m", "snakemake", "--configfile", "second.yaml", "--cores", "1", "-n"],
        cwd=project.folder,
        env=os.environ | project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode != 0
    assert "belong to study.yaml, which has the same `name`" in second.stderr
    asked = ("train", "MOOD/baseline/default/seed-1", "--study", "second.yaml")
    assert "which has the same `name`" in weightwise(project, *asked).stderr
    (project.folder / "study.yaml").rename(project.folder / "gone.yaml.txt")
    assert weightwise(project, *asked).returncode == 0


def test_results_that_are_gone_or_damaged_are_trained_again(project):
    project.write(seeds=[1], groupings=[["MOOD", "SAME"]], alphas=[0.3])
    assert project.snakemake().returncode == 0
    store = project.folder / "results" / "runs"
    folders = {json.loads(p.read_text())["id"]: p.parent for p in store.glob("*/run.json")}
    wrong = {
        "MOOD/baseline/default/seed-1": "is gone",
        "SAME/baseline/default/seed-1": "run.json is damaged",
        "MOOD+SAME/pcgrad/default/seed-1": "run.json is damaged (scores.MOOD)",
        "MOOD+SAME/addition/default/seed-1": "timings.parquet is gone or damaged",
    }
    names = list(wrong)
    shutil.rmtree(folders[names[0]])
    (folders[names[1]] / "run.json").write_text('{"status": "done"}')
    record = json.loads((folders[names[2]] / "run.json").read_text())
    record["scores"] = dict.fromkeys(record["scores"])
    (folders[names[2]] / "run.json").write_text(json.dumps(record))
    flip(folders[names[3]] / "timings.parquet")
    again = project.snakemake()
    assert again.returncode == 0, again.stderr
    for name, words in wrong.items():
        line = next(one for one in again.stderr.splitlines() if f"run {name}:" in one)
        assert words in line
        assert "it is trained again" in line
    assert len(project.records()) == len(folders)
    assert due(project) == set()

    # A table, a figure or the page of the study itself.
    for place, steps in (
        ("results/tiny/tables/scores.parquet", AFTER_TRAINING),
        ("results/tiny/tables/arms.parquet", {"all", "tables", "figures", "report"}),
        ("results/tiny/figures/index.json", {"all", "figures", "report"}),
    ):
        kept = (project.folder / place).read_bytes()
        flip(project.folder / place)
        said = project.snakemake("-n")
        assert f"{place} is gone or damaged" in said.stderr
        assert due(project) == steps
        (project.folder / place).write_bytes(kept)
        assert due(project) == set()

    # Made by hand with other settings, they are not taken for the study's.
    loud = ("study.yaml", "--set", "report.confidence=0.8")
    assert weightwise(project, "figures", *loud).returncode == 2
    assert weightwise(project, "tables", *loud).returncode == 0
    assert due(project) == {"all", "tables", "figures", "report"}


def flip(path) -> None:
    """Change a byte, and put an old date on it."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    older(path)
