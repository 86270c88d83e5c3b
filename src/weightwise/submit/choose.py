"""Which run of a study predicts a task: the best arm on dev, and of its seeds the best on dev."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from weightwise.analysis.chosen import chosen_arms
from weightwise.analysis.labels import text_or_none
from weightwise.collect import claimed_gains, own_alpha, scores_of
from weightwise.errors import UserError
from weightwise.grid import Cell
from weightwise.runs import StudyRuns


@dataclass(frozen=True)
class Choice:
    """The run whose predictions of a task are taken.

    Attributes:
        run: the run.
        key: its key in the store.
        metric: name of the task's score.
        score: its dev score, [-1, 1].
        mean: mean dev score of the arm over its seeds.
        seeds: number of those seeds.
    """

    run: Cell
    key: str
    metric: str
    score: float
    mean: float
    seeds: int


def choose(
    runs: StudyRuns, records: Mapping[Cell, dict | None], tasks: Sequence[str]
) -> dict[str, Choice]:
    """The run of every task: of the arm that the report names (`analysis.chosen`: the best on dev
    of those whose gain is shown, else of all) the seed with the highest dev score; of equal ones
    the smallest seed.

    Args:
        runs: the study's runs.
        records: `runs.record` of every run; those not finished play no part.
        tasks: the tasks wanted.

    Raises:
        UserError: no finished run has the task, or none has a dev score.
    """
    scores = scores_of(runs, records)
    best = chosen_arms(scores, claimed=claimed_gains(scores, runs.study))
    best = best[best["role"] == "best"].set_index("task", drop=False)
    return {task: _best_seed(runs, records, task, best) for task in tasks}


def _best_seed(
    runs: StudyRuns, records: Mapping[Cell, dict | None], task: str, best: pd.DataFrame
) -> Choice:
    study = runs.study.name
    finished = [run for run, record in records.items() if record is not None]
    if not any(task in run.group for run in finished):
        raise UserError(
            f"task '{task}': no finished run of study '{study}' has it ({len(finished)} of "
            f"{len(records)} runs are finished); run the study first (`snakemake`), "
            "`weightwise status` tells how far it is"
        )
    if task not in best.index:
        raise UserError(
            f"task '{task}': no finished run of study '{study}' has a dev score, so none can be "
            "chosen"
        )
    arm = best.loc[task]
    wanted = (arm["group"], arm["combiner"], text_or_none(arm["alpha"]), arm["variant"])
    scored = {}
    for run in finished:
        if task not in run.group or records[run]["scores"][task]["dev"] is None:
            continue
        alpha = own_alpha(run.arm, run.group, task)
        if wanted == (run.group_name, run.arm.combiner, alpha, run.variant):
            scored[run] = records[run]["scores"][task]["dev"]
    # Rounded as the arms' means are, so that equal scores are equal.
    run = min(scored, key=lambda one: (-round(scored[one], 9), one.seed))
    return Choice(
        run=run,
        key=records[run]["key"],
        metric=records[run]["scores"][task]["metric"],
        score=float(scored[run]),
        mean=float(arm["score"]),
        seeds=int(arm["seeds"]),
    )
