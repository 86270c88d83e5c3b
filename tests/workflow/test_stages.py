"""Stages in the workflow: computed once, before the runs that start from them."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tiny_study import BAD, GOOD, OTHER

pytestmark = pytest.mark.slow


@pytest.fixture
def staged(project):
    """The tiny study with a stage of each kind; its runs start from neither and from the second."""
    texts = [f"the {g} film is {g} and the {b} book" for g in GOOD for b in BAD]
    (project.folder / "data" / "texts.tsv").write_text("\n".join(["text", *texts]) + "\n")
    pairs = [
        f"the {w} {o} is here\ta {w} {o}\t{relation}"
        for w, relation in ((GOOD[0], "entailment"), (BAD[0], "entailment"))
        for o in OTHER[2:14]
    ]
    pairs += [f"the {GOOD[0]} {o} is here\ta {BAD[0]} {o}\tcontradiction" for o in OTHER[2:8]]
    header = "premise\thypothesis\trelation"
    (project.folder / "data" / "pairs.tsv").write_text("\n".join([header, *pairs]) + "\n")
    stages = yaml.safe_load(
        """
        TEXTS: {kind: mlm, text: [text], epochs: 1, batch_size: 8, accumulate: 1,
                source: {type: file, path: texts.tsv, format: tsv}}
        PAIRS: {kind: simcse, text: [premise, hypothesis], label: relation, epochs: 1,
                batch_size: 8, representation: mean, after: TEXTS,
                source: {type: file, path: pairs.tsv, format: tsv}}
        """
    )
    project.write(
        stages=stages,
        sweep={"start": [None, "PAIRS"]},
        seeds=[1],
        groupings=[["MOOD", "NEAR"]],
        combiners=["addition"],
    )
    return project


def records(project) -> dict[str, dict]:
    """`stage.json` of the stages in the store, by name."""
    found = [
        json.loads(path.read_text())
        for path in (project.folder / "results" / "stages").glob("*/stage.json")
    ]
    return {record["stage"]: record for record in found}


def due(project) -> dict[str, int]:
    """Jobs that a dry run would start, by rule; packs of runs as `train`."""
    table = project.snakemake("-n").stdout.partition("Job stats:")[2].partition("total")[0]
    found: dict[str, int] = {}
    for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, flags=re.MULTILINE):
        name = re.sub(r"^train_\d+$", "train", name)
        found[name] = found.get(name, 0) + int(count)
    return found


def test_stages_are_jobs_of_their_own_and_shared(staged):
    done = staged.snakemake("trained")
    assert done.returncode == 0, done.stderr
    assert set(records(staged)) == {"TEXTS", "PAIRS"}
    assert len(staged.records()) == 2 * 3
    assert "stage TEXTS: held-out loss" in done.stderr
    (log,) = (staged.folder / "results/tiny/logs/stages").glob("PAIRS-*.log")
    assert "epoch 1: loss" in log.read_text()

    # How runs are packed makes nothing due; another temperature does what starts from it.
    staged.write(runs_per_job=1)
    assert not {"stage", "train"} & set(due(staged))
    staged.study["stages"]["PAIRS"]["temperature"] = 0.1
    staged.write()
    plan = due(staged)
    assert (plan["stage"], plan["train"]) == (1, 3)


def test_a_failed_stage_costs_the_runs_that_start_from_it(staged):
    staged.study["stages"]["PAIRS"]["learning_rate"] = 1e30
    staged.write()
    done = staged.snakemake()
    assert done.returncode != 0
    assert "FAILED stage PAIRS" in done.stderr
    found = records(staged)
    assert set(found) == {"TEXTS"}
    assert len(staged.records()) == 3
    assert all("start=None" in name for name in staged.records())
    page = staged.page
    assert "not run: stage PAIRS: " in page
    assert "not finished" in page
    assert found["TEXTS"]["key"] in page
    assert "NEAR zero-shot r (mean)" in page
