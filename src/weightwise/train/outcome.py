"""What a run leaves behind: rows of its tables, and each task's best epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from weightwise.train.scoring import Scored


@dataclass
class RunTables:
    """Rows of the run's tables as they come (schemas Epochs, Steps, Gramians, Regularisers,
    StepTimes, Timings), and per task the best epoch with its scores on dev and test."""

    epochs: list[dict] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)
    gramians: list[dict] = field(default_factory=list)
    regularisers: list[dict] = field(default_factory=list)
    step_times: list[dict] = field(default_factory=list)
    timings: list[dict] = field(default_factory=list)
    best: dict[str, dict[str, Scored]] = field(default_factory=dict)
    best_epoch: dict[str, int] = field(default_factory=dict)

    def is_better(self, task: str, scored: Scored) -> bool:
        """Whether these dev scores are the task's best so far; the first ones are, and an undefined
        score never is unless nothing better exists."""
        if task not in self.best:
            return True
        before = self.best[task]["dev"].score
        return bool(np.nan_to_num(scored.score, nan=-2) > np.nan_to_num(before, nan=-2))

    def predictions(self) -> pd.DataFrame:
        """Predictions of every task at its best dev epoch (schema Predictions)."""
        frames = []
        for task, splits in self.best.items():
            for split, scored in splits.items():
                frames.append(
                    pd.DataFrame(
                        {
                            "task": task,
                            "split": split,
                            "row": scored.rows,
                            "label": scored.labels,
                            "prediction": scored.predictions,
                            "confidence": (
                                np.nan if scored.confidence is None else scored.confidence
                            ),
                        }
                    )
                )
        return pd.concat(frames, ignore_index=True)
