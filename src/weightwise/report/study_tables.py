"""Tables about the whole study: variants side by side, overall scores, the noise floor."""

from __future__ import annotations

from weightwise.figures import names
from weightwise.figures.inputs import Inputs, in_variant
from weightwise.report import verdict
from weightwise.report.html import Cell, Table, table


def variants_table(inputs: Inputs) -> Table:
    """The best arm of every task under every variant."""
    lines = []
    for variant in inputs.variants:
        line = [Cell(variant)]
        for task in inputs.tasks():
            row = verdict.chosen(inputs, task, variant)
            if row is None:
                line.append(Cell(names.DASH))
                continue
            split, arm = verdict.judged(inputs, row)
            change = verdict.change_of(row)
            score = names.score(arm["score"]) if arm is not None else names.DASH
            sign = names.sign_of(row["verdict"])
            text = f"{score} ({names.percent(change)} {split})" + (f" {sign}" if sign else "")
            label = f"{row['group']}, {names.arm_label(row['combiner'], row['alpha'])}"
            line.append(Cell(text, label, row["verdict"] if sign else ""))
        lines.append(line)
    note = (
        "Score of the arm that speaks for the task (the best on dev of those whose gain is shown, "
        "else of all), its change to the baseline of the same variant, and the arm. "
        f"{names.GAIN} and {names.LOSS}: the pairing is shown to gain or to lose; variants are not "
        "compared with each other by a test."
    )
    return table("Variants side by side", ["Variant", *inputs.tasks()], lines, note)


def overall_table(inputs: Inputs, variant: str, split: str) -> Table:
    """Per grouping: baselines, every combiner, of weighted ones the best weights; both overall
    scores."""
    rows = in_variant(inputs.overall, variant)
    rows = rows[rows["split"] == split]
    dev = in_variant(inputs.overall, variant)
    dev = dev[(dev["split"] == "dev") & dev["alpha"].notna()]
    lines = []
    for group in rows["group"].unique():
        of_group = rows[rows["group"] == group]
        best = {}
        for combiner, chosen in dev[dev["group"] == group].groupby("combiner"):
            best[combiner] = chosen.loc[chosen["mean_mapped"].idxmax(), "alpha"]
        for row in sorted(of_group.itertuples(), key=lambda r: names.arm_key(r.combiner, r.alpha)):
            weighted = names.is_text(row.alpha)
            if weighted and row.alpha != best.get(row.combiner):
                continue
            level = names.number(row.mean_mapped_low, 3), names.number(row.mean_mapped_high, 3)
            label = names.arm_label(row.combiner, row.alpha)
            if weighted:
                label = f"best weights on dev, {label}"
            lines.append(
                [
                    names.group_label(group),
                    label,
                    str(row.seeds),
                    names.score(row.mean_raw),
                    names.score(row.mean_mapped),
                    f"{level[0]} to {level[1]}" if names.DASH not in level else names.DASH,
                ]
            )
    head = ["Grouping", "Arm (α of its first task)", "Seeds", "Mean of metrics"]
    head += ["Mean, Pearson mapped", f"{100 * inputs.confidence:g} % interval of the mapped mean"]
    note = "One model for all tasks of the grouping; `Baseline` is the mean of its tasks alone."
    if split == "dev":
        note += " Optimistic: selected on dev."
    return table(f"Overall scores on {split}", head, lines, note.replace("`", ""))


def noise_table(inputs: Inputs, variant: str) -> Table:
    """The floor under every claimed gain."""
    lines = []
    for row in in_variant(inputs.noise, variant).itertuples():
        lines.append(
            [
                row.task,
                row.split,
                str(row.seeds),
                names.score(row.baseline),
                names.number(row.baseline_sd, 4),
                names.number(row.pooled_sd, 4),
                names.number(row.paired_sd, 2) + " %"
                if verdict.number(row.paired_sd)
                else names.DASH,
                names.number(row.same_method_gap, 4),
            ]
        )
    head = ["Task", "Split", "Seeds", "Baseline", "SD of the baseline", "SD over all arms"]
    head += ["SD of paired changes", "Gap between rows that are one method"]
    note = (
        "SD: standard deviation between seeds that differ in nothing else. A change is that of an "
        "arm to the baseline of the same seed, so what seeds share cancels: the SD of paired "
        "changes is what luck alone gives one seed's change."
    )
    return table("Noise floor", head, lines, note)
