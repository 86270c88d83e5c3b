"""What is claimed of every task and pairing: the one place where the report's answers are made.

A claim is about a pairing first: any of its arms that survives on the judging split supports it,
since Holm's correction has paid for all of them. Which arm is a second, weaker statement: it is
chosen on dev. Headline, cards, marks, submissions and error analysis all follow these rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd
from scipy import stats

from weightwise.analysis.labels import (
    BASELINE,
    combiner_rank,
    original_rows,
    own_weight,
    tasks_of,
    text_or_none,
)
from weightwise.tables import Best, check

CELL = ["task", "group", "combiner", "alpha", "variant"]
ALONE = ("loss", "no change worth having")
"""Verdicts of a pairing that speak for training the task alone."""


@dataclass(frozen=True)
class Answer:
    """The answer for one task of one variant.

    Attributes:
        verdict: `gain` (pair it as `row` says), `alone` (no pairing gains as much as is worth
            having: shown, not assumed), `not decided`, `one seed` or `not comparable`.
        row: the row of `tables.Best` that speaks; None where nothing was compared.
    """

    verdict: str
    row: pd.Series | None


def answer(rows: pd.DataFrame) -> Answer:
    """The answer for one task.

    Args:
        rows: the rows of `tables.Best` of one task and variant.
    """
    speaking = rows[rows["speaks"].astype(bool)]
    if speaking.empty:
        return Answer("not comparable", None)
    row = speaking.iloc[0]
    if row["verdict"] == "gain":
        return Answer("gain", row)
    compared = rows.loc[rows["verdict"] != "not comparable", "verdict"]
    if len(compared) == len(rows) and compared.isin(ALONE).all():
        return Answer("alone", row)
    if (compared == "one seed").all():
        return Answer("one seed", row)
    return Answer("not decided", row)


def claims(arms: pd.DataFrame, smallest: float = 1.0) -> pd.DataFrame:
    """`tables.Best` from `tables.Arms`: one row per variant, task and grouping.

    A pairing is judged on test where the task has test changes, else on dev (and the reason says
    `optimistic`, since dev chose). Its verdict is
    - `gain`: an arm of it survives Holm's correction as a gain. A task recommends falsely in at
      most half the table's error, however many arms it has;
    - `loss`, `no change worth having`: of every one of its arms a change of 0, or of `smallest`,
      is excluded from above at the table's error, one arm at a time: that all are below needs no
      correction (an intersection-union test; Berger 1982);
    - `one seed`, `not comparable`: no arm has an interval, or a change;
    - `not decided` otherwise.

    The arm that speaks for a pairing has the highest mean dev score of those that survive, else of
    those that have as many seeds as any arm of the pairing; ties go to the simpler method
    (addition, unitary, pcgrad, others) and the weight nearest to equal. The pairing that speaks
    for the task is chosen likewise: of gains, else of those with as many seeds as any; ties go to
    the smaller grouping. Rows that are another arm's run are passed over. A table without dev
    scores chooses on test and says so.

    Args:
        arms: `tables.Arms`.
        smallest: the smallest change worth having, per cent, above 0.
    """
    rows: list[dict] = []
    real = arms[(arms["combiner"] != BASELINE) & (original_rows(arms) < 0)]
    for _, table in real.groupby(["variant", "task"], sort=False):
        dev = table[table["split"] == "dev"]
        test = table[(table["split"] == "test") & table["change"].notna()]
        chooser = dev if not dev.empty else table
        judge = test if not test.empty else chooser
        made = [
            _pairing(group, judge[judge["group"] == name], not test.empty, smallest)
            for name, group in chooser.groupby("group", sort=False)
        ]
        speaker = _speaker([one for one in made if one[1]["verdict"] != "not comparable"])
        equal = _equals(speaker, made)
        for arm, row in made:
            row["speaks"] = row is speaker
            if row is speaker and equal:
                row["reason"] += f"; equally good: {', '.join(equal)}"
            rows.append({"task": arm.task, "variant": arm.variant} | row)
    return check(pd.DataFrame(rows, columns=list(Best.to_schema().columns)), Best, "best")


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Which arms are claimed as gains: columns `CELL`.

    Args:
        rows: `tables.Best`, or `tables.Comparisons` for named arms: the latter are judged on test
            where a task has test differences, else on dev.
    """
    if "speaks" in rows:
        return rows.loc[rows["verdict"] == "gain", CELL]
    tested = rows[(rows["split"] == "test") & rows["difference"].notna()]
    judged = (rows["split"] == "test") == rows["task"].isin(set(tested["task"]))
    return rows.loc[judged & (rows["verdict"] == "gain"), CELL]


def wanted_cells(best: pd.DataFrame) -> pd.DataFrame:
    """For which cells predictions are wanted: columns task, group, combiner, alpha, variant.

    The baseline of every task, then the arm that speaks for each of its groupings; arms that are
    not comparable are left out. Alpha is the task's own weight, as in all tables.
    """
    kept = best[best["verdict"] != "not comparable"]
    singles = kept[["task", "variant"]].drop_duplicates()
    singles = singles.assign(group=singles["task"], combiner=BASELINE, alpha=None)
    cells = pd.concat([singles.astype(object), kept[CELL].astype(object)])[CELL]
    order = {key: i for i, key in enumerate(zip(singles["variant"], singles["task"], strict=True))}
    place = [order[key] for key in zip(cells["variant"], cells["task"], strict=True)]
    cells = cells.assign(place=place).sort_values("place", kind="stable", ignore_index=True)[CELL]
    return cells.astype(object).where(cells.notna(), None)


