"""The answer that stands first: per task the pairing to use, to train it alone, or that the study
does not decide. All of it follows the rows of `analysis.claims`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from weightwise.analysis.claims import Answer, answer
from weightwise.figures import names
from weightwise.figures.inputs import Inputs, of
from weightwise.grid import plain
from weightwise.report.score_cautions import score_cautions

BADGES = {
    "gain": "gain",
    "loss": "loss",
    "alone": "train it alone",
    "no change worth having": "no change worth having",
    "not decided": "not decided",
    "one seed": "one seed: no interval",
    "not comparable": "not comparable",
}


@dataclass(frozen=True)
class Card:
    """What is said of one task."""

    task: str
    title: str
    anchor: str
    look: str
    badge: str
    advice: str
    facts: list[str]
    evidence: str
    cautions: list[str] = field(default_factory=list)
    """What touches the scores: cut texts, texts that a training has seen."""


def weights(combiner: str, alpha: object, task: str, group: str) -> str:
    """An arm in words: `weights SEN 0.4, PAR 0.6`."""
    if not names.is_text(alpha):
        return "losses added" if combiner == "addition" else names.combiner_label(combiner)
    own, *others = alpha.split(",")
    rest = [name for name in group.split("+") if name != task]
    if not others and len(rest) == 1:
        others = [plain(1 - Decimal(own))]
    if len(others) != len(rest):
        return names.arm_label(combiner, alpha)
    parts = [f"{name} {value}" for name, value in zip([task, *rest], [own, *others], strict=True)]
    prefix = "" if combiner == "unitary" else f"{names.combiner_label(combiner)}, "
    return f"{prefix}weights {', '.join(parts)}"


def cards(inputs: Inputs, variant: str, checks: Mapping[str, Any] | None = None) -> list[Card]:
    """One card per task of a variant; `checks` (see `weightwise.data.checks`) add what touches its
    scores."""
    return [
        replace(card, cautions=score_cautions(inputs, variant, card.task, checks or {}))
        for card in _cards(inputs, variant)
    ]


def _cards(inputs: Inputs, variant: str) -> list[Card]:
    made = []
    for task in inputs.tasks(variant):
        found = answer(of(inputs.best, task, variant))
        if found.row is not None:
            made.append(_card(inputs, variant, task, found))
        else:
            made.append(_without_change(inputs, variant, task))
    return made


def _without_change(inputs: Inputs, variant: str, task: str) -> Card:
    """The card of a task with nothing to compare: trained alone only, or no change is defined."""
    paired = bool(inputs.groups(task, variant))
    advice = "No pairing can be compared." if paired else "Nothing to pair: it was trained alone."
    return Card(
        task=task,
        title=inputs.title(task),
        anchor=anchor(task, variant),
        look="muted",
        badge="not comparable" if paired else "alone",
        advice=advice,
        facts=list(_alone(inputs, variant, task)),
        evidence=incomparable(inputs, variant, task) if paired else "",
    )


def _alone(inputs: Inputs, variant: str, task: str) -> Iterator[str]:
    """The scores of a task alone."""
    arms = of(inputs.arms, task, variant)
    arms = arms[arms["combiner"] == "baseline"]
    for split in reversed(inputs.splits(task, variant)):
        for score in arms.loc[arms["split"] == split, "score"].dropna():
            yield f"{inputs.metric(task)} {names.score(score)} on {split}, alone"


def incomparable(inputs: Inputs, variant: str, task: str) -> str:
    """Why no arm of a task can be compared with the task alone; empty where nothing says."""
    best = of(inputs.best, task, variant)
    told = dict.fromkeys(str(r).removeprefix("not comparable: ") for r in best["reason"])
    return "; ".join([reason for reason in told if reason][:2])


def chosen(inputs: Inputs, task: str, variant: str):
    """The row of `best` that speaks for a task in a variant, or None."""
    return answer(of(inputs.best, task, variant)).row


def anchor(task: str, variant: str) -> str:
    """The id of a task's section."""
    return f"task-{names.slug(task)}" + ("" if variant == "default" else f"-{names.slug(variant)}")


def judged(inputs: Inputs, row) -> tuple[str, object | None]:
    """The split that a pairing is judged on, and the row of the arms table there of its arm."""
    arms = of(inputs.arms, row["task"], row["variant"], row["judged"])
    found = arms[
        (arms["group"] == row["group"]) & names.same_arm(arms, row["combiner"], row["alpha"])
    ]
    return row["judged"], (found.iloc[0] if len(found) else None)


def change_of(row) -> object:
    """The change of a pairing's arm on the split that it is judged on."""
    return row[f"{row['judged']}_change"]


def number(value: object) -> bool:
    """Whether there is a number."""
    return isinstance(value, int | float) and math.isfinite(value)


