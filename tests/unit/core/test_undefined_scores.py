"""Why a finished run has no score, as its predictions tell."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from core_helpers import make_study

from weightwise.collect import _why_undefined
from weightwise.store import RunStore
from weightwise.tables import Predictions, write_table


@pytest.mark.parametrize(
    ("predictions", "labels", "said"),
    [
        ([2.5, 2.5, 2.5], [1.0, 2.0, 3.0], "the predictions are constant, so Pearson's r is"),
        ([1.0, 2.0, 2.5], [4.0, 4.0, 4.0], "the dev labels are constant, so Pearson's r is"),
        ([1.0, 2.0, 2.5], [4.0, 3.0, 4.0], None),
    ],
)
def test_what_is_constant_is_said(tmp_path, predictions, labels, said):
    frame = pd.DataFrame({"row": [1, 2, 3], "label": labels, "prediction": predictions})
    # Another split and task of the run must not hide it, nor be taken for it.
    other = frame.assign(prediction=[0.0, 1.0, 2.0], label=[0.0, 1.0, 0.0])
    rows = [
        frame.assign(task="SIM", split="dev"),
        other.assign(task="SIM", split="test"),
        other.assign(task="PAR", split="dev"),
    ]
    store = RunStore(tmp_path)
    write_table(
        pd.concat(rows).assign(confidence=np.nan),
        Predictions,
        store.folder("k" * 16) / "predictions.parquet",
    )
    runs = SimpleNamespace(store=store, study=make_study(tmp_path))
    found = _why_undefined(runs, {"key": "k" * 16}, "SIM", "dev")
    assert found is None if said is None else found.startswith(said)
    assert _why_undefined(runs, {"key": "k" * 16}, "SIM", "test") is None


def test_rows_without_labels_are_no_mystery(tmp_path):
    study = make_study(tmp_path)
    task = study.tasks["SIM"]
    data = task.data.model_copy(update={"test_labelled": False})
    tasks = study.tasks | {"SIM": task.model_copy(update={"data": data})}
    runs = SimpleNamespace(study=study.model_copy(update={"tasks": tasks}))
    assert _why_undefined(runs, {"key": "none"}, "SIM", "test") == "the rows have no labels"
