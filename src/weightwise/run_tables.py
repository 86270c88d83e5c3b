"""The tables of finished runs, compared with the checksums in their records when they are read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from weightwise.errors import UserError
from weightwise.seal import set_aside
from weightwise.store import RunStore
from weightwise.tables import Table, read_table


class DamagedRun(UserError):
    """A table of a finished run is not what its record says; the run counts as not finished now."""


def read_run_table(
    store: RunStore, record: Mapping[str, Any], name: str, schema: type[Table]
) -> pd.DataFrame:
    """Read a table of a finished run.

    Args:
        store: where the run lies.
        record: its record, which has the checksums.
        name: of the table, such as `timings`.
        schema: of the table.

    Raises:
        DamagedRun: the table is gone or is not what was written; its record is set aside, so that
            the run is due again.
    """
    path = store.folder(record["key"]) / f"{name}.parquet"
    try:
        return read_table(path, schema, record.get("files", {}).get(path.name))
    except UserError as error:
        set_aside(path.parent / store.record_name)
        raise DamagedRun(
            f"{error}. Run {record['id']} counts as not finished now; the same command trains it "
            "again"
        ) from None


def say_damaged(error: DamagedRun | str) -> None:
    """Tell whoever watches that a run is left out."""
    print(f"weightwise: {error}", file=sys.stderr, flush=True)
