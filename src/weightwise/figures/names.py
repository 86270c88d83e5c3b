"""How arms, groupings, numbers and files are named, the same in figures and report."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

import pandas as pd

from weightwise.combine import COMBINERS

# Rows of a table: weights ascending, then addition, then PCGrad, then whatever else there is.
ORDER = {"baseline": 0, "unitary": 1, "addition": 2, "pcgrad": 3, "pcgrad_alpha": 4}
GAIN, LOSS, SAME = "▲", "▼", "≡"
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
TRAINING_LOSS = (
    "Both are the task's own loss, unweighted and without SMART's terms. The training loss is the "
    "mean over the epoch's steps, taken with dropout and while the weights still move, so it can "
    "lie above the dev loss."
)
"""What train and dev loss hold, wherever one stands beside the other."""


def is_text(value: object) -> bool:
    """True for a text that is there (missing texts come back from Parquet as NaN or None)."""
    return isinstance(value, str) and value != ""


def arm_key(combiner: str, alpha: object) -> tuple:
    """Sort key of an arm's row."""
    weights: tuple = ()
    if is_text(alpha):
        try:
            weights = tuple(Decimal(part) for part in alpha.split(","))
        except InvalidOperation:
            weights = (Decimal(2),)
    return (ORDER.get(combiner, 9), combiner, weights, alpha if is_text(alpha) else "")


def combiner_label(combiner: str) -> str:
    """`Addition`, `CAGrad (c=0.5)`; what is no combiner of ours as it is written."""
    if combiner == "baseline":
        return "Baseline"
    name, bracket, options = combiner.partition("(")
    title = COMBINERS[name].title if name in COMBINERS else ""
    if not title:
        return combiner
    return f"{title} ({options}" if bracket else title


def arm_label(combiner: str, alpha: object) -> str:
    """`α = 0.4`, `Addition`, `PCGrad`, `Weighted PCGrad, α = 0.4`."""
    if not is_text(alpha):
        return combiner_label(combiner)
    own, _, others = alpha.partition(",")
    weight = f"α = {own}" + (f" ({others.replace(',', ', ')})" if others else "")
    return weight if combiner == "unitary" else f"{combiner_label(combiner)}, {weight}"


def same_method(aliases: Iterable[object]) -> str:
    """`same method as Addition`, from the labels of the arms that were run in a row's place; empty
    where there are none."""
    told = dict.fromkeys(combiner_label(alias) for alias in aliases if is_text(alias))
    return f"same method as {' or '.join(told)}" if told else ""


def arms_of(frame: pd.DataFrame) -> list[tuple[str, str | None]]:
    """The arms of a table in the order of its rows, the baseline left out."""
    seen = {
        (row.combiner, row.alpha if is_text(row.alpha) else None)
        for row in frame[["combiner", "alpha"]].itertuples()
        if row.combiner != "baseline"
    }
    return sorted(seen, key=lambda arm: arm_key(*arm))


def same_arm(frame: pd.DataFrame, combiner: str, alpha: object) -> pd.Series:
    """Which rows are of that arm."""
    missing = frame["alpha"].isna()
    return (frame["combiner"] == combiner) & (
        frame["alpha"].eq(alpha) & ~missing if is_text(alpha) else missing
    )


def group_label(group: str) -> str:
    """`SEN + PAR`."""
    return " + ".join(group.split("+"))


def partners(group: str, task: str) -> str:
    """The other tasks of a grouping."""
    rest = group.split("+")
    if task in rest:
        rest.remove(task)
    return " + ".join(rest)


def short(text: str, limit: int = 24) -> str:
    """The text, its middle left out where it is longer than the limit."""
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def slug(text: str) -> str:
    """Safe in file names and HTML ids; different texts stay different."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:48]
    if safe and safe == text:
        return safe
    return f"{safe or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def number(value: object, digits: int = 3, signed: bool = False) -> str:
    """A number with a true minus sign; an en dash where there is none."""
    if value is None or not isinstance(value, int | float) or not math.isfinite(value):
        return DASH
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    if float(text) == 0:
        text = f"{0:.{digits}f}"
    return text.replace("-", MINUS)


def score(value: object) -> str:
    """`0.519`."""
    return number(value, 3)


def percent(value: object) -> str:
    """`+1.35 %`."""
    text = number(value, 2, signed=True)
    return text if text == DASH else f"{text} %"


def ratio(logarithm: object) -> str:
    """`0.31` of the natural logarithm of a ratio."""
    known = isinstance(logarithm, int | float) and math.isfinite(logarithm)
    return f"{math.exp(logarithm):.2f}" if known else DASH


def p_value(value: object) -> str:
    """`0.013`, `< 0.001`."""
    if isinstance(value, int | float) and value < 0.0005:
        return "< 0.001"
    return number(value, 3)


def interval(low: object, high: object) -> str:
    """`+0.20 to +1.80 %`, empty where there is none."""
    a, b = number(low, 2, signed=True), number(high, 2, signed=True)
    return "" if DASH in (a, b) else f"{a} to {b} %"


def span(low: object, high: object) -> str:
    """`−0.010 to +0.020` of differences of scores, empty where there is none."""
    a, b = number(low, 3, signed=True), number(high, 3, signed=True)
    return "" if DASH in (a, b) else f"{a} to {b}"


def sign_of(verdict: object) -> str:
    """The sign of a change that survives correction."""
    return {"gain": GAIN, "loss": LOSS}.get(verdict, "")
