"""The workflow end to end: done once, due when it should be, and a failure costs its own cell."""

from __future__ import annotations

import json
import re
import zipfile

import pytest

pytestmark = pytest.mark.slow

RUNS = 2 * (3 + 2 * 4)  # seeds x (singles + pairs x (addition, two weights, PCGrad))


def due(output: str) -> set[str]:
    """Rules that a dry run would execute, packs of runs as `train`."""
    table = output.partition("Job stats:")[2].partition("total")[0]
    names = re.findall(r"^(\w+)\s+\d+$", table, flags=re.MULTILINE)
    return {re.sub(r"^train_\d+$", "train", name) for name in names}


def append(path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_a_study_runs_once_and_is_due_again_for_the_right_reasons(project):
    done = project.snakemake()
    assert done.returncode == 0, done.stderr
    assert len(project.records()) == RUNS
    assert "of 22 runs done, ETA" in done.stderr
    assert "reports/tiny/index.html" in done.stdout + done.stderr
    assert "MOOD" in project.page
    assert "What the gradients did" in project.page
    assert "the plain sum itself" in project.page
    (log,) = (project.folder / "results/tiny/logs/MOOD+SAME/pcgrad/default").glob("seed-1-*.log")
    assert "epoch 2: MOOD dev" in log.read_text()
    assert list((project.folder / "results/tiny/benchmarks").glob("*.tsv"))

    again = project.snakemake("-n")
    assert "Nothing to be done" in again.stdout + again.stderr

    packed = project.snakemake("--report", "report.zip")
    assert packed.returncode == 0, packed.stderr
    assert zipfile.is_zipfile(project.folder / "report.zip")

    append(project.package / "figures" / "style.py", "\n# plotting only\nPLOTTING = 1\n")
    assert due(project.snakemake("-n").stdout) == {"all", "figures", "report"}

    # Another combiner's file decides no run of this study.
    (project.package / "combine" / "another.py").write_text("ANOTHER = 1\n")
    assert "train" not in due(project.snakemake("-n").stdout)

    append(project.package / "train" / "engine.py", "\nCHANGED = 1\n")
    assert due(project.snakemake("-n").stdout) >= {"train", "collect", "tables", "figures"}


def test_what_is_new_runs_and_what_is_done_stays(project):
    project.write(seeds=[1], groupings=[["MOOD", "SAME"]])
    assert project.snakemake().returncode == 0
    before = project.records()
    assert len(before) == 2 + 4

    project.write(runs_per_job=1)
    packed = project.snakemake("-n")
    assert "Nothing to be done" in packed.stdout + packed.stderr

    project.write(seeds=[1, 2], alphas=[0.3, 0.6, 0.7])
    plan = project.snakemake("-n").stdout
    assert re.search(r"^train\s+8$", plan, flags=re.MULTILINE), plan
    assert project.snakemake().returncode == 0
    after = project.records()
    assert len(after) == 2 * (2 + 5)
    assert {name: after[name] for name in before} == before


def test_a_failed_run_costs_its_own_cell(project):
    # A learning rate at which nothing can be learned: those runs diverge, the others do not.
    project.write(
        sweep={"learning_rate": [1e-3, 1e30]},
        seeds=[1],
        groupings=[["MOOD", "SAME"]],
        combiners=["addition"],
    )
    done = project.snakemake()
    assert done.returncode != 0
    finished = project.records()
    assert {name for name in finished if "0.001" in name} == {
        f"{group}/{arm}/learning_rate=0.001/seed-1"
        for group, arm in (("MOOD", "baseline"), ("SAME", "baseline"), ("MOOD+SAME", "addition"))
    }
    failed = [
        json.loads(path.read_text())
        for path in (project.folder / "results" / "tiny" / "failed").rglob("*.json")
    ]
    assert failed
    assert len(failed) + len(finished) == 6
    for note in failed:
        assert "not finite" in note["error"] or "nan" in note["error"] or "inf" in note["error"]
        assert note["id"] in project.page
        assert note["log"] in project.page
    assert "FAILED" in done.stderr

    again = project.snakemake()
    assert again.returncode != 0
    assert project.records() == finished

    project.write(sweep={"learning_rate": [1e-3, 2e-3]})
    mended = project.snakemake()
    assert mended.returncode == 0, mended.stderr
    assert {name: project.records()[name] for name in finished} == finished


def test_a_killed_run_leaves_a_reason_and_starves_nobody(project):
    """The kernel kills a process that takes too much memory: nothing in Python runs after that."""
    project.write(seeds=[1], groupings=[["MOOD", "SAME"]], combiners=["addition"], runs_per_job=3)
    loop = project.package / "train" / "inputs.py"
    original = loop.read_text()
    suicide = (
        "        import os, signal\n"
        "        if run.id.startswith('MOOD/'):\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    head, docstring, rest = original.partition('        """The untrained model of a run."""\n')
    assert docstring
    loop.write_text(head + docstring + suicide + rest)
    assert project.snakemake().returncode != 0
    assert "the process was killed while it trained this run" in project.page
    assert project.snakemake().returncode != 0
    assert {name.split("/")[0] for name in project.records()} == {"SAME", "MOOD+SAME"}


def test_wrong_data_stop_the_study_before_any_training(project):
    study = project.study["tasks"]
    study["MOOD"]["data"]["train"]["sha256"] = "0" * 64
    project.write(tasks=study)
    done = project.snakemake()
    assert done.returncode != 0
    assert "mood-train.tsv" in done.stderr
    assert "000000" in done.stderr
    assert not project.records()


def test_a_checkpoint_of_another_architecture_is_refused_before_any_training(project):
    config = project.folder / "encoder" / "config.json"
    config.write_text(config.read_text().replace('"bert"', '"electra"'))
    done = project.snakemake()
    assert done.returncode != 0
    assert "model_type is 'electra'" in " ".join(done.stderr.split())
    assert not project.records()
    assert not list((project.folder / "results" / "tiny" / "failed").rglob("*.json"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"combiner": ["addition"]}, ["combiner", "did you mean 'combiners'"]),
        ({"alphas": [1.5]}, ["alphas", "outside [0, 1]"]),
        ({"groupings": [["MOOD", "SAM"]]}, ["SAM", "did you mean 'SAME'"]),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(project, change, words):
    project.write(**change)
    done = project.snakemake("-n")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    for word in words:
        assert word in said
    assert "Traceback" not in said
