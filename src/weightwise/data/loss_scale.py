"""How far apart the gradients of tasks that are trained together start, by their losses' scales.

A gradient of the encoder is the product of the loss's gradient at the outputs of the task's last
layer and of what lies below. The second factor starts alike for all tasks (heads are drawn alike);
the first follows from the labels. Where every prediction lies at the mean label, as those of
regression heads do at the start, it is, in root mean square over the examples,

    mse              2 sd s: s = 1 under `relu` and `identity`, (high - low) m (1 - m) under
                     `sigmoid` (m: the mean label's place in the range), high - low for a cosine,
    mse_normalised   the same of labels as shares of the range: 2 sd / (high - low) s, with s = 1,
                     m (1 - m) and 1,
    cross-entropy    sqrt(1 - 1 / classes), a half for a binary task.

Labels of 20 times the size thus give 20 times the gradient under `mse`, and 400 times under
`sigmoid`. It is an estimate to within a factor of two or three of what can be off by a thousand:
measured in the first step on SST beside STS under `sigmoid`, with labels from 0 to 5 1.8 and 2.8
times SST's (two seeds), where this says 4; from 0 to 100 709 and 1,124, where it says 1,660.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from weightwise.config import StudyConfig, TaskConfig, TrainingConfig
from weightwise.grid import Grid

LARGEST_RATIO = 10.0
"""A larger ratio of two gradients is warned of: weights from 0.1 to 0.9 make up for 9."""


def loss_scale(
    task: TaskConfig, training: TrainingConfig, labels: Mapping[str, Any] | None
) -> float | None:
    """Root mean square of the loss's gradient at the outputs of an untrained head, see the module.

    Args:
        task: the task.
        training: the keys that it is trained with.
        labels: facts of its training labels, as `checks.json` has them.

    Returns:
        The figure, in units of one over the output's; None where nothing is known of it: other
        losses of regression (their scale does not follow the labels'), constant labels.
    """
    if task.kind == "binary":
        return 0.5
    if task.kind == "classification":
        return math.sqrt(1 - 1 / len(task.class_names)) if len(task.class_names) > 1 else None
    loss = task.loss or training.similarity_loss
    if loss not in ("mse", "mse_normalised") or not labels or not labels["sd"]:
        return None
    low, high = task.range
    siamese = len(task.text) == 2 and (task.pair or training.pair) == "siamese"
    if siamese and (task.decoder or training.decoder) == "cosine":
        slope = 1.0
    elif (task.output or training.output) == "sigmoid":
        place = (labels["mean"] - low) / (high - low)
        slope = place * (1 - place)
    else:
        slope = 1.0 if loss == "mse_normalised" else 1 / (high - low)
    share = 2 * labels["sd"] / (high - low) * slope
    return share if loss == "mse_normalised" else share * (high - low) ** 2


def scale_cautions(study: StudyConfig, checks: Mapping[str, Any]) -> list[str]:
    """A sentence for every two tasks that are trained together and start too far apart, once.

    Args:
        study: the study.
        checks: laid out as `weightwise.data.checks` says.
    """
    grid = Grid(study)
    found: dict[str, None] = {}
    for variant in grid.variants:
        training = grid.training(variant)
        if training.freeze_trunk:
            continue  # nothing is shared that one task could pull away from another
        scales = {
            name: loss_scale(task, training, _train_labels(checks, name))
            for name, task in study.tasks.items()
            if training.trunk_tasks is None or name in training.trunk_tasks
        }
        for group in grid.groups_of(variant):
            for pair in itertools.combinations([t for t in group if scales.get(t)], 2):
                small, large = sorted(pair, key=lambda name: scales[name])
                if scales[large] > LARGEST_RATIO * scales[small]:
                    ratio = scales[large] / scales[small]
                    found[_sentence(study, training, checks, small, large, ratio)] = None
    return list(found)


def _sentence(
    study: StudyConfig,
    training: TrainingConfig,
    checks: Mapping[str, Any],
    small: str,
    large: str,
    ratio: float,
) -> str:
    one = large if study.tasks[large].kind == "regression" else small
    task = study.tasks[one]
    low, high = task.range
    labels = _train_labels(checks, one)
    figure = float(f"{ratio:.1g}")
    told = (
        f"{large} beside {small}: at the start {large} pulls the encoder about {figure:,.0f} times "
        f"as hard as {small} (estimated from the losses; weights of 0.9 and 0.1 make up for 9), "
        f"since the labels of {one} lie in {low:g} to {high:g} with a standard deviation of "
        f"{labels['sd']:.3g}"
    )
    if (task.loss or training.similarity_loss) == "mse":
        return f"{told}; set `similarity_loss: mse_normalised`, or `loss: mse_normalised` of {one}"
    return f"{told}; set `range` to where its labels lie"


def _train_labels(checks: Mapping[str, Any], task: str) -> Mapping[str, Any] | None:
    facts = ((checks.get("tasks") or {}).get(task) or {}).get("splits") or {}
    return (facts.get("train") or {}).get("labels")
