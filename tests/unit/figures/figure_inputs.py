"""Small studies for the tests of figures, report and page: scores through the real analysis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from gradient_inputs import run_steps
from overlap_inputs import write_errors

from weightwise import tables
from weightwise.analysis.cost_ratios import cost_ratios
from weightwise.analysis.gradients import SCHEMAS, analyse_gradients
from weightwise.analysis.run import analyse, wanted_cells
from weightwise.config import StudyConfig
from weightwise.grid import plain

KINDS = {"SEN": "classification", "PAR": "binary", "SIM": "regression"}
CLASSES = {"classification": 3, "binary": 2}
SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(2)>'
FORMULA = "$\\frac{a}{$ & </svg>"


def make_scores(
    tasks: Sequence[str] = ("SEN", "PAR", "SIM"),
    seeds: Sequence[int] = (1, 2, 3),
    splits: Sequence[str] = ("dev", "test"),
    alphas: Sequence[str] = ("0.2", "0.5", "0.6", "0.8"),
    variants: Sequence[str] = ("default",),
    no_baseline: Sequence[str] = (),
    pairs: bool = True,
    kinds: dict[str, str] | None = None,
    more: Sequence[str] = (),
) -> pd.DataFrame:
    """Scores of all pairs: weights near 0.7 help, the first pair most. `more`: further combiners,
    of which the first beats all others; `pcgrad_alpha` has the weights 0.2, 0.5 and 0.8."""
    kinds = kinds or KINDS
    rng, own_rng = np.random.default_rng(7), np.random.default_rng(8)
    rows: list[dict[str, Any]] = []
    for variant, split, seed in itertools.product(variants, splits, seeds):
        own = {t: 0.5 + 0.02 * i + rng.normal(0, 0.004) for i, t in enumerate(tasks)}

        def add(task, group, combiner, alpha, score, run, alias=None, at=(variant, split, seed)):
            regression = kinds.get(task) == "regression"
            rows.append(
                {
                    "task": task,
                    "metric": "pearson" if regression else "accuracy",
                    "group": group,
                    "combiner": combiner,
                    "alpha": alpha,
                    "variant": at[0],
                    "seed": at[2],
                    "split": at[1],
                    "score": score,
                    "epoch": 3.0,
                    "run": f"{run}-{at[0]}-{at[2]}",
                    "alias_of": alias,
                }
            )

        for task in tasks:
            if task not in no_baseline:
                add(task, task, "baseline", None, own[task], task)
        for order, pair in enumerate(itertools.combinations(tasks, 2) if pairs else ()):
            group = "+".join(pair)
            for place, task in enumerate(pair):
                gain = 0.02 / (1 + order)
                added = own[task] - 0.01 + rng.normal(0, 0.001)
                for alpha in alphas:
                    first = alpha if place == 0 else plain(1 - Decimal(alpha))
                    weight = float(alpha)
                    score = own[task] + gain - 0.15 * (weight - 0.7) ** 2 + rng.normal(0, 0.001)
                    same = "addition" if alpha == "0.5" else None
                    run = f"{group}/addition" if same else f"{group}/unitary-{first}"
                    add(task, group, "unitary", alpha, added if same else score, run, same)
                add(task, group, "addition", None, added, f"{group}/addition")
                pcgrad = own[task] + rng.normal(0, 0.002)
                add(task, group, "pcgrad", None, pcgrad, f"{group}/pcgrad")
                for rank, combiner in enumerate(more):
                    for alpha in ("0.2", "0.5", "0.8") if combiner == "pcgrad_alpha" else (None,):
                        arm = combiner if alpha is None else f"{combiner}-{alpha}"
                        score = own[task] + 0.06 / (1 + 9 * rank) + own_rng.normal(0, 0.001)
                        run, same = f"{group}/{arm}", None
                        if alpha == "0.5":
                            score, run, same = pcgrad, f"{group}/pcgrad", "pcgrad"
                        add(task, group, combiner, alpha, score, run, same)
    return pd.DataFrame(rows)


def make_predictions(best: pd.DataFrame, scores: pd.DataFrame, kinds: dict[str, str]):
    """Predictions of the cells that the report looks into."""
    rng = np.random.default_rng(11)
    frames = []
    for cell in wanted_cells(best).itertuples():
        for split, seed in itertools.product(scores["split"].unique(), scores["seed"].unique()):
            count = CLASSES.get(kinds.get(cell.task, "binary"))
            if count:
                label = rng.integers(0, count, 60)
                guess = np.where(rng.random(60) < 0.7, label, rng.integers(0, count, 60))
            else:
                label = rng.uniform(0, 5, 60)
                guess = label + rng.normal(0, 0.7, 60)
            frames.append(
                pd.DataFrame(
                    {
                        "task": cell.task,
                        "group": cell.group,
                        "combiner": cell.combiner,
                        "alpha": cell.alpha,
                        "variant": cell.variant,
                        "seed": seed,
                        "run": "run-of-predictions",
                        "split": split,
                        "row": range(60),
                        "label": label.astype(float),
                        "prediction": guess.astype(float),
                        "confidence": np.nan,
                    }
                )
            )
    return pd.concat(frames) if frames else None


def make_learning(scores: pd.DataFrame, epochs: int = 5, steps: int = 30) -> pd.DataFrame:
    """Every run's losses and dev scores: the training loss falls, the dev loss turns in the middle.
    The dev score in the last epoch is that of the scores."""
    real = scores[scores["alias_of"].isna() & (scores["split"] == "dev")]
    rows = []
    for place, cell in enumerate(real.itertuples()):
        named = {k: getattr(cell, k) for k in ("task", "group", "combiner", "alpha", "variant")}
        named |= {"seed": cell.seed, "run": cell.run}
        shift = 0.01 * (place % 7)
        for epoch in range(1, epochs + 1):
            for quantity, value in (
                ("train_loss", 1 / epoch + shift),
                ("dev_loss", 0.6 + 0.05 * (epoch - epochs / 2) ** 2 + shift),
                ("dev_score", cell.score - 0.02 * (epochs - epoch)),
            ):
                rows.append(named | {"quantity": quantity, "position": epoch, "value": value})
        for step in range(1, steps + 1):
            value = 5 / (4 + step) + shift
            rows.append(named | {"quantity": "step_loss", "position": step, "value": value})
    return pd.DataFrame(rows)


def make_study_tables(
    out: Path,
    predictions: bool = True,
    runs: bool = False,
    gradients: bool = False,
    **options: Any,
) -> Path:
    """A folder of tables as the study's analysis leaves it."""
    kinds = options.get("kinds") or KINDS
    scores = make_scores(**options)
    found = analyse(scores, out)
    if predictions:
        rows = make_predictions(found["best"], scores, kinds)
        classes = {
            t: [str(i) for i in range(CLASSES[kinds.get(t, "binary")])]
            for t in scores["task"].unique()
            if kinds.get(t, "binary") != "regression"
        }
        if rows is not None:
            tables.write_table(rows, tables.ArmPredictions, out / "predictions.parquet")
            analyse(scores, out, rows, classes)
            sizes = {task: len(names) for task, names in classes.items()}
            single = {t for t, size in sizes.items() if size > 2}
            write_errors(out, scores, rows, sizes, single, SCRIPT + IMAGE)
        tables.write_table(make_learning(scores), tables.Learning, out / "learning.parquet")
    if runs:
        _write_runs(out, scores)
    if gradients:
        found = analyse_gradients(run_steps(scores))
        for name, frame in found.items():
            tables.write_table(frame, SCHEMAS[name], out / f"{name}.parquet")
    return out


