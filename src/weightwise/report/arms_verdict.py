"""The answer that stands first in a study of named arms: per task the best arm, and whether it is
better than the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from weightwise.analysis.claims import gains
from weightwise.analysis.comparisons import OVERALL
from weightwise.figures import names
from weightwise.figures.inputs import Inputs
from weightwise.report.score_cautions import cautions_of_variants
from weightwise.report.verdict import BADGES, Card, number

ANCHOR = "named-arms"


def arms_headline(inputs: Inputs) -> str:
    """Which gains and losses to the first arm survive correction, in one paragraph."""
    rows = _together(inputs.comparisons)
    rows = rows[rows["split"] == _judge(inputs)]
    reference = inputs.variants[0]
    compared = rows[rows["verdict"] != "reference"]
    if (compared["verdict"] == "one seed").all():
        return (
            f"One seed was run, so no interval exists and no arm can be called better than "
            f"“{reference}”; run more seeds before believing a difference."
        )
    parts = []
    for verdict, word in (("gain", "Better"), ("loss", "Worse")):
        told = []
        for task in _columns(inputs):
            own = compared[(compared["task"] == task) & (compared["verdict"] == verdict)]
            arms = list(dict.fromkeys(own["variant"]))
            if arms:
                name = "the overall score" if task == OVERALL else task
                told.append(f"for {name} {', '.join(arms)}")
        if told:
            parts.append(f"{word} {'; '.join(told)}")
    if not parts:
        return (
            f"Not decided: no arm is shown to differ from “{reference}” after correction for the "
            "number of arms compared, and none is shown not to."
        )
    if not parts[0].startswith("Better"):
        parts.insert(0, "None is better")
    return (
        f"On {_judge(inputs)} these arms differ from “{reference}” after correction. "
        + ". ".join(parts)
        + "."
        + (" Optimistic: selected on dev." if _judge(inputs) == "dev" else "")
    )


def arms_cards(inputs: Inputs, checks: Mapping[str, Any] | None = None) -> list[Card]:
    """One card per task, and one for the overall score; `checks` (see `weightwise.data.checks`) add
    what touches a task's scores."""
    made = []
    for task in _columns(inputs):
        rows = _together(inputs.comparisons[inputs.comparisons["task"] == task])
        dev = rows[(rows["split"] == "dev") & rows["score"].notna()]
        if len(dev):
            card = _card(inputs, task, rows, _best(dev, gains(rows)))
            told = cautions_of_variants(inputs, inputs.variants, task, checks or {})
            made.append(replace(card, cautions=told))
    return made


def _best(dev: pd.DataFrame, claimed: pd.DataFrame) -> pd.Series:
    """The best arm on dev of those that are claimed as gains, else of those with as many seeds as
    any; of equals the first, as the study lists them."""
    surviving = dev[dev["variant"].isin(set(claimed["variant"]))]
    if surviving.empty:
        seeds = dev["seeds"].where(dev["verdict"] != "reference", dev["seeds"].max())
        surviving = dev[seeds == seeds.max()]
    return surviving.loc[surviving["score"].idxmax()]


def _card(inputs: Inputs, task: str, rows: pd.DataFrame, best: pd.Series) -> Card:
    reference = rows[(rows["split"] == "dev") & (rows["verdict"] == "reference")].iloc[0]
    judged, split = best, "dev"
    same = (rows["split"] == "test") & (rows["variant"] == best["variant"])
    same &= (rows["group"] == best["group"]) & (rows["combiner"] == best["combiner"])
    same &= rows["alpha"].fillna("") == (best["alpha"] if names.is_text(best["alpha"]) else "")
    if same.any() and rows[same]["score"].notna().any():
        judged, split = rows[same].iloc[0], "test"
    title = "Overall score" if task == OVERALL else inputs.title(task)
    verdict = judged["verdict"]
    if best["verdict"] == "reference":
        advice = f"“{reference['variant']}”, the reference, scored highest on dev."
    else:
        advice = f"Best on dev: “{best['variant']}”."
    facts = [f"{names.score(best['score'])} on dev (optimistic: selected on dev)"]
    if split == "test":
        facts.append(f"{names.score(judged['score'])} on test")
    if verdict != "reference" and number(judged["difference"]):
        ends = names.span(judged["adjusted_low"], judged["adjusted_high"])
        facts.append(
            f"{names.number(judged['difference'], 3, signed=True)} to “{reference['variant']}” on "
            f"{split}" + (f" ({ends}, adjusted)" if ends else "")
        )
    if verdict == "not decided" and number(judged["visible"]):
        facts.append(
            f"{int(judged['seeds'])} seeds of this design see differences of "
            f"{names.number(judged['visible'], 3)} or more"
        )
    return Card(
        task=title if task == OVERALL else task,
        title=title,
        anchor=ANCHOR,
        look=verdict if verdict in ("gain", "loss") else "muted",
        badge="the reference" if verdict == "reference" else BADGES.get(verdict, verdict),
        advice=advice,
        facts=facts,
        evidence="",
    )


def _together(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the tasks that were trained alone, too: their variant's section tells what that is
    worth."""
    together = rows[rows["group"] != rows["task"]]
    return together if len(together) else rows


def _columns(inputs: Inputs) -> list[str]:
    """Tasks in the study's order, then the overall score."""
    known = set(inputs.comparisons["task"])
    tasks = [task for task in inputs.tasks() if task in known]
    return tasks + [OVERALL] * (OVERALL in known and OVERALL not in tasks)


def _judge(inputs: Inputs) -> str:
    """Test where there are test scores, else dev."""
    on_test = inputs.comparisons[inputs.comparisons["split"] == "test"]
    return "test" if on_test["difference"].notna().any() else "dev"
