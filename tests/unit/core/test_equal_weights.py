"""Equal weights and addition, both trained: one method where they share a run, two elsewhere."""

from __future__ import annotations

import pytest
import torch

from weightwise.grid import SMALL_EPSILON, Arm, Cell, scale_cancels
from weightwise.train.loop import Training

GROUP = ("SEN", "PAR")


def trained(study, combiner: str, alpha: str | None) -> tuple[torch.Tensor, dict, float]:
    """All weights after training, the best dev scores, and how far the weights moved."""
    run = Cell(GROUP, Arm(combiner, alpha), "default", 1)
    model = study.model(run)
    first = torch.cat([p.detach().clone().reshape(-1) for p in model.parameters()])
    tables = Training(model, study.inputs(run)).run()
    last = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    scores = {task: found["dev"].score for task, found in tables.best.items()}
    return last, scores, float((last - first).norm())


def apart(prepared, plain: str, weighted: str, **training) -> tuple[float, float]:
    """Distance of the two runs' weights as a share of the way moved; largest difference of
    scores."""
    study = prepared(combiners=[plain, weighted], alphas=["0.5"], training=training)
    one, scores, moved = trained(study, plain, None)
    other, others, _ = trained(study, weighted, "0.5")
    return float((one - other).norm()) / moved, max(abs(scores[t] - others[t]) for t in scores)


@pytest.mark.parametrize(
    ("plain", "weighted"), [("addition", "unitary"), ("pcgrad", "pcgrad_alpha")]
)
def test_where_they_share_a_run_both_give_the_same(prepared, plain, weighted):
    study = prepared(training={"epsilon": SMALL_EPSILON})
    assert scale_cancels(study.grid.training("default"))
    distance, scores = apart(prepared, plain, weighted, epochs=6, epsilon=SMALL_EPSILON)
    assert distance < 0.02
    assert scores == 0.0


@pytest.mark.parametrize("keys", [{"epsilon": 1e-2}, {"epsilon": 1e-8, "clip_norm": 0.5}])
def test_where_they_differ_they_share_none(prepared, keys):
    study = prepared(training=keys)
    assert not scale_cancels(study.grid.training("default"))
    distance, _ = apart(prepared, "addition", "unitary", epochs=6, **keys)
    assert distance > 0.05
