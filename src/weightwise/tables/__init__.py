"""The declared tables at every stage's edge: columns, types and ranges, checked both ways.

A table is a pandera model; `write_table` checks and writes it whole or not at all, `read_table`
checks what it reads. A column added to one is documented, typed and checked everywhere. A new
table stands in the file of the stage that writes it, and its name below.
"""

from weightwise.tables.gradients import (
    Actions,
    Conflicts,
    CostRatios,
    Weights,
)
from weightwise.tables.run import (
    Epochs,
    Gramians,
    Predictions,
    Regularisers,
    StageEpochs,
    StageSteps,
    Steps,
    StepTimes,
    Timings,
)
from weightwise.tables.schema import (
    SPLITS,
    VERDICTS,
    Table,
    check,
    empty,
    read_table,
    write_csv,
    write_table,
)
from weightwise.tables.statistics import (
    Arms,
    Best,
    Changes,
    Comparisons,
    Confusions,
    Curves,
    Errors,
    LeftOut,
    Noise,
    Overall,
    Overlap,
    Regressions,
)
from weightwise.tables.study import (
    QUANTITIES,
    ArmPredictions,
    Costs,
    DroppedRows,
    Examples,
    Learning,
    Runs,
    Scores,
)

__all__ = [
    "QUANTITIES",
    "SPLITS",
    "VERDICTS",
    "Actions",
    "ArmPredictions",
    "Arms",
    "Best",
    "Changes",
    "Comparisons",
    "Conflicts",
    "Confusions",
    "CostRatios",
    "Costs",
    "Curves",
    "DroppedRows",
    "Epochs",
    "Errors",
    "Examples",
    "Gramians",
    "Learning",
    "LeftOut",
    "Noise",
    "Overall",
    "Overlap",
    "Predictions",
    "Regressions",
    "Regularisers",
    "Runs",
    "Scores",
    "StageEpochs",
    "StageSteps",
    "StepTimes",
    "Steps",
    "Table",
    "Timings",
    "Weights",
    "check",
    "empty",
    "read_table",
    "write_csv",
    "write_table",
]
