"""Confusion matrices from predictions."""

import pandas as pd
import pytest

from weightwise.analysis.confusion import confusions
from weightwise.errors import UserError
from weightwise.tables import ArmPredictions, check


def predictions(labels, predicted, seed=1, task="SEN"):
    frame = pd.DataFrame({"label": labels, "prediction": predicted})
    cell = {"task": task, "group": "SEN+PAR", "combiner": "unitary", "alpha": "0.4"}
    frame = frame.assign(**cell, variant="default", seed=seed, run="abc", split="dev")
    return frame.assign(row=range(1, len(frame) + 1), confidence=0.9)


def test_all_classes_stand_there_and_seeds_add_up():
    both = [predictions([0, 0, 1, None], [0, 2, 1, 1], seed) for seed in (1, 2)]
    found = confusions(check(pd.concat(both), ArmPredictions, "p"), {"SEN": 4})
    assert len(found) == 16
    counts = found.set_index(["true", "predicted"])["count"]
    assert counts[(0, 0)] == counts[(0, 2)] == counts[(1, 1)] == 2
    assert counts.sum() == 6
    assert counts[(3, 3)] == 0
    assert set(found["seeds"]) == {2}


def test_other_tasks_are_left_out():
    assert confusions(predictions([3.5], [2.1], task="SIM"), {"SEN": 5}).empty


@pytest.mark.parametrize(("label", "predicted"), [(5, 0), (0, 1.5), (0, -1)])
def test_what_is_no_class_is_refused(label, predicted):
    with pytest.raises(UserError, match="is not one of its 5 classes"):
        confusions(predictions([label], [predicted]), {"SEN": 5})
