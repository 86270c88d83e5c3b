"""From the sources of a study to prepared rows: `<task>.parquet`, `dropped.parquet`, `encoder/` and
`checks.json`.

Per task, in this order: read, compare with `known_rows`, `where` of the table, `split_by`, `where`
of the task, labels (missing and unreadable ones refused or dropped, those outside all bands
dropped), texts (those that say nothing refused or dropped), `disjoint_from`, `split`, `balance` (of
train), `limit`. Every dropped row is recorded with its reason. Texts stay as they are, except that
a control character becomes a space; a NUL character is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weightwise.config import StudyConfig, TaskConfig
from weightwise.config.sources import TableSource
from weightwise.data.checks import build_checks
from weightwise.data.dropped import Dropped
from weightwise.data.encoder_source import fetch_encoder
from weightwise.data.labels import read_labels
from weightwise.data.selection import chosen_rows
from weightwise.data.sources import SourceTable, read_table_source
from weightwise.data.splits import balance, dependency_order, divide, draw
from weightwise.data.texts import read_texts, sentence_keys
from weightwise.data.tokenless import Tokenless
from weightwise.errors import UserError
from weightwise.files import write_json
from weightwise.tables import SPLITS, DroppedRows, Examples, write_table

Reader = Callable[[TableSource], SourceTable]
COLUMNS = ("row", "text_a", "text_b", "label")


@dataclass
class PreparedTask:
    """Rows of one task and what became of the others.

    Attributes:
        examples: schema `Examples`; splits in the order train, dev, test, rows as in the source.
        sources: the table of each split that was read ("train" also where it is divided).
        left_out: rows left out, by table and reason.
        control_characters: texts in which one was replaced.
        larger_limits: per split whose `limit` exceeds the rows there were, that limit.
        minus_ones: per split, rows whose label -1 was read as a label though no other is negative.
    """

    examples: pd.DataFrame
    sources: dict[str, SourceTable] = field(default_factory=dict)
    left_out: Dropped = field(default_factory=Dropped)
    control_characters: int = 0
    larger_limits: dict[str, int] = field(default_factory=dict)
    minus_ones: dict[str, int] = field(default_factory=dict)


def prepare(
    study: StudyConfig,
    out: Path,
    cache: Path,
    report: Callable[[str], None] = lambda line: None,
    accept: Callable[[dict[str, Any]], None] = lambda facts: None,
) -> dict[str, Any]:
    """Read, check and write the data and the encoder of a study.

    Args:
        study: the study.
        out: folder of `<task>.parquet` (schema `Examples`), `dropped.parquet` (`DroppedRows`),
            `encoder/` and `checks.json`.
        cache: folder of downloads, shared by studies.
        report: told one line per thing done.
        accept: given the facts of the encoder once its folder is there, before any data are read;
            it raises where the encoder will not do.

    Returns:
        The checks, laid out as `weightwise.data.checks` says; the same as `checks.json`.

    Raises:
        UserError: anything wrong in a source, with file, row and remedy; nothing of `checks.json`
            is written then.
    """
    out, cache = Path(out), Path(cache)
    data_dir = Path(study.data_dir).expanduser() if study.data_dir else None
    encoder = fetch_encoder(study.encoder, cache, out / "encoder")
    report(f"encoder: {encoder['source']}")
    accept(encoder)
    tables: dict[TableSource, SourceTable] = {}

    def read(source: TableSource) -> SourceTable:
        # One file may serve several splits, each with rows of its own.
        source = source.model_copy(update={"where": ()})
        if source not in tables:
            tables[source] = read_table_source(source, data_dir, cache)
            report(f"read {tables[source].name}: {len(tables[source].frame):,} rows")
        return tables[source]

    encoder = fetch_encoder(study.encoder, cache, out / "encoder")
    report(f"encoder: {encoder['source']}")
    tokenless = Tokenless(out / "encoder")
    prepared: dict[str, PreparedTask] = {}
    for name in dependency_order(study.tasks):
        prepared[name] = _prepare_task(
            name, study.tasks[name], read, prepared, study.study_seed, tokenless
        )
    prepared = {name: prepared[name] for name in study.tasks}
    for name, one in prepared.items():
        write_table(one.examples, Examples, out / f"{name}.parquet")
        counts = one.examples["split"].value_counts()
        report(f"{name}: " + ", ".join(f"{counts[s]:,} {s}" for s in SPLITS if s in counts))
    dropped = [one.left_out.frame(name) for name, one in prepared.items()]
    write_table(pd.concat(dropped, ignore_index=True), DroppedRows, out / "dropped.parquet")
    checks = build_checks(study, prepared, encoder)
    write_json(out / "checks.json", checks)
    return checks


def _prepare_task(
    name: str,
    task: TaskConfig,
    read: Reader,
    prepared: dict[str, PreparedTask],
    study_seed: int,
    tokenless: Tokenless,
) -> PreparedTask:
    done = PreparedTask(pd.DataFrame())
    splits: dict[str, pd.DataFrame] = {}
    for key in task.data.tables:
        table = done.sources[key] = read(getattr(task.data, key))
        for split, positions in _chosen(name, key, task, table, done).items():
            splits[split] = _read_split(split, task, table, positions, done, tokenless)
            _leave_out_shared(splits, split, task, prepared, done)
            if splits[split].empty:
                why = done.left_out.told() or "none was there"
                raise UserError(
                    f"{table.name}: no row is left for {split} of task '{name}' (rows left out of "
                    f"the task's sources: {why})"
                )
    if task.data.split is not None:
        # A test table of its own stays beside the divided one.
        whole = splits.pop("train")
        parts = divide(
            whole["label"].to_numpy(),
            task.data.split,
            name,
            task.kind != "regression",
            study_seed,
        )
        splits |= {s: whole.iloc[positions] for s, positions in parts.items()}
    frames = []
    for split in SPLITS:
        if split in splits:
            rows = _sample(splits[split], split, name, task, done, study_seed)
            frames.append(rows.assign(split=split))
    done.examples = pd.concat(frames, ignore_index=True)[["split", *COLUMNS]]
    return done


def _chosen(
    name: str, key: str, task: TaskConfig, table: SourceTable, done: PreparedTask
) -> dict[str, np.ndarray]:
    """Positions of a table that belong to each of its splits."""
    known = getattr(task.data.known_rows, key)
    if known is not None and known != table.rows_read:
        raise UserError(
            f"{table.name}: has {table.rows_read:,} rows where `known_rows.{key}` of task "
            f"'{name}' says {known:,}; check `quoting` and `columns`, or correct `known_rows`"
        )
    for split in task.data.tables[key] if task.data.split is None else [key]:
        done.left_out.counts[split] = Counter()
    for reason, numbers in table.dropped.items():
        done.left_out.add(key, reason, numbers)
    return chosen_rows(
        table,
        task.data,
        key,
        lambda split, reason, positions: done.left_out.add(split, reason, table.rows[positions]),
    )


def _sample(
    rows: pd.DataFrame,
    split: str,
    name: str,
    task: TaskConfig,
    done: PreparedTask,
    study_seed: int,
) -> pd.DataFrame:
    """`balance` (of train) and `limit` of a split; what is left out is recorded in `done`."""
    limit, balanced = task.data.limit, task.data.balance and split == "train"
    where = split if split in done.left_out.counts else "train"

    def take(kept: np.ndarray, reason: str) -> pd.DataFrame:
        lost = np.ones(len(rows), dtype=bool)
        lost[kept] = False
        done.left_out.add(where, reason, rows["row"].to_numpy()[lost])
        return rows.iloc[kept]

    if balanced:
        labels = rows["label"].to_numpy()
        kept = balance(labels, task.class_names, name, limit.seed, study_seed)
        rows = take(kept, "more than the rarest class has (`balance`)")
    most = getattr(limit, split)
    if most is not None and most > len(rows):
        done.larger_limits[split] = most
    classes = rows["label"].to_numpy() if balanced else None
    kept = draw(len(rows), most, limit.seed, f"limit:{name}:{split}", study_seed, classes)
    return take(kept, f"beyond `limit` of {split}")


def _read_split(
    split: str,
    task: TaskConfig,
    table: SourceTable,
    positions: np.ndarray,
    done: PreparedTask,
    tokenless: Tokenless,
) -> pd.DataFrame:
    """Checked rows of some positions, columns `COLUMNS`; the others are recorded in `done`."""
    if split == "test" and not task.data.test_labelled:
        values = np.full(len(positions), np.nan)
    else:
        positions, values = _read_labels(split, task, table, positions, done)
    columns: list[np.ndarray] = []
    nothing: dict[str, np.ndarray] = {}
    refuse = "rows" if task.data.empty_text == "refuse" else None
    for column in task.text:
        texts, found, replaced = read_texts(table, column, positions, refuse, tokenless)
        done.control_characters += replaced
        columns.append(texts)
        for reason, rows in found.items():
            nothing[reason] = nothing.get(reason, np.zeros(len(positions), dtype=bool)) | rows
    keep = np.ones(len(positions), dtype=bool)
    for reason, rows in nothing.items():
        done.left_out.add(split, reason, table.rows[positions[rows & keep]])
        keep &= ~rows
    pair = columns[1] if len(columns) == 2 else np.full(len(positions), None, dtype=object)
    frame = pd.DataFrame(
        {"row": table.rows[positions], "text_a": columns[0], "text_b": pair, "label": values}
    )
    return frame[keep].reset_index(drop=True)


def _read_labels(
    split: str, task: TaskConfig, table: SourceTable, positions: np.ndarray, done: PreparedTask
) -> tuple[np.ndarray, np.ndarray]:
    """The positions whose labels can be used, and the labels."""
    labels = read_labels(table, task, positions, split)
    if labels.missing.any() and task.data.missing_label == "refuse":
        first = int(positions[np.flatnonzero(labels.missing)[0]])
        raise UserError(
            f"{table.at(first)}, column '{task.label}': {int(labels.missing.sum())} rows have "
            "no label, this one first; set `missing_label: drop` to leave them out"
            + (", or `test_labelled: false`" if split == "test" else "")
        )
    keep = np.ones(len(positions), dtype=bool)
    for reason, lost in (
        ("no label", labels.missing),
        ("unreadable label", labels.bad),
        ("outside all bands", labels.outside),
    ):
        done.left_out.add(split, reason, table.rows[positions[lost]])
        keep &= ~lost
    if labels.lone_minus_ones:
        done.minus_ones[split] = labels.lone_minus_ones
    return positions[keep], labels.values[keep]


def _leave_out_shared(
    splits: dict[str, pd.DataFrame],
    split: str,
    task: TaskConfig,
    prepared: dict[str, PreparedTask],
    done: PreparedTask,
) -> None:
    """Drop the rows of a split whose texts a task named in `disjoint_from` uses.

    Between two pair tasks the unordered pair must be the same; otherwise one shared text is
    enough.
    """
    for other in task.data.disjoint_from:
        frame = splits[split]
        theirs = prepared[other].examples
        used = set(sentence_keys(theirs["text_a"], theirs["text_b"]))
        mine = sentence_keys(frame["text_a"], frame["text_b"])
        if len(task.text) == 2 and theirs["text_b"].notna().any():
            shared = np.array([key in used for key in mine], dtype=bool)
        else:
            single = {text for key in used for text in key}
            shared = np.array([any(t in single for t in key) for key in mine], dtype=bool)
        done.left_out.add(split, f"used by {other}", frame["row"].to_numpy()[shared])
        splits[split] = frame[~shared].reset_index(drop=True)
