"""Relative change of every score to its own baseline (pairing, section 5)."""

from __future__ import annotations

import pandas as pd

from weightwise.analysis.labels import BASELINE, tasks_of, text_or_none
from weightwise.errors import UserError
from weightwise.tables import Changes, check

KEYS = ["variant", "split", "task", "seed"]
SMALLEST_BASELINE = 1e-6
"""Of a smaller one changes are in the millions of per cent, and beyond what a float holds."""
CELL = ["task", "group", "combiner", "alpha", "variant", "seed", "split"]


def relative_changes(scores: pd.DataFrame) -> pd.DataFrame:
    """A row of `tables.Changes` for every row of `tables.Scores`, in the same order.

    change = 100 * (score / baseline - 1), per cent; the baseline is the task alone in the same
    variant, split and SEED. Where there is no change, `undefined` says why: no score, no
    baseline, a baseline of zero, nearly zero or not a number, or one below zero (a negative
    Pearson r: the quotient would call a better score a loss). A group that is not a list of tasks
    (`best` in a leaderboard) is not compared with anything.

    Raises:
        UserError: a cell stands twice.
    """
    twice = scores.duplicated(CELL)
    if twice.any():
        cell = scores.loc[twice, CELL].iloc[0].to_dict()
        raise UserError(f"scores: two rows for one cell: {cell}")
    if "undefined" not in scores:
        scores = scores.assign(undefined=None)
    alone = (scores["combiner"] == BASELINE) & (scores["group"] == scores["task"])
    base = scores.loc[alone, [*KEYS, "score", "run", "undefined"]].assign(found=True)
    base = base.rename(columns={c: f"baseline_{c}" for c in ("run", "undefined")})
    base = base.rename(columns={"score": "baseline"})
    frame = scores.merge(base, on=KEYS, how="left", validate="many_to_one")
    with_baseline = set(base[["variant", "split", "task"]].itertuples(index=False, name=None))
    frame["undefined"] = [
        _reason(row, (row.variant, row.split, row.task) in with_baseline)
        for row in frame.itertuples(index=False)
    ]
    defined = frame["undefined"].isna()
    frame["change"] = 100 * (frame["score"].where(defined) / frame["baseline"].where(defined) - 1)
    columns = list(Changes.to_schema().columns)
    return check(frame[columns], Changes, "changes")


def _reason(row, has_baseline: bool) -> str | None:
    if row.task not in tasks_of(row.group):
        return f"grouping '{row.group}' is not a list of tasks"
    if pd.isna(row.found):
        return "no baseline for this seed" if has_baseline else "no baseline"
    if pd.isna(row.score):
        return text_or_none(row.undefined) or "no score"
    if pd.isna(row.baseline):
        why = text_or_none(row.baseline_undefined)
        return f"the baseline has no score: {why}" if why else "baseline is not a number"
    if row.baseline == 0:
        return "baseline is zero"
    if 0 < row.baseline < SMALLEST_BASELINE:
        return f"baseline is {row.baseline:.0e}, too near zero for a relative change"
    if row.baseline < 0:
        return "baseline is below zero: a relative change would mislead"
    return None
