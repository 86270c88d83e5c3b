"""The best arm of every task and grouping: dev chooses, test reports (SPEC section 8, Splits)."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd

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


def best_arms(arms: pd.DataFrame) -> pd.DataFrame:
    """`tables.Best` from `tables.Arms`: one row per variant, task and grouping.

    The arm with the highest mean change on dev is chosen; ties go to the simpler method
    (addition, unitary, pcgrad, others), the smaller grouping, the weight nearest to equal.
    Rows that are another arm's run are passed over. Verdict and interval come from test where
    the task has test scores, else from dev, and then the reason says `optimistic: selected on
    dev`. A table without dev chooses on test and says so.

    The interval is the one adjusted by Holm over ALL arms of the split it is measured on. For the
    few arms chosen on dev that is stricter on test than it need be; it keeps every table of the
    report at one verdict per arm. `recommended` holds only where the verdict is `gain`.
    """
    rows: list[dict] = []
    real = arms[(arms["combiner"] != BASELINE) & (original_rows(arms) < 0)]
    for (variant, task), table in real.groupby(["variant", "task"], sort=False):
        dev = table[table["split"] == "dev"]
        test = table[(table["split"] == "test") & table["change"].notna()]
        chooser = dev if not dev.empty else table
        chosen = [
            min(group.itertuples(), key=_preference)
            for _, group in chooser.groupby("group", sort=False)
        ]
        comparable = [row for row in chosen if pd.notna(row.change)]
        top = min(comparable, key=_preference, default=None)
        for row in chosen:
            equal = _equals(row, comparable) if row is top else []
            rows.append(
                {"task": task, "variant": variant, "best_of_task": row is top}
                | _report(row, _test_row(row, test), not test.empty, equal)
            )
    return check(pd.DataFrame(rows, columns=list(Best.to_schema().columns)), Best, "best")


def wanted_cells(best: pd.DataFrame) -> pd.DataFrame:
    """For which cells predictions are wanted: columns task, group, combiner, alpha, variant.

    The baseline of every task, then the best arm of each of its groupings; arms that are not
    comparable are left out. Alpha is the task's own weight, as in all tables.
    """
    kept = best[best["verdict"] != "not comparable"]
    singles = kept[["task", "variant"]].drop_duplicates()
    singles = singles.assign(group=singles["task"], combiner=BASELINE, alpha=None)
    cells = pd.concat([singles.astype(object), kept[CELL].astype(object)])[CELL]
    order = {key: i for i, key in enumerate(zip(singles["variant"], singles["task"], strict=True))}
    place = [order[key] for key in zip(cells["variant"], cells["task"], strict=True)]
    cells = cells.assign(place=place).sort_values("place", kind="stable", ignore_index=True)[CELL]
    return cells.astype(object).where(cells.notna(), None)


def _preference(row) -> tuple:
    """Sorts the best arm first; arms without a change last."""
    alpha = text_or_none(row.alpha)
    weight = own_weight(row.task, row.group, alpha)
    size = len(tasks_of(row.group))
    change = round(row.change, 9) if pd.notna(row.change) else None
    return (
        change is None,
        0.0 if change is None else -change,
        combiner_rank(row.combiner),
        size,
        0.0 if weight is None else round(abs(weight - 1 / size), 9),
        0 if alpha is None else Decimal(alpha.split(",")[0]),
    )


def _equals(top, comparable: list) -> list[str]:
    """Groupings whose best arm is exactly as good as the best of the task."""
    return [
        row.group
        for row in comparable
        if row is not top and round(row.change, 9) == round(top.change, 9)
    ]


def _test_row(row, test: pd.DataFrame):
    same = (test["group"] == row.group) & (test["combiner"] == row.combiner)
    same &= test["alpha"].fillna("") == (text_or_none(row.alpha) or "")
    return next(test[same].itertuples(), None)


def _report(row, test, has_test: bool, equal: list[str]) -> dict:
    """What is said of a chosen arm: its numbers, its verdict and one sentence."""
    on_test = test is not None
    judged = test if on_test else row
    optimistic = not has_test or row.split == "test"
    verdict = judged.verdict if on_test or not has_test else "not comparable"
    parts = [f"{_percent(row.change)} on {row.split}"] if pd.notna(row.change) else []
    if on_test and row.split != "test":
        parts.append(f"{_percent(test.change)} on test")
    if has_test and not on_test and parts:
        parts.append("but no test score")
    if verdict in ("gain", "loss", "no evidence yet") and pd.notna(judged.adjusted_low):
        parts.append(
            f"{judged.split} interval [{judged.adjusted_low:.2f}, {judged.adjusted_high:.2f}]"
        )
    clauses = [", ".join(parts)] if parts else []
    if verdict == "one seed":
        clauses.append("with one seed no interval exists")
    if verdict == "no evidence yet":
        clauses.append(_seeds(judged))
    if optimistic and parts:
        clauses.append(f"optimistic: selected on {row.split}")
    if equal:
        clauses.append(f"equally good: {', '.join(equal)}")
    clauses += [judged.undefined] if pd.notna(judged.undefined) else []
    return {
        "group": row.group,
        "combiner": row.combiner,
        "alpha": text_or_none(row.alpha),
        "dev_change": row.change if row.split == "dev" else None,
        "test_change": test.change if on_test else None,
        "test_low": test.adjusted_low if on_test else None,
        "test_high": test.adjusted_high if on_test else None,
        "verdict": verdict,
        "recommended": verdict == "gain",
        "reason": f"{verdict}: " + "; ".join(filter(None, clauses)),
    }


def _percent(change: float) -> str:
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(change, 2) + 0.0:+.2f} %"


def _seeds(row) -> str:
    if pd.notna(row.seeds_needed):
        return f"about {row.seeds_needed:,.0f} seeds would be needed"
    if pd.notna(row.adjusted_low) and row.change != 0:
        return "more than ten thousand seeds would be needed"
    return ""
