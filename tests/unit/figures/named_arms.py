"""A study of named arms as tables: scores, comparisons, leave-one-out, curves of learning."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from figure_inputs import make_learning, make_study

from weightwise import tables
from weightwise.analysis.leave_one_out import leave_one_out, leaving_out
from weightwise.analysis.run import analyse
from weightwise.config import StudyConfig
from weightwise.grid import Grid

GROUP = "SEN+PAR+SIM"
TASKS = ("SEN", "PAR", "SIM")
ARMS = {
    "fine-tune": {},
    "probe": {"freeze_trunk": True},
    "without-SEN": {"trunk_tasks": ["PAR", "SIM"]},
    "without-PAR": {"trunk_tasks": ["SEN", "SIM"]},
    "without-SIM": {"trunk_tasks": ["SEN", "PAR"]},
}
COUNTERPARTS = {
    "round-robin, linear probe": "probe",
    "round-robin, fine-tune": "fine-tune",
    "leave out SEN, fine-tune": "without-SEN",
}
# What an arm is worth for every task; the arms that are not named here are worth nothing.
WORTH = {"fine-tune": 0.0, "probe": -0.2, "without-SEN": -0.01}


def arms_study(arms: dict | None = None, **report: Any) -> StudyConfig:
    """The three tasks together under named arms."""
    keys = make_study().model_dump(mode="json", exclude_unset=True)
    keys |= {"arms": arms or ARMS, "groupings": [list(TASKS)], "single_tasks": False}
    told = {} if arms else COUNTERPARTS
    keys["report"] = {"published": "simcse", "counterparts": told} | report
    return StudyConfig.model_validate(keys | {"combiners": ["addition"], "seeds": [1, 2, 3]})


def arms_scores(arms=ARMS, seeds=(1, 2, 3), splits=("dev",), alone=()) -> pd.DataFrame:
    """Scores of every arm; `alone`: arms whose tasks were trained alone, too."""
    rng = np.random.default_rng(3)
    rows = []
    for arm, split, seed in itertools.product(arms, splits, seeds):
        groups = [GROUP] + [""] * (arm in alone)
        for (place, task), group in itertools.product(enumerate(TASKS), groups):
            rows.append(
                {
                    "task": task,
                    "metric": "pearson" if task == "SIM" else "accuracy",
                    "group": group or task,
                    "combiner": "addition" if group else "baseline",
                    "alpha": None,
                    "variant": arm,
                    "seed": seed,
                    "split": split,
                    "score": 0.5 + 0.1 * place + WORTH.get(arm, -0.05) + rng.normal(0, 0.002),
                    "epoch": 2.0,
                    "run": f"{arm}-{group or task}-{seed}",
                    "alias_of": None,
                }
            )
    return pd.DataFrame(rows)


def arms_tables(out: Path, study: StudyConfig | None = None, **options: Any) -> Path:
    """The tables that a study of named arms leaves."""
    study = study or arms_study()
    scores = arms_scores(arms=study.arms, **options)
    analyse(scores, out, overall="mean_raw")
    left = leave_one_out(scores, leaving_out(Grid(study).variants))
    tables.write_table(left, tables.LeftOut, out / "leave_one_out.parquet")
    tables.write_table(make_learning(scores), tables.Learning, out / "learning.parquet")
    return out
