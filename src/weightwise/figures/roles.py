"""What the two arms that stand for a task in the whole study are called."""

from __future__ import annotations

import pandas as pd

from weightwise.analysis.chosen import CELL
from weightwise.analysis.labels import BASELINE
from weightwise.figures import names
from weightwise.figures.inputs import Inputs

ROLES = {"best": "the best arm", "reference": "the reference"}
BOTH = "the reference, which is the best arm"


def named_roles(rows: pd.DataFrame) -> dict[str, str]:
    """What the roles of a task's rows are called, the best arm first; an arm that has both roles
    stands there once, as `best`."""
    found = rows.drop_duplicates("role")
    if len(found) == 2 and len(found.drop_duplicates(CELL)) == 1:
        return {"best": BOTH}
    return {role: name for role, name in ROLES.items() if (found["role"] == role).any()}


def role_arm(inputs: Inputs, row: pd.Series) -> str:
    """`SEN + PAR, PCGrad`, `PAR alone`, with the variant where there are several."""
    label = names.group_label(row["group"])
    if row["combiner"] == BASELINE:
        label += " alone"
    else:
        label += f", {names.arm_label(row['combiner'], row['alpha'])}"
    return label + (f" ({row['variant']})" if len(inputs.variants) > 1 else "")


def capital(text: str) -> str:
    """The text with its first letter large."""
    return text[:1].upper() + text[1:]
