"""Every row of a source is kept or left out for one reason: held against a count in plain Python.

The count knows nothing of the code: it reads the lines that were written, applies the documented
steps one by one, and says how many rows every split must have and why the others went. Only which
rows a draw takes is not its business, so of those it knows the number.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weightwise.config import StudyConfig
from weightwise.data.prepare import prepare
from weightwise.errors import UserError
from weightwise.tables import DroppedRows, Examples, read_table

WORDS = (
    "good",
    "bad",
    "film",
    "The",
    "end",
    "river",
    "House",
    "tree",
    "song",
    "rain",
    "day",
    "cat",
)
TEXTS = (*WORDS, "good film", "Good  Film", "", "  ", "\u200b\ufeff", "\ufe0f", "\u0301", "\ue000")
EMPTY = {"", "  ", "\u200b\ufeff", "\ufe0f", "\u0301"}
WITHOUT_TOKENS = {"\ue000"}  # private use: seen as a box, and BERT's normaliser drops it
LABELS = ("0", "1", "1.0", "2", "-1", "", " ", "x", "nan", "7")
SPLITS = ("train", "dev", "test")

row = st.tuples(
    st.sampled_from(WORDS * 3 + TEXTS),
    st.sampled_from(WORDS * 6 + TEXTS),
    st.sampled_from(("0", "1") * 8 + LABELS),
    st.sampled_from("abbbcb"),
    st.sampled_from(("train", "train", "dev", "validation", "test", "test", "other", "")),
)
table = st.lists(row, min_size=25, max_size=60) | st.lists(row, min_size=1, max_size=12)
maybe = st.booleans()
most = st.none() | st.integers(1, 12)
plans = st.fixed_dictionaries({
    "tables": st.fixed_dictionaries({split: table for split in SPLITS}),
    "other": st.lists(st.sampled_from(WORDS), min_size=1, max_size=2),
    "pair": maybe,
    "labels": st.sampled_from(("plain", "bands", "cut_points", "label_values")),
    "source": st.sampled_from(("tables", "split", "split_by")),
    "own_test": maybe,
    "labelled": maybe,
    "where": maybe,
    "table_where": maybe,
    "disjoint": maybe,
    "balance": maybe,
    "limit": st.fixed_dictionaries({split: most for split in SPLITS}),
})  # fmt: skip


def task_of(plan: dict) -> dict:
    """The configuration of the plan's task."""

    def source(split: str) -> dict:
        made = {"type": "file", "path": f"{split}.tsv", "format": "tsv", "quoting": "none"}
        if plan["table_where"]:
            made["where"] = [{"column": "g", "values": "a", "exclude": True}]
        return made

    data: dict = {
        "train": source("train"), "missing_label": "drop", "bad_label": "drop",
        "empty_text": "drop", "balance": plan["balance"], "limit": plan["limit"],
        "test_labelled": plan["labelled"],
    }  # fmt: skip
    if plan["source"] == "tables":
        data["dev"] = source("dev")
    elif plan["source"] == "split":
        data["split"] = {"dev": 0.25, "stratify": False}
    else:
        data["split_by"] = {"column": "split", "dev": ["dev", "validation"]}
        if not plan["own_test"]:
            data["split_by"]["test"] = "test"
    if plan["own_test"]:
        data["test"] = source("test")
    if plan["where"]:
        data["where"] = [{"column": "g", "values": ["a", "b"]}]
    if plan["disjoint"]:
        data["disjoint_from"] = ["O"]
    ways = {
        "plain": {}, "bands": {"bands": [[0, 0.5], [0.9, 1.5]]}, "cut_points": {"cut_points": [1]},
        "label_values": {"label_values": [0, 1]},
    }  # fmt: skip
    text = ["s", "t"] if plan["pair"] else ["s"]
    return {"kind": "binary", "text": text, "label": "y", "data": data} | ways[plan["labels"]]


def class_of(label: str, way: str) -> int | str:
    """The class of a label, or why the row goes."""
    if not label.strip():
        return "no label"
    number = {"x": None, "nan": None}.get(label, label)
    if number is None:
        return "unreadable label"
    number = float(number)
    if way == "cut_points":
        return int(number >= 1)
    if number in (0, 1):
        return int(number)
    return "outside all bands" if way == "bands" else "unreadable label"


def key_of(*texts: str) -> tuple[str, ...]:
    return tuple(sorted(" ".join(text.lower().split()) for text in texts))


class NothingLeft(Exception):
    """A split has no row, so that the study is refused."""


