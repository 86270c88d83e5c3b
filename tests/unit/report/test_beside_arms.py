"""A paper's table of arms beside ours: numbers, differences, times, and what is missing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from figure_inputs import make_checks, make_scores, make_study, make_study_tables

from weightwise import tables
from weightwise.analysis.intervals import t_interval
from weightwise.analysis.run import analyse
from weightwise.figures import names
from weightwise.figures.inputs import load_inputs
from weightwise.published.papers import GRADATTENTION
from weightwise.report.beside import beside_published
from weightwise.report.beside_arms import beside

GROUP = "SEN+PAR+SIM"
SECONDS = {"baseline": 0.1, "addition": 0.2, "pcgrad": 0.3, "gradattention": 0.5}


@pytest.fixture
def folder(tmp_path):
    """Three seeds on dev and test; every combiner trains all three tasks, and differs by seed."""
    base = make_scores(pairs=False)
    rng = np.random.default_rng(1)
    parts = [base]
    for combiner, gain in (("addition", 0.0), ("pcgrad", 0.01), ("gradattention", -0.02)):
        moved = base["score"] + gain + rng.normal(0, 0.004, len(base))
        parts.append(base.assign(group=GROUP, combiner=combiner, score=moved, run=combiner))
    # Weighted arms have tables of their own.
    weights = base.assign(group=GROUP, combiner="unitary", alpha="0.5,0.25,0.25", run="unitary")
    scores = pd.concat([*parts, weights])
    analyse(scores, tmp_path)
    costs = [
        {
            "id": f"{combiner}-{seed}",
            "group": "SEN" if combiner == "baseline" else GROUP,
            "combiner": combiner,
            "variant": "default",
            "seed": seed,
            "steps": 10,
            "step_seconds": 9.0,
            "median_step_seconds": seconds * (1 + 0.1 * seed * (combiner == "gradattention")),
            "timed_steps": 7,
            "train_seconds": 10 * seconds,
            "score_seconds": 1.0,
            "peak_memory_bytes": None,
            "hardware": "a processor",
            "precision": "fp32",
            "threads": 1,
        }
        for combiner, seconds in SECONDS.items()
        for seed in (1, 2, 3)
    ]
    tables.write_table(pd.DataFrame(costs), tables.Costs, tmp_path / "costs.parquet")
    return tmp_path


def section(folder, paper=GRADATTENTION):
    inputs = load_inputs(folder, make_study(published="gradattention"))
    _, notes, found = beside(inputs, "default", paper)
    by = [{tuple(c.text for c in row[:2]): row for row in t.rows} for t in found]
    return inputs, notes, by, found


def per_seed(inputs, combiner: str, split: str) -> pd.DataFrame:
    rows = inputs.scores[
        (inputs.scores["combiner"] == combiner) & (inputs.scores["split"] == split)
    ]
    wide = rows.pivot(index="seed", columns="task", values="score")
    wide["overall"] = (wide["SEN"] + wide["PAR"] + (wide["SIM"] + 1) / 2) / 3
    return wide[["SEN", "PAR", "SIM", "overall"]]


def test_the_printed_table_comes_first_and_as_printed(folder):
    _, _, (scores, _), _ = section(folder)
    assert next(iter(scores)) == ("paper, table 1: best model", "test")
    row = scores[("paper, table 1: best model", "test")]
    assert [cell.text for cell in row[2:]] == ["0.523", "0.779", "0.338", "0.657"]
    assert all(cell.sub == "" for cell in row)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_ours_are_means_with_differences_paired_by_seed(folder, split):
    inputs, _, (scores, _), _ = section(folder)
    base = per_seed(inputs, "addition", split)
    labels = {"each task alone": "baseline", "PCGrad": "pcgrad", "GradAttention": "gradattention"}
    for label, combiner in labels.items():
        own = per_seed(inputs, combiner, split)
        cells = scores[(f"ours: {label}", split)][2:]
        for cell, column in zip(cells, own.columns, strict=True):
            assert cell.text == names.score(float(own[column].mean()))
            gap = own[column] - base[column]
            low, high = t_interval(gap.to_numpy(), 0.95)
            ends = [names.number(float(x), 3, signed=True) for x in (gap.mean(), low, high)]
            assert cell.sub == "{} ({} to {})".format(*ends)
    assert all(cell.sub == "" for cell in scores[("ours: Addition", split)])
    assert not [label for label, _ in scores if "α" in label]


def test_step_times_beside_the_printed_ratios(folder):
    _, _, _, (_, times) = section(folder)
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in times.rows}
    assert rows["PCGrad / Addition"] == ["2.39 (derived)", "1.50", "1.50 to 1.50", "3"]
    # 0.5 / 0.2 times 1.1, 1.2, 1.3; seeds are paired, not averaged first.
    assert rows["GradAttention / Addition"] == ["5.41", "3.00", "2.75 to 3.25", "3"]
    assert rows["GradAttention / PCGrad"] == ["2.26", "2.00", "1.83 to 2.17", "3"]


def test_a_paper_with_a_baseline_of_its_own(folder):
    """The mlm paper: raw means, differences to its printed baseline of the same split."""
    arm = "multitask fine-tune (round-robin)"
    paper = dataclasses.replace(
        GRADATTENTION, arms="mlm", overall="mean_raw", baseline=arm, time_ratios=()
    )
    inputs, _, (scores, *_), found = section(folder, paper)
    row = scores[("paper, extensions: PCGrad", names.DASH)]
    assert [cell.text for cell in row[2:]] == ["0.669", "0.487", "0.380", "0.512"]
    assert [cell.sub for cell in row[2:]] == ["+0.170", "−0.163", "+0.029", "+0.012"]
    assert all(cell.sub == "" for cell in scores[(f"paper, baseline: {arm}", names.DASH)])
    # The leaderboard's scores are of another split than the baseline's: no difference is taken.
    assert all(c.sub == "" for c in scores[("paper, leaderboard test: best", "test")])
    # What is not printed is a dash, without a difference.
    partial = scores[("paper, extensions: cosine-embedding loss", names.DASH)]
    assert [(c.text, c.sub) for c in partial[2:4]] == [(names.DASH, "")] * 2
    mean = per_seed(inputs, "pcgrad", "dev")[["SEN", "PAR", "SIM"]].mean(axis=1).mean()
    assert scores[("ours: PCGrad", "dev")][-1].text == names.score(float(mean))
    assert "the mean of the metrics as they are" in found[0].note
    assert not found[1]  # no ratio is printed, so there is no table of times


def test_a_missing_score_leaves_out_its_seed_and_nothing_else(folder):
    scores = tables.read_table(folder / "scores.parquet", tables.Scores)
    hole = (scores["combiner"] == "pcgrad") & (scores["task"] == "SIM") & (scores["seed"] == 2)
    scores.loc[hole, "score"] = None
    tables.write_table(scores, tables.Scores, folder / "scores.parquet")
    inputs, _, (shown, _), _ = section(folder)
    own = per_seed(inputs, "pcgrad", "dev")
    cells = shown[("ours: PCGrad", "dev")]
    assert cells[2].text == names.score(float(own["SEN"].mean()))
    assert cells[5].text == names.score(float(own["overall"].drop(2).mean()))


def test_pairs_only_have_no_row_and_say_why(tmp_path):
    out = make_study_tables(tmp_path, predictions=False, splits=("dev",))
    _, notes, (scores,), _ = section(out)
    assert notes[0] == "No grouping of this study trains SEN, PAR, SIM together."
    assert {label for label, _ in scores} == {
        "paper, table 1: best model",
        "ours: each task alone",
    }


def test_other_tasks_have_nothing_beside_them(tmp_path):
    out = make_study_tables(
        tmp_path, predictions=False, tasks=("A", "B"), splits=("dev",), seeds=(1,)
    )
    study = make_study(published="gradattention")
    found = beside_published(load_inputs(out, study), "default", study, make_checks())
    assert found.tables == []
    assert found.notes == [
        "No task of this study has the name of one of the paper's (SEN, PAR, SIM)."
    ]
    silent = make_study()
    assert beside_published(load_inputs(out, silent), "default", silent, {}) is None


def test_ours_is_told_by_its_variant(folder):
    study = make_study(published="gradattention").model_copy(
        update={"sweep": {"learning_rate": (1e-5, 3e-4)}}
    )
    name = "learning_rate=0.0003"
    for table, schema in (("scores", tables.Scores), ("costs", tables.Costs)):
        path = folder / f"{table}.parquet"
        frame = tables.read_table(path, schema).assign(variant=name)
        tables.write_table(frame, schema, path)
    found = beside_published(load_inputs(folder, study), name, study, make_checks())
    assert "learning rate 0.0003, 3 seeds; training rows: SEN 8,544" in found.notes[0]
    assert "tiny encoder with 2 layers" in found.notes[0]
    assert found.citation.startswith("Yildiz")
