"""What the report says: its words, its levels, the published tables beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from weightwise.config.base import Strict, nearest


class Counterpart(Strict):
    """What of this study stands beside a printed arm."""

    arm: str
    """A named arm, or any variant of the study; its simplest combiner in its largest grouping."""
    alone: bool = False
    """True: its tasks trained alone."""


class ReportConfig(Strict):
    """What the report says and beside which published tables."""

    title: str | None = None
    """Heading; null: made from the study's name."""
    introduction: str | None = None
    """A paragraph of plain text under the heading."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence of all intervals; 1 - confidence is the family-wise error after Holm."""
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    """Power with which the changes are found that a study is said to see."""
    smallest_change: Annotated[float, Field(gt=0, lt=100)] = 1.0
    """The smallest relative change that is worth having, per cent: `train alone` is said only where
    gains of this size are excluded."""
    published: Literal["pairing", "gradattention", "bertram", "mlm", "simcse"] | None = None
    """Published tables that are set beside ours (tasks are matched by name)."""
    counterparts: dict[str, str | Counterpart] = Field(default={})
    """For a table of printed arms, which of ours stands beside which: `PRINTED NAME: our arm`, or
    `{arm: our arm, alone: true}` for its tasks trained alone."""

    def counterpart(self, printed: str) -> Counterpart | None:
        """What stands beside a printed arm; None where nothing does."""
        found = self.counterparts.get(printed)
        return Counterpart(arm=found) if isinstance(found, str) else found


def refuse_counterparts(report: ReportConfig, variants: Mapping[str, bool]) -> None:
    """Refuse counterparts of arms that were not printed, or that this study does not have.

    Args:
        report: what the report says.
        variants: the study's variants, and whether their tasks are trained alone, too.

    Raises:
        ValueError: one of them, with the nearest name there is.
    """
    if not report.counterparts:
        return
    from weightwise.published import printed_arms  # pandas, which other studies do without

    printed = printed_arms(report.published) if report.published else []
    if not printed:
        raise ValueError(
            "report.counterparts: needs `published`, and one with a table of arms: bertram, mlm, "
            "simcse"
        )
    for name in report.counterparts:
        if name not in printed:
            raise ValueError(
                f"report.counterparts: '{report.published}' prints no arm '{name}'; "
                + nearest(name, printed)
            )
        arm = report.counterpart(name).arm
        if arm not in variants:
            raise ValueError(
                f"report.counterparts.{name}: unknown arm '{arm}'; {nearest(arm, list(variants))}"
            )
        if report.counterpart(name).alone and not variants[arm]:
            raise ValueError(
                f"report.counterparts.{name}: `alone`, but the tasks of '{arm}' are not trained "
                "alone; set its `single_tasks: true`"
            )