def _write_runs(out: Path, scores: pd.DataFrame) -> None:
    real = scores[scores["alias_of"].isna()].drop_duplicates("run")
    states, costs = [], []
    for place, row in enumerate(real.itertuples()):
        arm = row.combiner if row.alpha is None else f"{row.combiner}-{row.alpha}"
        name = f"{row.group}/{arm}/{row.variant}/seed-{row.seed}"
        failed = place == 3
        states.append(
            {
                "id": name,
                "group": row.group,
                "arm": arm,
                "variant": row.variant,
                "seed": row.seed,
                "status": "failed" if failed else "not run" if place == 4 else "done",
                "run": None if failed else row.run,
                "error": f"the loss is not finite {SCRIPT}" if failed else None,
                "log": f"logs/{name}.log" if failed else None,
                "precision": "fp32",
                "hardware": "a laptop",
                "parameters": 22.7e6,
                "threads": 1.0,
                "torch": "2.9.0",
            }
        )
        slow = {"pcgrad": 0.105}.get(row.combiner, 0.1)
        costs.append(
            {
                "id": name,
                "group": row.group,
                "combiner": row.combiner,
                "variant": row.variant,
                "seed": row.seed,
                "steps": 100,
                "step_seconds": slow,
                "train_seconds": 100 * slow,
                "score_seconds": 1.0,
                "peak_memory_bytes": 2.0**30,
                "median_step_seconds": slow,
                "timed_steps": 90,
                "hardware": "a laptop",
                "precision": "fp32",
                "threads": 1.0,
            }
        )
    tables.write_table(pd.DataFrame(states), tables.Runs, out / "runs.parquet")
    tables.write_table(pd.DataFrame(costs), tables.Costs, out / "costs.parquet")
    ratios = cost_ratios(pd.DataFrame(costs))
    tables.write_table(ratios, tables.CostRatios, out / "cost_ratios.parquet")


