"""The published tables of the five source papers, transcribed as data."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pandas as pd

from weightwise.config.base import nearest
from weightwise.errors import UserError

# `SEN_accuracy` heads a column of wide tables, `SEN test accuracy` is a row of long ones.
_COLUMN = re.compile(r"(?P<task>\w+)_(accuracy|pearson)")
_QUANTITY = re.compile(r"(?P<task>\w+) (?P<split>dev|test) (accuracy|pearson)")
_OVERALL = ("overall", "average")


def published_names() -> list[str]:
    """Names of the tables that ship with the package, sorted."""
    found = (entry.name for entry in files(__name__).iterdir())
    return sorted(name.removesuffix(".csv") for name in found if name.endswith(".csv"))


def published_path(name: str) -> Path:
    """The csv file of a published table, for readers that take a path.

    Raises:
        UserError: no table has that name.
    """
    names = published_names()
    if name not in names:
        raise UserError(f"no published table '{name}'; {nearest(name, names)}")
    return Path(str(files(__name__) / f"{name}.csv"))


def published_table(name: str) -> pd.DataFrame:
    """A published table as it was printed; alphas stay exact decimal texts.

    Raises:
        UserError: no table has that name.
    """
    return pd.read_csv(published_path(name), dtype={"alpha": str, "optimum_alpha": float})


def published_arms(name: str) -> pd.DataFrame:
    """The arms of a published table, one per row, in the order of print.

    Returns:
        table, arm, split (`dev`, `test`, or none where the paper does not say), a column of scores
        for every task and `overall`, as printed; NaN where nothing is printed.

    Raises:
        UserError: no table has that name, or it holds no arms.
    """
    printed = published_table(name)
    if "quantity" in printed:
        return _arms_of_quantities(name, printed)
    tasks = {c: found["task"] for c in printed.columns if (found := _COLUMN.fullmatch(c))}
    overall = {c: "overall" for c in printed.columns if c in _OVERALL}
    if not tasks or "arm" not in printed:
        raise UserError(f"published table '{name}' holds no arms with scores of several tasks")
    arms = printed.rename(columns=tasks | overall)
    if "split" not in arms:
        # The mlm paper says it of one table only, in that table's name.
        arms["split"] = arms["table"].str.extract(r"_(dev|test)$")[0]
    if "stage" in arms:
        arms["arm"] += ", " + arms["stage"]
    if "overall" not in arms:
        arms["overall"] = float("nan")
    return arms[["table", "arm", "split", *tasks.values(), "overall"]]


def printed_arms(name: str) -> list[str]:
    """Names of the arms of a published table; none where it has its own layout (pairing)."""
    return list(dict.fromkeys(published_arms(name)["arm"])) if name in published_names() else []


def _arms_of_quantities(name: str, printed: pd.DataFrame) -> pd.DataFrame:
    """A paper that prints one model: a quantity per row, those of a table are one arm."""
    rows = []
    for table, quantities in printed.groupby("table", sort=False):
        row: dict[str, object] = {"table": table, "arm": "best model", "split": None}
        for quantity, value in zip(quantities["quantity"], quantities["value"], strict=True):
            if found := _QUANTITY.fullmatch(quantity):
                row |= {found["task"]: value, "split": found["split"]}
            elif quantity in _OVERALL:
                row["overall"] = value
        if len(row) > 3:
            rows.append(row)
    if not rows:
        raise UserError(f"published table '{name}' holds no arms with scores of several tasks")
    return pd.DataFrame(rows)
