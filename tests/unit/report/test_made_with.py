"""What trained the runs, by name, where they were not all trained alike."""

from __future__ import annotations

import pandas as pd

from weightwise.report.run_section import made_with


def runs(**columns) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    return pd.DataFrame({"id": [f"SEN/baseline/default/seed-{i}" for i in range(count)]} | columns)


def test_runs_that_were_trained_alike():
    told = made_with(runs(hardware=["X"] * 9, precision=["fp32"] * 9, threads=[2.0] * 9))
    assert told == [("Hardware", "X"), ("Precision", "fp32"), ("CPU threads", "2")]


def test_runs_that_were_not_are_named():
    told = dict(made_with(runs(hardware=["X"] * 8 + ["Y"], torch=["2.9"] * 8 + ["2.10"])))
    assert told["Hardware"] == (
        "X (8 runs); Y (1 run: SEN/baseline/default/seed-8). Mixed: differences between arms may "
        "come from it"
    )
    assert told["Trained with"].startswith("torch 2.9 (8 runs); torch 2.10 (1 run: ")


def test_runs_that_are_missing_say_nothing():
    assert made_with(runs(hardware=[None, None])) == []
