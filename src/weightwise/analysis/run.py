"""The whole analysis: from the tidy table of scores to all tables of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from weightwise.analysis.claims import claims, wanted_cells
from weightwise.analysis.comparisons import compare_variants
from weightwise.analysis.confusion import confusions
from weightwise.analysis.intervals import summarise_arms
from weightwise.analysis.labels import ordered
from weightwise.analysis.noise import noise_floor
from weightwise.analysis.overall import HowOverall, overall_scores
from weightwise.analysis.regression import regressions
from weightwise.analysis.relative_change import relative_changes
from weightwise.errors import UserError
from weightwise.tables import (
    ArmPredictions,
    Arms,
    Best,
    Changes,
    Comparisons,
    Confusions,
    Curves,
    Noise,
    Overall,
    Regressions,
    Scores,
    check,
    empty,
    write_table,
)

__all__ = ["SCHEMAS", "analyse", "wanted_cells"]

SCHEMAS = {
    "scores": Scores,
    "changes": Changes,
    "arms": Arms,
    "regressions": Regressions,
    "curves": Curves,
    "best": Best,
    "overall": Overall,
    "noise": Noise,
    "comparisons": Comparisons,
    "confusions": Confusions,
}


def analyse(
    scores: pd.DataFrame,
    out: str | Path,
    predictions: pd.DataFrame | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    confidence: float = 0.95,
    power: float = 0.8,
    overall: HowOverall = "mean_mapped",
    smallest: float = 1.0,
) -> dict[str, pd.DataFrame]:
    """Compute all tables of the analysis and write each to `out/<name>.parquet`.

    `predictions` (`tables.ArmPredictions`) with `classes`, the class names of every class task,
    give the confusion matrices; without them that table is empty. `claims.wanted_cells` says which
    predictions are worth passing. `overall` says by which overall score variants are compared;
    `smallest` is the smallest change worth having, per cent.
    Equal input gives equal bytes; tasks, groupings and variants keep the order in which the scores
    first name them.

    Raises:
        UserError: a table breaks its schema, a cell stands twice, a prediction is no class, or
            confidence or power lie outside (0, 1).
    """
    for name, value in (("confidence", confidence), ("power", power)):
        if not 0 < value < 1:
            raise UserError(f"{name} {value} is outside (0, 1)")
    tables = {"scores": ordered(check(scores, Scores, "scores"))}
    tables["changes"] = relative_changes(tables["scores"])
    tables["arms"] = summarise_arms(tables["changes"], confidence, power, smallest)
    tables["regressions"], tables["curves"] = regressions(tables["changes"], confidence, smallest)
    tables["best"] = claims(tables["arms"], smallest)
    tables["overall"] = overall_scores(tables["scores"], confidence)
    tables["noise"] = noise_floor(tables["scores"], tables["arms"])
    tables["comparisons"] = compare_variants(tables["scores"], confidence, power, overall)
    tables["confusions"] = empty(Confusions)
    if predictions is not None and classes:
        sizes = {task: len(names) for task, names in classes.items()}
        checked = check(predictions, ArmPredictions, "predictions")
        tables["confusions"] = confusions(checked, sizes)
    for name, schema in SCHEMAS.items():
        write_table(tables[name], schema, Path(out) / f"{name}.parquet")
    return tables
