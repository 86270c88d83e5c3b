"""What a combiner did in one grouping, in a plain sentence."""

from __future__ import annotations

import pandas as pd

from weightwise.combine import COMBINERS
from weightwise.figures import names


def in_words(runs: pd.DataFrame) -> str:
    """A sentence about one arm of one grouping.

    Args:
        runs: its rows of `tables.Actions`, one per seed.
    """
    combiner, seeds = runs["combiner"].iloc[0], len(runs)
    if combiner == "addition":
        return "the plain sum itself"
    same = runs[runs["same_combiner"].notna()]
    told = [names.arm_label(row.same_combiner, row.same_alpha) for row in same.itertuples()]
    other = " or ".join(dict.fromkeys(told))
    if len(same) == seeds:
        met = runs["conflict"].max()
        never = f"{_title(combiner)} never met a conflict here: " if met == 0 else ""
        return f"{never}same as {other}, to the byte{_in_all(seeds)}"
    parts = [_did(combiner, runs)]
    if len(same):
        parts.append(f"same as {other}, to the byte, in {len(same)} of {seeds} seeds")
    return "; ".join(parts)


def _did(combiner: str, runs: pd.DataFrame) -> str:
    name = combiner.partition("(")[0]
    kind = COMBINERS.get(name)
    if runs["inactive"].all():
        if kind is not None and kind.fixed:
            return "fixed weights that leave the direction of the plain sum"
        if runs["conflict"].max() == 0:
            return f"{_title(combiner)} never met a conflict here and never acted"
        return "never acted"
    if kind is not None and kind.fixed:
        drawn = "weights drawn by chance" if name == "random" else "fixed weights"
        return f"{drawn}, whatever the gradients are"
    acted = runs["acted"].mean()
    if acted == 1:
        return "acted in every step"
    return f"acted in {100 * acted:.{0 if acted >= 0.1 else 1}f} % of the steps"


def _title(combiner: str) -> str:
    return names.combiner_label(combiner)


def _in_all(seeds: int) -> str:
    return f", in all {seeds} seeds" if seeds > 1 else ""