def _pairing(group: pd.DataFrame, judge: pd.DataFrame, has_test: bool, smallest: float):
    """The arm that speaks for a pairing (a row of `group`), and its row of `tables.Best`.

    Args: the pairing's arms on the choosing split and on the judging one.
    """
    compared = judge[judge["change"].notna()]
    winners = compared[compared["verdict"] == "gain"]
    surviving = {(row.combiner, text_or_none(row.alpha)) for row in winners.itertuples()}
    candidates = [row for row in group.itertuples() if _name(row) in surviving]
    if not candidates:
        known = group[group["change"].notna()]
        known = known if len(known) else group
        candidates = list(known[known["seeds"] == known["seeds"].max()].itertuples())
        if surviving:  # an arm without a dev score survives on test
            candidates = list(winners.itertuples())
    arm = min(candidates, key=_preference)
    judged = next((row for row in judge.itertuples() if _name(row) == _name(arm)), None)
    row = {
        "group": arm.group,
        "combiner": arm.combiner,
        "alpha": text_or_none(arm.alpha),
        "judged": "test" if has_test else arm.split,
        "seeds": 0 if judged is None else judged.seeds,
        "dev_change": arm.change if arm.split == "dev" else None,
        "test_change": judged.change if judged is not None and judged.split == "test" else None,
        "low": None if judged is None else judged.adjusted_low,
        "high": None if judged is None else judged.adjusted_high,
        "arms": len(compared),
        "gains": len(winners),
        "losses": int((compared["verdict"] == "loss").sum()),
        "visible": None if judged is None else judged.visible,
        "verdict": _verdict(compared, smallest),
    }
    return arm, row | {"reason": _reason(row, arm, judged, has_test, smallest)}


def _verdict(compared: pd.DataFrame, smallest: float) -> str:
    if compared.empty:
        return "not comparable"
    if (compared["verdict"] == "gain").any():
        return "gain"
    highest = max(_upper(row) for row in compared.itertuples())
    if highest < 0:
        return "loss"
    if highest < smallest:
        return "no change worth having"
    return "one seed" if (compared["seeds"] < 2).all() else "not decided"


def _upper(row) -> float:
    """Upper end of an arm's own interval at the table's error; infinite where it has none."""
    if pd.isna(row.low):
        return math.inf
    half = stats.t.isf(row.error / 2, row.seeds - 1) * row.paired_sd / math.sqrt(row.seeds)
    return row.change + half


def _name(row) -> tuple[str, str | None]:
    return row.combiner, text_or_none(row.alpha)


def _preference(row) -> tuple:
    """Sorts the best arm first; arms without a change last."""
    alpha = text_or_none(row.alpha)
    weight = own_weight(row.task, row.group, alpha)
    size = len(tasks_of(row.group))
    known = pd.notna(row.change) and pd.notna(row.score)
    return (
        not known,
        -round(row.score, 9) if known else 0.0,
        combiner_rank(row.combiner),
        size,
        0.0 if weight is None else round(abs(weight - 1 / size), 9),
        0 if alpha is None else Decimal(alpha.split(",")[0]),
    )


def _speaker(made: list[tuple]) -> dict | None:
    """The row that speaks for the task, of those that are comparable."""
    best = [one for one in made if one[1]["verdict"] == "gain"]
    if not best:
        most = max((row["seeds"] for _, row in made), default=0)
        best = [one for one in made if one[1]["seeds"] == most]
    return min(best, key=lambda one: _preference(one[0]), default=(None, None))[1]


def _equals(speaker: dict | None, made: list[tuple]) -> list[str]:
    """Groupings whose arm has exactly the dev score of the one that speaks."""
    if speaker is None:
        return []
    top = next(arm for arm, row in made if row is speaker)
    return [
        row["group"]
        for arm, row in made
        if row is not speaker and pd.notna(arm.score) and round(arm.score, 9) == round(top.score, 9)
    ]


def _reason(row: dict, arm, judged, has_test: bool, smallest: float) -> str:
    """One sentence that says what the verdict rests on."""
    parts = [f"{_percent(arm.change)} on {arm.split}"] if pd.notna(arm.change) else []
    if judged is not None and judged.split == "test" and arm.split != "test":
        parts.append(f"{_percent(judged.change)} on test")
    if has_test and judged is None and parts:
        parts.append("but no test score")
    if judged is not None and pd.notna(judged.adjusted_low):
        ends = f"[{judged.adjusted_low:.2f}, {judged.adjusted_high:.2f}]"
        parts.append(f"{judged.split} interval {ends}")
    clauses = [", ".join(parts)] if parts else []
    if row["gains"]:
        clauses.append(f"{row['gains']} of {row['arms']} arms survive the correction")
    if row["verdict"] == "no change worth having":
        clauses.append(f"no arm of it gains {smallest:g} % or more")
    if row["verdict"] == "one seed":
        clauses.append("with one seed no interval exists")
    if row["verdict"] == "not decided" and judged is not None and pd.notna(judged.visible):
        clauses.append(f"{judged.seeds} seeds see changes of {judged.visible:.2g} % or more")
    if parts and (not has_test or arm.split == "test"):
        clauses.append(f"optimistic: selected on {arm.split}")
    if judged is not None and pd.notna(judged.undefined):
        clauses.append(judged.undefined)
    return f"{row['verdict']}: " + "; ".join(clauses)


def _percent(change: float) -> str:
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(change, 2) + 0.0:+.2f} %"
