"""From the sources of a study to prepared rows: `<task>.parquet`, `encoder/` and `checks.json`.

Per task, in this order: read, compare with `known_rows`, `where`, labels (missing ones refused or
dropped, those outside all bands dropped), texts (empty ones refused or dropped), `disjoint_from`,
`split`, `balance` (of train), `limit`. Every dropped row is counted by its reason. Texts stay as
they are, except that a control character becomes a space; a NUL character is refused.
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
from weightwise.config.sources import RowFilter, TableSource
from weightwise.data.checks import build_checks
from weightwise.data.encoder_source import fetch_encoder
from weightwise.data.labels import read_labels
from weightwise.data.sources import SourceTable, read_table_source
from weightwise.data.splits import balance, dependency_order, divide, draw
from weightwise.data.texts import clean_texts, sentence_keys
from weightwise.data.values import numbers as as_numbers
from weightwise.data.values import spelling
from weightwise.errors import UserError
from weightwise.files import write_json
from weightwise.tables import SPLITS, Examples, write_table

Reader = Callable[[TableSource], SourceTable]
COLUMNS = ("row", "text_a", "text_b", "label")


@dataclass
class PreparedTask:
    """Rows of one task and what became of the others.

    Attributes:
        examples: schema `Examples`; splits in the order train, dev, test, rows as in the source.
        sources: the table of each split that was read ("train" also where it is divided).
        dropped: per table read, rows left out by reason.
        control_characters: texts in which one was replaced.
        larger_limits: per split whose `limit` exceeds the rows there were, that limit.
    """

    examples: pd.DataFrame
    sources: dict[str, SourceTable] = field(default_factory=dict)
    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    control_characters: int = 0
    larger_limits: dict[str, int] = field(default_factory=dict)


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
        out: folder of `<task>.parquet` (schema `Examples`), `encoder/` and `checks.json`.
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
        if source not in tables:
            tables[source] = read_table_source(source, data_dir, cache)
            report(f"read {tables[source].name}: {len(tables[source].frame):,} rows")
        return tables[source]

    prepared: dict[str, PreparedTask] = {}
    for name in dependency_order(study.tasks):
        prepared[name] = _prepare_task(name, study.tasks[name], read, prepared, study.study_seed)
    prepared = {name: prepared[name] for name in study.tasks}
    for name, one in prepared.items():
        write_table(one.examples, Examples, out / f"{name}.parquet")
        counts = one.examples["split"].value_counts()
        report(f"{name}: " + ", ".join(f"{counts[s]:,} {s}" for s in SPLITS if s in counts))
    checks = build_checks(study, prepared, encoder)
    write_json(out / "checks.json", checks)
    return checks


def _prepare_task(
    name: str,
    task: TaskConfig,
    read: Reader,
    prepared: dict[str, PreparedTask],
    study_seed: int,
) -> PreparedTask:
    done = PreparedTask(pd.DataFrame())
    splits: dict[str, pd.DataFrame] = {}
    for split in SPLITS:
        source = getattr(task.data, split)
        if source is not None:
            splits[split] = _read_split(name, split, task, read(source), done)
            _leave_out_shared(splits, split, task, prepared, done)
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
        if split not in splits:
            continue
        if splits[split].empty:
            lost = sum((c for c in done.dropped.values()), Counter())
            why = ", ".join(f"{n} {reason}" for reason, n in lost.items()) or "none was there"
            raise UserError(f"task '{name}': no row is left for {split} (rows left out: {why})")
        rows = _sample(splits[split], split, name, task, done, study_seed)
        frames.append(rows.assign(split=split))
    done.examples = pd.concat(frames, ignore_index=True)[["split", *COLUMNS]]
    return done


def _sample(
    rows: pd.DataFrame,
    split: str,
    name: str,
    task: TaskConfig,
    done: PreparedTask,
    study_seed: int,
) -> pd.DataFrame:
    """`balance` (of train) and `limit` of a split; what is left out is counted in `done`."""
    limit, balanced = task.data.limit, task.data.balance and split == "train"
    dropped = done.dropped[split if split in done.dropped else "train"]
    if balanced:
        labels = rows["label"].to_numpy()
        kept = balance(labels, task.class_names, name, limit.seed, study_seed)
        if len(kept) < len(rows):
            dropped["more than the rarest class has (`balance`)"] = len(rows) - len(kept)
        rows = rows.iloc[kept]
    most = getattr(limit, split)
    if most is not None and most > len(rows):
        done.larger_limits[split] = most
    classes = rows["label"].to_numpy() if balanced else None
    kept = draw(len(rows), most, limit.seed, f"limit:{name}:{split}", study_seed, classes)
    if len(kept) < len(rows):
        dropped[f"beyond `limit` of {split}"] += len(rows) - len(kept)
    return rows.iloc[kept]


def _read_split(
    name: str, split: str, task: TaskConfig, table: SourceTable, done: PreparedTask
) -> pd.DataFrame:
    """Checked rows of one table, columns `COLUMNS`; what is left out is counted in `done`."""
    data = task.data
    known = getattr(data.known_rows, split)
    if known is not None and known != table.rows_read:
        raise UserError(
            f"{table.name}: has {table.rows_read:,} rows where `known_rows.{split}` of task "
            f"'{name}' says {known:,}; check `quoting` and `columns`, or correct `known_rows`"
        )
    done.sources[split] = table
    dropped = done.dropped[split] = Counter({r: len(lines) for r, lines in table.dropped.items()})
    keep = np.ones(len(table.frame), dtype=bool)
    for rule in data.where:
        keep &= matching_rows(rule, table)
    positions = np.flatnonzero(keep)
    if not keep.all():
        dropped["by `where`"] = int((~keep).sum())

    if split == "test" and not data.test_labelled:
        values = np.full(len(positions), np.nan)
    else:
        labels = read_labels(table, task, positions)
        if labels.missing.any() and data.missing_label == "refuse":
            first = int(positions[np.flatnonzero(labels.missing)[0]])
            raise UserError(
                f"{table.at(first)}, column '{task.label}': {int(labels.missing.sum())} rows have "
                "no label, this one first; set `missing_label: drop` to leave them out"
                + (", or `test_labelled: false`" if split == "test" else "")
            )
        for reason, lost in (("no label", labels.missing), ("outside all bands", labels.outside)):
            if lost.any():
                dropped[reason] = int(lost.sum())
        keep = ~(labels.missing | labels.outside)
        positions, values = positions[keep], labels.values[keep]

    columns, empty = [], np.zeros(len(positions), dtype=bool)
    for column in task.text:
        texts, blank, replaced = clean_texts(table, column, positions)
        done.control_characters += replaced
        if blank.any() and data.empty_text == "refuse":
            first = int(positions[np.flatnonzero(blank)[0]])
            raise UserError(
                f"{table.at(first)}, column '{column}': {int(blank.sum())} rows have an empty "
                "text, this one first; set `empty_text: drop` to leave them out"
            )
        empty |= blank
        columns.append(texts)
    if empty.any():
        dropped["empty text"] = int(empty.sum())
    pair = columns[1] if len(columns) == 2 else np.full(len(positions), None, dtype=object)
    frame = pd.DataFrame(
        {"row": table.rows[positions], "text_a": columns[0], "text_b": pair, "label": values}
    )
    return frame[~empty].reset_index(drop=True)


def matching_rows(rule: RowFilter, table: SourceTable) -> np.ndarray:
    """[rows] bool: which rows a filter keeps. An empty value lies in no range; as text it is ""."""
    raw = table.column(rule.column)
    match = np.ones(len(raw), dtype=bool)
    if rule.values is not None:
        wanted = frozenset(rule.values)
        match &= np.array([spelling(v) in wanted for v in raw], dtype=bool)
    if rule.minimum is not None or rule.maximum is not None:
        numbers = as_numbers(raw.to_numpy(dtype=object), table.decimal)
        present = np.array([v is not None and str(v).strip() != "" for v in raw], dtype=bool)
        bad = present & np.isnan(numbers)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise UserError(
                f"{table.at(first)}, column '{rule.column}': {raw.iloc[first]!r} is not a number, "
                "so `where` cannot compare it with `minimum` or `maximum`"
            )
        with np.errstate(invalid="ignore"):
            if rule.minimum is not None:
                match &= numbers >= rule.minimum
            if rule.maximum is not None:
                match &= numbers <= rule.maximum
    return ~match if rule.exclude else match


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
        if shared.any():
            done.dropped[split][f"used by {other}"] = int(shared.sum())
            splits[split] = frame[~shared].reset_index(drop=True)