def count(plan: dict) -> tuple[dict, dict]:
    """Rows kept per split, and rows left out per table or split and reason."""
    kept: dict[str, list[int]] = {}
    gone: dict[str, Counter] = {}
    used = {key_of(text) for text in plan["other"]} | {key_of("dev")}
    rows_of = {"train": plan["tables"]["train"]}
    if plan["source"] == "tables":
        rows_of["dev"] = plan["tables"]["dev"]
    if plan["own_test"]:
        rows_of["test"] = plan["tables"]["test"]
    for name, rows in rows_of.items():
        by_column = plan["source"] == "split_by" and name == "train"
        gone.setdefault(name, Counter())
        for s, t, y, g, column in rows:
            split = name
            if plan["table_where"] and g == "a":
                gone[name][f"by `where` of {name}"] += 1
                continue
            if by_column:
                named = {"train": "train", "dev": "dev", "validation": "dev"}
                if not plan["own_test"]:
                    named["test"] = "test"
                if column not in named:
                    gone[name]["of no split by 'split'"] += 1
                    continue
                split = named[column]
                gone.setdefault(split, Counter())
            kept.setdefault(split, [])
            if plan["where"] and g == "c":
                gone[split]["by `where`"] += 1
                continue
            label: int | str = 0
            if split != "test" or plan["labelled"]:
                label = class_of(y, plan["labels"])
            texts = (s, t) if plan["pair"] else (s,)
            if isinstance(label, str):
                gone[split][label] += 1
            elif EMPTY & set(texts):
                gone[split]["empty text"] += 1
            elif WITHOUT_TOKENS & set(texts):
                gone[split]["text without a token"] += 1
            elif plan["disjoint"] and any((part,) in used for part in key_of(*texts)):
                gone[split]["used by O"] += 1
            else:
                kept[split].append(label)
        if by_column and len(gone) < 2 + (not plan["own_test"]):
            raise NothingLeft
    if not all(kept.get(name) for name in rows_of) or not all(kept.values()):
        raise NothingLeft
    counts = {split: len(labels) for split, labels in kept.items()}
    train = kept["train"]
    if plan["source"] == "split":
        dev = round(len(train) * 0.25)
        if dev < 1 or len(train) - dev < 1:
            raise NothingLeft
        counts |= {"dev": dev, "train": len(train) - dev}
    return counts, gone


def write(folder: Path, plan: dict) -> None:
    for split, rows in plan["tables"].items():
        lines = ["\t".join(one) for one in (("s", "t", "y", "g", "split"), *rows)]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    other = "".join(f"{text}\t{i % 2}\n" for i, text in enumerate(plan["other"]))
    (folder / "other.tsv").write_text("s\ty\n" + other, "utf-8")
    (folder / "other-dev.tsv").write_text("s\ty\ndev\t1\n", "utf-8")


@settings(
    max_examples=120, derandomize=True, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(plan=plans)
def test_rows_read_kept_and_left_out_add_up(checkpoint, plan):
    other = {
        "kind": "binary", "text": "s", "label": "y",
        "data": {
            "train": {"type": "file", "path": "other.tsv", "format": "tsv"},
            "dev": {"type": "file", "path": "other-dev.tsv", "format": "tsv"},
        },
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, plan)
        study = StudyConfig.model_validate({
            "name": "tiny", "data_dir": name, "tasks": {"O": other, "T": task_of(plan)},
            "encoder": {"source": {"type": "directory", "path": str(checkpoint)}},
        })  # fmt: skip
        try:
            kept, gone = count(plan)
        except NothingLeft:
            with pytest.raises(UserError, match=r"no row is|every label|too few"):
                prepare(study, folder / "out", folder / "cache")
            return
        checks, refusal = attempt(study, folder)
        if checks is None:
            # Refusals that the count leaves alone: of a table of -1 only, and of a class without a
            # row that `balance` asks for.
            assert "every label of" in refusal or "`balance` takes" in refusal
            return
        facts = checks["tasks"]["T"]
        examples = read_table(folder / "out" / "T.parquet", Examples)
        dropped = read_table(folder / "out" / "dropped.parquet", DroppedRows)
        hold(plan, facts, examples, dropped[dropped["task"] == "T"], kept, gone)


def attempt(study: StudyConfig, folder: Path) -> tuple[dict | None, str]:
    """The checks, or None and why the study is refused."""
    try:
        return prepare(study, folder / "out", folder / "cache"), ""
    except UserError as error:
        return None, str(error)


def hold(plan, facts, examples, dropped, kept, gone):
    """Hold what was written against the count."""
    for split, there in kept.items():
        where = split if split in facts["dropped"] else "train"
        have = facts["splits"][split]["rows"]
        lost = dict(facts["dropped"][where])
        balanced = lost.get("more than the rarest class has (`balance`)", 0)
        if split == "train" and plan["balance"]:
            classes = facts["splits"]["train"]["labels"]["counts"]
            assert abs(classes[0] - classes[1]) <= 1
            there -= balanced
            assert there % 2 == 0
        limit = plan["limit"][split]
        assert have == (there if limit is None else min(there, limit))
        assert lost.get(f"beyond `limit` of {split}", 0) == there - have
    drawn = ("more than the rarest", "beyond `limit`")
    for where, reasons in facts["dropped"].items():
        rest = {r: n for r, n in reasons.items() if not r.startswith(drawn)}
        assert rest == {r: n for r, n in gone[where].items() if n}
    # Number by number: each line of a file is in one place.
    parts = {"train": [*kept] if plan["source"] != "tables" else ["train"]}
    if plan["source"] == "tables":
        parts["dev"] = ["dev"]
    if plan["own_test"]:
        parts["train"] = [split for split in parts["train"] if split != "test"]
        parts["test"] = ["test"]
    for name, splits in parts.items():
        lines = list(range(2, len(plan["tables"][name]) + 2))
        found = examples.loc[examples["split"].isin(splits), "row"].tolist()
        found += dropped.loc[dropped["table"].isin(splits), "row"].tolist()
        assert sorted(found) == lines
        assert facts["rows_read"][name] == len(lines)
    counted = Counter(zip(dropped["table"], dropped["reason"], strict=True))
    assert counted == {(w, r): n for w, rs in facts["dropped"].items() for r, n in rs.items()}
    for where, reasons in facts["dropped_first"].items():
        for reason, first in reasons.items():
            mine = dropped[(dropped["table"] == where) & (dropped["reason"] == reason)]
            assert first == sorted(mine["row"])[:10]
