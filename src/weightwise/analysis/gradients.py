"""What the recorded gradients say: from the runs' own tables to those of the study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from weightwise.analysis.actions import action_of_run, identical_runs, trace_of_run
from weightwise.analysis.conflicts import conflicts_of_run, recorded_steps
from weightwise.analysis.weights import weights_of_run, weights_vary
from weightwise.tables import Actions, Conflicts, CostRatios, Table, Weights, check, empty

SCHEMAS: dict[str, type[Table]] = {
    "conflicts": Conflicts,
    "actions": Actions,
    "weights": Weights,
    "cost_ratios": CostRatios,
}
"""Tables of a study that come from its runs' steps and times, by name."""

ARM = ["group", "combiner", "alpha", "variant"]


@dataclass(frozen=True)
class RunSteps:
    """One finished run of two or more tasks: where it stands in the study, and its tables.

    `alpha` is the run's own (`grid.Arm.alpha`), `run` its key in the store; `steps`, `gramians`
    and `predictions` have the schemas Steps, Gramians and Predictions.
    """

    group: str
    combiner: str
    alpha: str | None
    variant: str
    seed: int
    run: str
    steps: pd.DataFrame
    gramians: pd.DataFrame
    predictions: pd.DataFrame

    @property
    def place(self) -> dict:
        """The columns that name it."""
        names = (*ARM, "seed")
        return {name: getattr(self, name) for name in names}


def analyse_gradients(runs: Iterable[RunSteps]) -> dict[str, pd.DataFrame]:
    """The tables `conflicts`, `actions` and `weights` (schemas of the same names).

    Runs are taken one at a time, so that the steps of a large study are never all in memory.
    """
    conflicts, actions, weights, traces = [], [], [], []
    for run in runs:
        found = action_of_run(run.steps)
        recorded = len(recorded_steps(run.gramians))
        actions.append(run.place | {"run": run.run, "recorded": recorded} | found)
        traces.append(trace_of_run(run.steps, run.predictions))
        conflicts.append(conflicts_of_run(run.gramians, found["steps"]).assign(**run.place))
        vary = weights_vary(run.steps)
        weights.append(weights_of_run(run.steps).assign(**run.place, vary=vary))
    if not actions:
        return {name: empty(SCHEMAS[name]) for name in ("conflicts", "actions", "weights")}
    table = pd.DataFrame(actions)
    same = identical_runs(table, traces)
    for column, source in (("same_combiner", "combiner"), ("same_alpha", "alpha")):
        values = [None if i is None else table.at[i, source] for i in same]
        table[column] = pd.Series(values, dtype=object)
    return {
        "conflicts": _joined(conflicts, Conflicts, "conflicts"),
        "actions": check(table, Actions, "actions"),
        "weights": _joined(_of_moving_arms(weights), Weights, "weights"),
    }


def _of_moving_arms(weights: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """The runs of arms whose weights change in some seed; a seed without change belongs to the
    arm's mean like any other."""
    everything = pd.concat(weights, ignore_index=True)
    moving = everything.groupby(ARM, sort=False, dropna=False)["vary"].transform("any")
    return [everything[moving].drop(columns="vary")]


def _joined(frames: list[pd.DataFrame], schema: type[Table], name: str) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return check(pd.concat(filled, ignore_index=True), schema, name) if filled else empty(schema)
