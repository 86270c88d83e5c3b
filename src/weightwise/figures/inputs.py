"""The tables of a study, loaded once, with the orders and names that every figure shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from weightwise import tables
from weightwise.analysis.labels import tasks_of
from weightwise.config import StudyConfig
from weightwise.config.report import ReportConfig
from weightwise.errors import UserError

SCHEMAS: dict[str, type[tables.Table]] = {
    "scores": tables.Scores,
    "changes": tables.Changes,
    "arms": tables.Arms,
    "regressions": tables.Regressions,
    "curves": tables.Curves,
    "best": tables.Best,
    "overall": tables.Overall,
    "noise": tables.Noise,
    "comparisons": tables.Comparisons,
    "leave_one_out": tables.LeftOut,
    "confusions": tables.Confusions,
    "predictions": tables.ArmPredictions,
    "errors": tables.Errors,
    "overlap": tables.Overlap,
    "learning": tables.Learning,
    "runs": tables.Runs,
    "costs": tables.Costs,
    "conflicts": tables.Conflicts,
    "actions": tables.Actions,
    "weights": tables.Weights,
    "cost_ratios": tables.CostRatios,
}
NEEDED = ("scores", "changes", "arms")
OF_A_TASK = (
    *("scores", "changes", "arms", "best", "confusions", "predictions", "errors", "overlap"),
)


@dataclass(frozen=True)
class Inputs:
    """What a figure or a section may look at. A table that was not written is empty."""

    scores: pd.DataFrame
    changes: pd.DataFrame
    arms: pd.DataFrame
    regressions: pd.DataFrame
    curves: pd.DataFrame
    best: pd.DataFrame
    overall: pd.DataFrame
    noise: pd.DataFrame
    comparisons: pd.DataFrame
    leave_one_out: pd.DataFrame
    confusions: pd.DataFrame
    predictions: pd.DataFrame
    errors: pd.DataFrame
    overlap: pd.DataFrame
    learning: pd.DataFrame
    runs: pd.DataFrame
    costs: pd.DataFrame
    conflicts: pd.DataFrame
    actions: pd.DataFrame
    weights: pd.DataFrame
    cost_ratios: pd.DataFrame
    study: StudyConfig | None = None
    report: ReportConfig = field(default_factory=ReportConfig)
    present: frozenset[str] = field(default_factory=frozenset)

    @property
    def variants(self) -> list[str]:
        """Variants in the order of the score table."""
        return list(self.scores["variant"].unique())

    @property
    def confidence(self) -> float:
        """Confidence of all intervals."""
        return self.report.confidence

    def tasks(self, variant: str | None = None) -> list[str]:
        """Tasks in the study's order; without a study, as they first appear."""
        rows = self.scores if variant is None else in_variant(self.scores, variant)
        seen = list(rows["task"].unique())
        known = [t for t in self.study.tasks if t in seen] if self.study else []
        return known + [t for t in seen if t not in known]

    def groups(self, task: str, variant: str) -> list[str]:
        """Groupings of two or more tasks that hold the task: pairs first, then as they appear."""
        rows = in_variant(self.scores, variant)
        rows = rows[(rows["task"] == task) & (rows["combiner"] != "baseline")]
        # A plain name, such as `best` in a leaderboard, is no grouping and compared with nothing.
        groups = [g for g in rows["group"].unique() if task in tasks_of(g)]
        return sorted(groups, key=lambda g: len(tasks_of(g)))

    def has_baselines(self, variant: str) -> bool:
        """Whether any task was trained alone: without that there are no changes to show, and not
        even a hole where one is missing."""
        return bool((in_variant(self.scores, variant)["combiner"] == "baseline").any())

    def splits(self, task: str, variant: str) -> list[str]:
        """`dev` and, where it has scores, `test`."""
        rows = in_variant(self.scores, variant)
        seen = set(rows.loc[(rows["task"] == task) & rows["score"].notna(), "split"])
        return [s for s in ("dev", "test") if s in seen]

    def title(self, task: str) -> str:
        """The task's name in reports."""
        known = self.study.tasks.get(task) if self.study else None
        return (known.title if known else None) or task

    def classes(self, task: str, count: int) -> list[str]:
        """Class names, or their numbers where no study names them."""
        known = self.study.tasks.get(task) if self.study else None
        names = list(known.class_names) if known else []
        return [names[i] if i < len(names) else str(i) for i in range(count)]

    def metric(self, task: str) -> str:
        """`accuracy` or `Pearson r`."""
        rows = self.scores.loc[self.scores["task"] == task, "metric"]
        return "Pearson r" if len(rows) and rows.iloc[0] == "pearson" else "accuracy"

    def run_keys(self, task: str | None, variant: str, split: str | None = None) -> list[str]:
        """Keys of the runs behind a figure, sorted."""
        rows = in_variant(self.changes, variant)
        if task is not None:
            rows = rows[rows["task"] == task]
        if split is not None:
            rows = rows[rows["split"] == split]
        return sorted(set(rows["run"].dropna()) | set(rows["baseline_run"].dropna()))

    def step_run_keys(self, rows: pd.DataFrame) -> list[str]:
        """Keys of the runs whose steps stand behind rows of `conflicts`, `weights` or
        `cost_ratios`, sorted."""
        by = [c for c in ("group", "combiner", "alpha", "variant", "seed") if c in rows]
        found = self.actions.merge(rows[by].drop_duplicates(), on=by)
        return sorted(set(found["run"]))


def in_variant(frame: pd.DataFrame, variant: str) -> pd.DataFrame:
    """The rows of one variant."""
    return frame[frame["variant"] == variant]


def of(frame: pd.DataFrame, task: str, variant: str, split: str | None = None) -> pd.DataFrame:
    """The rows of one task, variant and, where given, split."""
    rows = frame[(frame["task"] == task) & (frame["variant"] == variant)]
    return rows if split is None else rows[rows["split"] == split]


def load_inputs(
    tables_dir: str | Path,
    study: StudyConfig | None = None,
    report: ReportConfig | None = None,
) -> Inputs:
    """Read and check every table of a folder; absent optional ones are empty.

    `report` says what the tables were analysed with where there is no study to say it.

    Raises:
        UserError: a needed table is missing, or a table breaks its schema.
    """
    folder = Path(tables_dir)
    loaded, present = {}, set()
    for name, schema in SCHEMAS.items():
        path = folder / f"{name}.parquet"
        if path.exists():
            loaded[name] = tables.read_table(path, schema)
            present.add(name)
        elif name in NEEDED:
            raise UserError(f"{path}: is missing; run the analysis first")
        else:
            loaded[name] = tables.empty(schema)
    for name in OF_A_TASK:
        loaded[name] = _own_weight_first(loaded[name])
    told = study.report if study else report or ReportConfig()
    return Inputs(**loaded, study=study, report=told, present=frozenset(present))


def _own_weight_first(frame: pd.DataFrame) -> pd.DataFrame:
    """The weights of larger groupings with the row's own task first, as rows are sorted by it."""
    several = frame["alpha"].str.contains(",", regex=False, na=False).astype(bool)
    if not several.any():
        return frame
    frame = frame.copy()
    frame.loc[several, "alpha"] = [
        _rotated(row.task, row.group, row.alpha) for row in frame[several].itertuples()
    ]
    return frame


def _rotated(task: str, group: str, alpha: str) -> str:
    members, weights = tasks_of(group), alpha.split(",")
    if task not in members or len(members) != len(weights):
        return alpha
    own = weights.pop(members.index(task))
    return ",".join([own, *weights])
