"""The published tables of the five source papers, transcribed as data (SPEC, top)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pandas as pd

from weightwise.config.base import nearest
from weightwise.errors import UserError


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
