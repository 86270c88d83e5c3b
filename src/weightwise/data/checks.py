"""Facts about the prepared data of a study, as `checks.json` holds them.

Layout (everything is plain JSON; a key is always there, null where there is nothing to say):

    {"tasks": {NAME: {
        "title", "kind", "metric", "licence": text or null,
        "classes": [class names], empty for regression,
        "sources": [{"splits": ["train", "dev"], "description", "sha256", "rows",
                     "unreadable": {reason: first rows that `bad_rows: drop` left out},
                     "notes": [what was found in the file, in words],
                     "unit": "line" | "record"}], the unit of row numbers
        "rows_read": {TABLE: rows before anything was left out},
        "dropped": {TABLE: {reason: rows}}, by SPLIT where a column divides a table (`split_by`),
        "dropped_first": {TABLE: {reason: first row numbers}}; all of them are in dropped.parquet,
        "control_characters": texts in which a control character became a space,
        "content_sha256": checksum of the prepared rows,
        "splits": {SPLIT: {
            "rows", "labelled": rows with a label,
            "labels": null where no row has one, else
                for classes {"counts": [rows per class], "majority_class": name,
                             "majority_share": share of labelled rows},
                for regression {"mean", "sd", "min", "max",
                                "edges": [6 bin edges over `range`], "counts": [5]},
            "words": {"mean", "p95"}, white-space words of a row, both texts together
            "tokens": {"rows", "tokens", "unknown", "longest", "cut"}, see `fit.text_facts`; not
                there before the texts are tokenised
        }}}},
     "leakage": [{"kind": "example" | "sentence", "task_a", "split_a", "task_b", "split_b",
                  "count": rows of b, "share_of_b", "examples": up to 3 [row_a, row_b]}],
     "warnings": [text], those of the data; `cautions.cautions` has those that depend on keys of
         training and groupings, too
     "encoder": facts of `fetch_encoder`, with "layers" and "max_length" of the study}

TABLE is the key of the configuration under which the source stands (train, dev, test); where
`split` divides one table it is "train". SPLIT is train, dev or test.

`leakage` counts the rows of (task_b, split_b) whose text or unordered pair ("example") or any of
whose texts ("sentence") also stands in (task_a, split_a), after case folding and collapsing of
white space. Listed, zeros included: within a task train-dev, train-test and dev-test; between
tasks train of a against dev and test of b.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from weightwise.config import StudyConfig, TaskConfig
from weightwise.config.variants import variants
from weightwise.data.encoder_files import encoder_warnings
from weightwise.data.parse import LISTED, listed
from weightwise.data.texts import sentence_keys
from weightwise.tables import SPLITS

if TYPE_CHECKING:
    from weightwise.data.prepare import PreparedTask

BINS = 5
EXAMPLES = 3


def content_sha256(examples: pd.DataFrame) -> str:
    """Checksum of prepared rows (schema `Examples`), the same under any version of the libraries.

    One JSON array [split, row, text_a, text_b, label] per line, floats in their shortest form.
    """
    digest = hashlib.sha256()
    for split, row, a, b, label in examples.itertuples(index=False):
        values = [split, int(row), a, b if isinstance(b, str) else None]
        values.append(None if pd.isna(label) else float(label))
        digest.update(json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def build_checks(
    study: StudyConfig, prepared: dict[str, PreparedTask], encoder: dict[str, Any]
) -> dict[str, Any]:
    """All facts, laid out as the module says.

    Args:
        study: the study.
        prepared: rows per task, in the study's order.
        encoder: facts of the encoder.

    Raises:
        RuntimeError: a row of a source is neither kept nor recorded as left out, or more than once.
    """
    for name, one in prepared.items():
        _refuse_lost_rows(name, study.tasks[name], one)
    tasks = {name: _task_facts(study.tasks[name], one) for name, one in prepared.items()}
    leaks = leakage({name: one.examples for name, one in prepared.items()})
    warnings = []
    for name, facts in tasks.items():
        warnings += _warnings(name, study.tasks[name], facts)
        warnings += [
            f"{name}: `limit` asks for {most:,} {split} rows and there are "
            f"{facts['splits'][split]['rows']:,}; all are used"
            for split, most in prepared[name].larger_limits.items()
        ]
        warnings += [
            f"{name}: {count:,} {split} rows have the label -1, read as a label; no other label is "
            "negative, and in GLUE and SNLI -1 marks rows without one: leave them out with `where`"
            for split, count in prepared[name].minus_ones.items()
        ]
    warnings += _of_sources(prepared)
    for leak in leaks:
        if leak["kind"] == "example" and leak["count"]:
            warnings.append(
                f"{leak['task_b']}: of its {leak['split_b']} rows {leak['count']:,} "
                f"({leak['share_of_b']:.1%}) also in {leak['split_a']} of {leak['task_a']}"
            )
    keys = [variant.training for variant in variants(study).values()]
    read = {task.representation or k.representation for k in keys for task in study.tasks.values()}
    warnings += encoder_warnings(encoder, read)
    used = study.encoder.model_dump(mode="json", include={"layers", "max_length"})
    return {"tasks": tasks, "leakage": leaks, "warnings": warnings, "encoder": encoder | used}


def _of_sources(prepared: dict[str, PreparedTask]) -> list[str]:
    """What the files themselves hold that a person should know, each file once."""
    found = {}
    for one in prepared.values():
        for table in one.sources.values():
            for reason, lines in table.dropped.items():
                found[
                    f"{table.name}: {len(lines):,} of {table.rows_read:,} rows left out, {reason} "
                    f"(`bad_rows: drop`; {listed(lines, table.unit)})"
                ] = None
            found |= dict.fromkeys(f"{table.name}: {note}" for note in table.notes)
    return list(found)


def _refuse_lost_rows(name: str, task: TaskConfig, one: PreparedTask) -> None:
    """Hold the rows read against those kept and those left out, number by number."""
    for key, splits in task.data.tables.items():
        kept = one.examples.loc[one.examples["split"].isin(splits), "row"].to_numpy()
        found = np.concatenate([kept, *(one.left_out.rows(split) for split in splits)])
        if not np.array_equal(np.sort(found), one.sources[key].all_rows):
            raise RuntimeError(
                f"task '{name}', table {key}: {one.sources[key].rows_read:,} rows were read, and "
                f"{len(found):,} were kept or left out; this is a fault of weightwise"
            )


def _task_facts(task: TaskConfig, one: PreparedTask) -> dict[str, Any]:
    sources: dict[str, dict[str, Any]] = {}
    for split, table in one.sources.items():
        entry = sources.setdefault(
            table.description,
            {
                "splits": [],
                "description": table.description,
                "sha256": table.sha256,
                "rows": table.rows_read,
                "unreadable": {r: list(lines[:LISTED]) for r, lines in table.dropped.items()},
                "notes": list(table.notes),
                "unit": table.unit,
            },
        )
        entry["splits"] += task.data.tables[split]
    return {
        "title": task.title,
        "kind": task.kind,
        "metric": task.score_name,
        "licence": task.licence,
        "classes": list(task.class_names),
        "sources": list(sources.values()),
        "rows_read": {split: table.rows_read for split, table in one.sources.items()},
        "dropped": {split: dict(reasons) for split, reasons in one.left_out.counts.items()},
        "dropped_first": one.left_out.first(),
        "control_characters": one.control_characters,
        "content_sha256": content_sha256(one.examples),
        "splits": {
            split: _split_facts(task, one.examples[one.examples["split"] == split])
            for split in SPLITS
            if (one.examples["split"] == split).any()
        },
    }


def _split_facts(task: TaskConfig, rows: pd.DataFrame) -> dict[str, Any]:
    words = rows["text_a"].map(lambda t: len(t.split())).to_numpy()
    if len(task.text) == 2:
        words = words + rows["text_b"].map(lambda t: len(t.split())).to_numpy()
    labels = rows["label"].dropna().to_numpy(dtype=float)
    facts: dict[str, Any] | None = None
    if len(labels) and task.kind == "regression":
        counts, edges = np.histogram(labels, bins=BINS, range=task.range)
        facts = {
            "mean": float(labels.mean()),
            "sd": float(labels.std(ddof=1)) if len(labels) > 1 else 0.0,
            "min": float(labels.min()),
            "max": float(labels.max()),
            "edges": [float(e) for e in edges],
            "counts": [int(c) for c in counts],
        }
    elif len(labels):
        counts = np.bincount(labels.astype(int), minlength=len(task.class_names))
        facts = {
            "counts": [int(c) for c in counts],
            "majority_class": task.class_names[int(counts.argmax())],
            "majority_share": float(counts.max() / counts.sum()),
        }
    return {
        "rows": len(rows),
        "labelled": len(labels),
        "labels": facts,
        "words": {"mean": float(words.mean()), "p95": float(np.percentile(words, 95))},
    }


def _warnings(name: str, task: TaskConfig, facts: dict[str, Any]) -> list[str]:
    found = []
    for split, one in facts["splits"].items():
        labels = one["labels"]
        if labels is None:
            continue
        if task.kind == "regression":
            if labels["min"] == labels["max"]:
                found.append(f"{name}: {_equal_labels(split, labels['min'])}")
            continue
        absent = [c for c, n in zip(task.class_names, labels["counts"], strict=True) if n == 0]
        if len(absent) == len(task.class_names) - 1:
            found.append(f"{name}: {_one_class(split, labels['majority_class'])}")
            continue
        for missing in absent:
            found.append(f"{name}: class '{missing}' has no {split} row")
    if facts["control_characters"]:
        found.append(
            f"{name}: texts in which control characters became spaces: "
            f"{facts['control_characters']:,}"
        )
    return found


def _equal_labels(split: str, label: float) -> str:
    """What is said where all labels of a split are one number."""
    so = (
        "there is nothing to learn, and predictions that are all equal have no Pearson's r"
        if split == "train"
        else "Pearson's r is undefined"
    )
    return f"all {split} labels are equal ({label:g}), so {so}"


def _one_class(split: str, name: str) -> str:
    """What is said where all rows of a split are of one class."""
    so = (
        "there is nothing to learn"
        if split == "train"
        else "its accuracy is the share of rows that are given that class, and tells no model "
        "from a constant answer"
    )
    return f"all {split} rows are of class '{name}', so {so}"


def leakage(examples: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Rows that are shared between splits and tasks, laid out as the module says.

    Args:
        examples: prepared rows per task (schema `Examples`).
    """
    keys: dict[tuple[str, str], tuple[list[tuple[str, ...]], np.ndarray]] = {}
    for task, frame in examples.items():
        for split in SPLITS:
            rows = frame[frame["split"] == split]
            if len(rows):
                numbers = rows["row"].to_numpy()
                keys[task, split] = (sentence_keys(rows["text_a"], rows["text_b"]), numbers)
    found = []
    for a in keys:
        for b in keys:
            within = a[0] == b[0] and SPLITS.index(a[1]) < SPLITS.index(b[1])
            across = a[0] != b[0] and a[1] == "train" and b[1] != "train"
            if within or across:
                found += [_overlap(kind, a, b, keys) for kind in ("example", "sentence")]
    return found


def _overlap(kind: str, a: tuple[str, str], b: tuple[str, str], keys: dict) -> dict[str, Any]:
    def parts(key: tuple[str, ...]) -> tuple:
        return (key,) if kind == "example" else key

    first: dict[Any, int] = {}
    for key, row in zip(*keys[a], strict=True):
        for part in parts(key):
            first.setdefault(part, int(row))
    pairs = []
    for key, row in zip(*keys[b], strict=True):
        match = next((first[part] for part in parts(key) if part in first), None)
        if match is not None:
            pairs.append([match, int(row)])
    return {
        "kind": kind,
        "task_a": a[0],
        "split_a": a[1],
        "task_b": b[0],
        "split_b": b[1],
        "count": len(pairs),
        "share_of_b": len(pairs) / len(keys[b][0]),
        "examples": pairs[:EXAMPLES],
    }
