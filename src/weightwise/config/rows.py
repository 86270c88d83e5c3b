"""Which rows of its sources a task uses, and for which split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from weightwise.config.base import Count, Name, Seed, Strict
from weightwise.config.filters import RowFilter
from weightwise.config.sources import TableSource
from weightwise.config.values import Scalars, spelled

SPLITS = ("train", "dev", "test")


class SplitRule(Strict):
    """Divide one table into splits with a seed: each row falls into exactly one."""

    dev: Annotated[float, Field(gt=0, lt=1)]
    """Share of rows for dev."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of rows for test; 0: no test split."""
    seed: Seed = 0
    """Seed of the division."""
    stratify: bool = True
    """Keep the label distribution equal across splits (class tasks)."""

    @model_validator(mode="after")
    def _leave_some_for_training(self) -> SplitRule:
        if self.dev + self.test >= 1:
            raise ValueError("dev + test must leave a share for training")
        return self


class SplitColumn(Strict):
    """Divide one table by a column that names each row's split. Rows of any other value are left
    out and counted."""

    column: str
    """Column that names the split."""
    train: Scalars = ("train",)
    """Its value, or values, in rows of train; compared as those of `where`."""
    dev: Scalars = ("dev",)
    """Its value, or values, in rows of dev."""
    test: Scalars | None = None
    """Its value, or values, in rows of test; null: no test split."""

    @model_validator(mode="after")
    def _each_row_once(self) -> SplitColumn:
        seen: dict[str, str] = {}
        for split in SPLITS:
            for value in getattr(self, split) or ():
                other = seen.setdefault(spelled(value), split)
                if other != split:
                    raise ValueError(f"value '{spelled(value)}' is of both {other} and {split}")
        return self


class Limit(Strict):
    """Use at most so many rows of a split, drawn with a seed (files are often ordered by label).
    Where there are fewer, all are used and a warning says so."""

    train: Count | None = None
    """Rows of train; with `balance` as many of every class, to a row."""
    dev: Count | None = None
    """Rows of dev."""
    test: Count | None = None
    """Rows of test."""
    seed: Seed = 0
    """Seed of the draws, that of `balance` included; `study_seed` is mixed in."""


class KnownRows(Strict):
    """Row counts that the source files are known to have, checked as read, before any filter."""

    train: Count | None = None
    """Rows of the train source (of the whole table where one source is divided)."""
    dev: Count | None = None
    """Rows of the dev source."""
    test: Count | None = None
    """Rows of the test source."""


class DataConfig(Strict):
    """The rows of one task."""

    train: TableSource
    """Training table, or the only table where `split` divides it."""
    dev: TableSource | None = None
    """Dev table; left out where `split` makes it."""
    test: TableSource | None = None
    """Test table, optional."""
    test_labelled: bool = True
    """False: the test table has no labels (predictions only)."""
    split: SplitRule | None = None
    """Divide `train` by chance instead of naming a dev table."""
    split_by: SplitColumn | None = None
    """Divide `train` by one of its columns instead of naming a dev table."""
    where: tuple[RowFilter, ...] = ()
    """Row filters of all tables, all of which must hold; `where` of a table is for it alone."""
    missing_label: Literal["refuse", "drop"] = "refuse"
    """What to do with rows without a label; dropped rows are counted."""
    bad_label: Literal["refuse", "drop"] = "refuse"
    """What to do with rows whose label cannot be read: no number where one is wanted, no known
    class, out of range; dropped rows are counted."""
    empty_text: Literal["refuse", "drop"] = "refuse"
    """What to do with rows whose text is empty, holds nothing that can be seen, or leaves the
    tokenizer without a token; dropped rows are counted."""
    disjoint_from: tuple[Name, ...] = ()
    """Rows whose texts are used by one of these tasks (any split) leave this task."""
    balance: bool = False
    """True: train on as many rows of every class as the rarest has, drawn with `limit.seed`. Dev
    and test keep their classes as they are."""
    limit: Limit = Limit()
    """Largest number of rows per split."""
    known_rows: KnownRows = KnownRows()
    """Row counts to check."""

    @model_validator(mode="after")
    def _one_way_to_dev(self) -> DataConfig:
        ways = [key for key in ("dev", "split", "split_by") if getattr(self, key) is not None]
        if not ways:
            raise ValueError("name a `dev` table, or divide `train` with `split` or `split_by`")
        if len(ways) > 1:
            raise ValueError(" and ".join(f"`{way}`" for way in ways) + " exclude each other")
        for key in ("split", "split_by"):
            rule = getattr(self, key)
            if rule is not None and rule.test and self.test is not None:
                raise ValueError(f"`test` and `{key}.test` exclude each other")
        for split in ("dev", "test"):
            if getattr(self.known_rows, split) is not None and getattr(self, split) is None:
                raise ValueError(
                    f"`known_rows.{split}` is of a `{split}` table, and there is none; "
                    "`known_rows.train` is of the whole table that is divided"
                )
        return self

    @property
    def tables(self) -> dict[str, tuple[str, ...]]:
        """The tables that are read, by their keys, and the splits that come from each."""
        found = {split: (split,) for split in SPLITS if getattr(self, split) is not None}
        rule = self.split or self.split_by
        if rule is not None:
            found["train"] = ("train", "dev", "test") if rule.test else ("train", "dev")
        return found