def _card(inputs: Inputs, variant: str, task: str, found: Answer) -> Card:
    row, verdict = found.row, found.verdict
    split, arm = judged(inputs, row)
    how = weights(row["combiner"], row["alpha"], task, row["group"])
    partner = names.partners(row["group"], task)
    if verdict == "gain":
        advice = f"Train {task} with {partner}; of its arms {how} was the best on dev."
    elif verdict == "alone":
        advice = f"Train {task} alone: {_excluded(inputs)}."
    else:
        advice = f"No recommendation. Best seen: with {partner}, {how}."
    facts = [_support(row)] if verdict == "gain" else []
    facts.append(f"{names.percent(change_of(row))} on {split}{_interval(inputs, row)}")
    if split == "test" and number(row["dev_change"]):
        facts.append(f"{names.percent(row['dev_change'])} on dev (optimistic: selected on dev)")
    elif split == "dev":
        facts.append("optimistic: selected on dev; there is no test score")
    if arm is not None and number(arm["score"]):
        facts.append(f"{inputs.metric(task)} {names.score(arm['score'])} on {split}")
    if verdict == "not decided":
        facts.append(_visible(row))
    if verdict == "one seed" and arm is not None and names.is_text(arm["undefined"]):
        facts.append(f"one seed counts; {arm['undefined']}")
    elif verdict == "one seed":
        facts.append("run at least two seeds for an interval, five for a useful one")
    return Card(
        task=task,
        title=inputs.title(task),
        anchor=anchor(task, variant),
        look="gain" if verdict == "gain" else "muted",
        badge=BADGES[verdict],
        advice=advice,
        facts=[fact for fact in facts if fact],
        evidence="; ".join(p for p in row["reason"].split("; ") if p.startswith("equally good")),
    )


def _support(row) -> str:
    """What the claim about a pairing rests on."""
    survive = "survives as a gain" if row["gains"] == 1 else "survive as gains"
    text = f"{row['gains']} of its {row['arms']} arms {survive} on {row['judged']}"
    return text + (f", {row['losses']} as losses" if row["losses"] else "")


def _excluded(inputs: Inputs) -> str:
    return f"a gain of {inputs.report.smallest_change:g} % or more is excluded for every pairing"


def _interval(inputs: Inputs, row) -> str:
    text = names.interval(row["low"], row["high"])
    return f" ({100 * inputs.confidence:g} % interval {text}, adjusted)" if text else ""


def _visible(row) -> str:
    """What the study could have seen."""
    if not number(row["visible"]):
        return ""
    return f"{row['seeds']} seeds of this design see changes of {row['visible']:.2g} % or more"


def headline(inputs: Inputs, variant: str) -> str:
    """The verdict in one paragraph."""
    told = {task: answer(of(inputs.best, task, variant)) for task in inputs.tasks(variant)}
    by_verdict = {
        verdict: [task for task, found in told.items() if found.verdict == verdict]
        for verdict in ("gain", "alone", "not decided", "one seed", "not comparable")
    }
    alone = [task for task in told if not inputs.groups(task, variant)]
    if len(alone) == len(told):
        return (
            f"There is nothing to pair: {_listed(alone)} {'was' if len(alone) == 1 else 'were'} "
            "trained alone, so there are scores, but no changes."
        )
    lost = _lost(inputs, variant, [t for t in by_verdict["not comparable"] if t not in alone])
    if len(by_verdict["not comparable"]) == len(told):
        return f"No pairing can be compared with a task trained alone. {lost}"
    sentences = []
    for task in by_verdict["gain"]:
        row = told[task].row
        split = row["judged"]
        sentences.append(
            f"{task} gains when trained with {names.partners(row['group'], task)}: {_support(row)}"
            f"; {weights(row['combiner'], row['alpha'], task, row['group'])} "
            f"{names.percent(change_of(row))}{_interval(inputs, row)}"
            + (" (optimistic: selected on dev)." if split == "dev" else ".")
        )
    if by_verdict["alone"]:
        tasks = " and ".join(by_verdict["alone"])
        sentences.append(f"Train {tasks} alone: {_excluded(inputs)}.")
    if by_verdict["not decided"]:
        seen = [_seen(told[task].row) for task in by_verdict["not decided"]]
        sentences.append(
            f"Not decided for {', '.join(by_verdict['not decided'])}: "
            "no pairing is shown to help, and none is shown not to."
            + (
                f" This study could have seen changes of {', '.join(filter(None, seen))} or more."
                if any(seen)
                else ""
            )
        )
    if by_verdict["one seed"]:
        best = max((change_of(told[task].row) for task in by_verdict["one seed"]), key=_or_least)
        tasks = (
            ""
            if len(by_verdict["one seed"]) == len(told)
            else (f" for {', '.join(by_verdict['one seed'])}")
        )
        several = inputs.scores["seed"].nunique() > 1
        start = "Of several seeds one alone counts" if several else "One seed was run"
        sentences.append(
            f"{start}{tasks}, so no interval exists and no pairing can be recommended. "
            f"The best change seen is {names.percent(best)}; run more seeds before believing it."
        )
    sentences += [lost] if lost else []
    if alone:
        sentences.append(f"{_listed(alone)} stood in no pairing.")
    return " ".join(sentences)


def _lost(inputs: Inputs, variant: str, tasks: list[str]) -> str:
    """Which tasks cannot be compared, by their reasons."""
    by_reason: dict[str, list[str]] = {}
    for task in tasks:
        reason = incomparable(inputs, variant, task) or "no baseline or score"
        by_reason.setdefault(reason, []).append(task)
    return " ".join(
        f"{_listed(told)} cannot be compared: {reason}." for reason, told in by_reason.items()
    )


def _listed(tasks: list[str]) -> str:
    """`A`, `A and B`, `A, B and C`."""
    return " and ".join(filter(None, [", ".join(tasks[:-1]), tasks[-1]]))


def _seen(row) -> str:
    return f"{row['visible']:.2g} % ({row['task']})" if number(row["visible"]) else ""


def _or_least(value: object) -> float:
    return float(value) if number(value) else -math.inf


def selected_on_dev(inputs: Inputs, variant: str) -> list[str]:
    """Tasks without test scores, whose numbers were chosen on the split they are measured on."""
    return [t for t in inputs.tasks(variant) if inputs.splits(t, variant) == ["dev"]]