def no_figures(folder: Path) -> Path:
    """A folder of no figures, for pages whose figures do not matter."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.json").write_text("[]")
    return folder


def make_study(hostile: bool = False, **report: Any) -> StudyConfig:
    """A study of the three tasks of the tables."""
    data = {key: {"type": "file", "path": f"{key}.csv"} for key in ("train", "dev")}
    tasks: dict[str, dict[str, Any]] = {
        "SEN": {
            "kind": "classification",
            "classes": ["bad", "middling", "good"],
            "licence": "CC BY 4.0",
        },
        "PAR": {"kind": "binary"},
        "SIM": {"kind": "regression", "range": [0, 5]},
    }
    if hostile:
        tasks["SEN"] |= {"title": SCRIPT, "classes": [IMAGE, FORMULA, "good"], "licence": SCRIPT}
        tasks["PAR"]["title"] = IMAGE
        tasks["SIM"]["title"] = FORMULA
    for task in tasks.values():
        task |= {"text": ["text"], "label": "label", "data": data}
    return StudyConfig.model_validate(
        {
            "name": "tiny",
            "tasks": tasks,
            "encoder": {"source": {"type": "directory", "path": "/encoder"}},
            "report": report,
        }
    )


def make_checks() -> dict[str, Any]:
    """Facts of the data, some keys missing as in an older file."""
    return {
        "tasks": {
            "SEN": {
                "kind": "classification",
                "classes": ["bad", SCRIPT, "good"],
                "licence": "CC BY 4.0",
                "dropped": {"train": {"no label": 2}},
                "content_sha256": "b" * 64,
                "sources": [
                    {
                        "splits": ["train"],
                        "description": IMAGE,
                        "sha256": "a" * 64,
                        "rows": 8544,
                        "unit": "line",
                    }
                ],
                "splits": {
                    "train": {"rows": 8544, "labels": None, "words": {"mean": 19.2, "p95": 38.0}},
                    "dev": {
                        "rows": 1101,
                        "labels": {
                            "counts": [300, 300, 501],
                            "majority_class": "good",
                            "majority_share": 0.455,
                        },
                    },
                },
            },
            "SIM": {
                "splits": {"dev": {"rows": 9, "labels": {"counts": [4, 5], "edges": [0, 2, 5]}}}
            },
            "PAR": {},
        },
        "leakage": [
            {
                "kind": "example",
                "task_a": "SIM",
                "split_a": "train",
                "task_b": "SIM",
                "split_b": "dev",
                "count": 12,
                "share_of_b": 0.008,
            },
            {"kind": "sentence", "task_a": "SEN", "task_b": "SIM", "count": 0},
        ],
        "warnings": [f"SIM: 12 rows of dev stand in train {IMAGE}"],
        "encoder": {"source": "tiny encoder", "sha256": "c" * 64, "layers": 2, "licence": None},
    }
