"""The answer that stands first: per task the pairing to use, or that there is no evidence yet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from weightwise.figures import names
from weightwise.figures.inputs import Inputs, of
from weightwise.grid import plain

BADGES = {
    "gain": "gain",
    "loss": "loss",
    "no evidence yet": "no evidence yet",
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


def cards(inputs: Inputs, variant: str) -> list[Card]:
    """One card per task of a variant."""
    made = []
    for task in inputs.tasks(variant):
        best = of(inputs.best, task, variant)
        row = chosen(inputs, task, variant)
        if row is not None:
            made.append(_card(inputs, variant, task, row))
        else:
            reason = best["reason"].iloc[0] if len(best) else "no grouping with this task was run"
            made.append(
                Card(
                    task=task,
                    title=inputs.title(task),
                    anchor=anchor(task, variant),
                    look="muted",
                    badge="not comparable",
                    advice="Nothing can be said of this task.",
                    facts=[],
                    evidence=reason,
                )
            )
    return made


def chosen(inputs: Inputs, task: str, variant: str):
    """The row of `best` that the verdict speaks of, or None.

    The best on dev; but where its gain is unproven and another grouping's is proven, the proven
    one: a recommendation must not hide behind a larger number that may be chance.
    """
    best = of(inputs.best, task, variant)
    proven = best[best["recommended"].astype(bool)]
    if len(proven):
        order = proven.sort_values(["best_of_task", "dev_change"], ascending=False, kind="stable")
        return order.iloc[0]
    top = best[best["best_of_task"].astype(bool)]
    return top.iloc[0] if len(top) else None


def anchor(task: str, variant: str) -> str:
    """The id of a task's section."""
    return f"task-{names.slug(task)}" + ("" if variant == "default" else f"-{names.slug(variant)}")


def judged(inputs: Inputs, row) -> tuple[str, object | None]:
    """The split that a best arm is judged on, and its row of the arms table there."""
    arms = of(inputs.arms, row["task"], row["variant"])
    on_test = number(row["test_change"])
    split = "test" if on_test else "dev"
    found = arms[
        (arms["split"] == split)
        & (arms["group"] == row["group"])
        & names.same_arm(arms, row["combiner"], row["alpha"])
    ]
    return split, (found.iloc[0] if len(found) else None)


def number(value: object) -> bool:
    """Whether there is a number."""
    return isinstance(value, int | float) and math.isfinite(value)


def _card(inputs: Inputs, variant: str, task: str, row) -> Card:
    split, arm = judged(inputs, row)
    how = weights(row["combiner"], row["alpha"], task, row["group"])
    partner = names.partners(row["group"], task)
    change = row["test_change"] if split == "test" else row["dev_change"]
    verdict = row["verdict"]
    if row["recommended"]:
        advice = f"Train {task} with {partner}: {how}."
    elif verdict == "loss":
        advice = f"Train {task} alone: its best pairing on dev loses on {split}."
    elif number(row["dev_change"]) and row["dev_change"] <= 0:
        advice = f"Train {task} alone: no pairing was better. Closest: {partner}, {how}."
    else:
        advice = f"No recommendation. Best seen: with {partner}, {how}."
    facts = [f"{names.percent(change)} on {split}" + _interval(inputs, row, arm, split)]
    if split == "test":
        facts.append(f"{names.percent(row['dev_change'])} on dev (optimistic: selected on dev)")
    else:
        facts.append("optimistic: selected on dev; there is no test score")
    if arm is not None and number(arm["score"]):
        facts.append(f"{inputs.metric(task)} {names.score(arm['score'])} on {split}")
    if not row["best_of_task"]:
        facts.append(_larger(inputs, task, variant))
    if verdict == "no evidence yet" and arm is not None:
        facts.append(_seeds(arm))
    if verdict == "one seed":
        facts.append("run at least two seeds for an interval, five for a useful one")
    return Card(
        task=task,
        title=inputs.title(task),
        anchor=anchor(task, variant),
        look=verdict if verdict in ("gain", "loss") else "muted",
        badge=BADGES.get(verdict, verdict),
        advice=advice,
        facts=[fact for fact in facts if fact],
        evidence="; ".join(p for p in row["reason"].split("; ") if p.startswith("equally good")),
    )


def _larger(inputs: Inputs, task: str, variant: str) -> str:
    best = of(inputs.best, task, variant)
    top = best[best["best_of_task"].astype(bool)]
    if not len(top):
        return ""
    row = top.iloc[0]
    how = weights(row["combiner"], row["alpha"], task, row["group"])
    return (
        f"larger on dev, but no evidence: {names.percent(row['dev_change'])} with "
        f"{names.partners(row['group'], task)}, {how}"
    )


def _interval(inputs: Inputs, row, arm, split: str) -> str:
    low, high = row["test_low"], row["test_high"]
    if split == "dev" and arm is not None:
        low, high = arm["adjusted_low"], arm["adjusted_high"]
    text = names.interval(low, high)
    return f" ({100 * inputs.confidence:g} % interval {text}, adjusted)" if text else ""


def _seeds(arm) -> str:
    if number(arm["seeds_needed"]):
        return (
            f"about {int(arm['seeds_needed']):,} seeds would be needed to show a change of this "
            f"size ({int(arm['seeds'])} were run)"
        )
    return "more than ten thousand seeds would be needed" if number(arm["low"]) else ""


def headline(inputs: Inputs, variant: str) -> str:
    """The verdict in one paragraph."""
    tasks = inputs.tasks(variant)
    told = {task: chosen(inputs, task, variant) for task in tasks}
    rows = [row for row in told.values() if row is not None]
    if not rows:
        return (
            "No pairing can be compared with a task trained alone: baselines or scores are missing."
        )
    if all(row["verdict"] == "one seed" for row in rows):
        seen = np.nanmax([[row["dev_change"], row["test_change"]] for row in rows])
        return (
            "One seed was run, so no interval exists and no pairing can be recommended. The best "
            f"change seen is {names.percent(float(seen))}; run more seeds before believing it."
        )
    sentences, quiet, unknown = [], [], []
    for task, row in told.items():
        if row is not None and row["recommended"]:
            split, arm = judged(inputs, row)
            change = row["test_change"] if split == "test" else row["dev_change"]
            sentences.append(
                f"{task} gains {names.percent(change)} when trained with "
                f"{names.partners(row['group'], task)}, "
                f"{weights(row['combiner'], row['alpha'], task, row['group'])}"
                f"{_interval(inputs, row, arm, split)}, measured on {split}"
                + (" (optimistic: selected on dev)." if split == "dev" else ".")
            )
        elif row is not None and row["verdict"] != "not comparable":
            quiet.append(task)
        else:
            unknown.append(task)
    lost = f" {', '.join(unknown)} cannot be compared: no baseline or score." if unknown else ""
    if not sentences and not quiet:
        return lost.strip()
    if not sentences:
        return (
            f"No evidence yet that any pairing helps {' or '.join(quiet)}: no gain survives the "
            "correction for the number of arms compared. Train the tasks alone, or run more seeds."
        ) + lost
    if quiet:
        sentences.append(f"For {', '.join(quiet)} no gain survives correction.")
    return " ".join(sentences) + lost


def selected_on_dev(inputs: Inputs, variant: str) -> list[str]:
    """Tasks without test scores, whose numbers were chosen on the split they are measured on."""
    return [t for t in inputs.tasks(variant) if "test" not in inputs.splits(t, variant)]
