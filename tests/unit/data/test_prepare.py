"""Sources to prepared rows: what is refused, what is dropped and counted, what is random."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from weightwise.config.rows import SplitRule
from weightwise.data.prepare import prepare
from weightwise.data.splits import balance, divide, draw
from weightwise.errors import UserError
from weightwise.tables import Examples, read_table

TSV = {"type": "file", "format": "tsv"}


def single(data: dict | None = None, **keys) -> dict:
    config = {"train": TSV | {"path": "train.tsv"}, "dev": TSV | {"path": "dev.tsv"}}
    return {
        "kind": "binary", "text": ["s"], "label": "y", "data": config | (data or {}),
    } | keys  # fmt: skip


def pair(train: str, dev: str, **data) -> dict:
    config = {"train": TSV | {"path": train}, "dev": TSV | {"path": dev}}
    return {
        "kind": "regression", "range": [0, 5], "text": ["a", "b"], "label": "y",
        "data": config | data,
    }  # fmt: skip


def rows(n: int, start: int = 0) -> list[list]:
    return [["s", "y"], *([f"text {i}", i % 2] for i in range(start, start + n))]


@pytest.fixture
def run(tmp_path, study):
    def act(tasks: dict, **keys):
        out = tmp_path / "out"
        lines: list[str] = []
        checks = prepare(study(tasks, **keys), out, tmp_path / "cache", lines.append)
        assert lines
        assert json.loads((out / "checks.json").read_text("utf-8")) == checks
        return checks, {name: read_table(out / f"{name}.parquet", Examples) for name in tasks}

    return act


def test_plain_task(run, write, tmp_path):
    write("train.tsv", rows(4))
    write("dev.tsv", rows(2, 10))
    checks, tables = run({"T": single()})
    table = tables["T"]
    assert table["split"].tolist() == ["train"] * 4 + ["dev"] * 2
    assert table["row"].tolist() == [2, 3, 4, 5, 2, 3]
    assert table["text_b"].isna().all()
    assert table["label"].tolist() == [0, 1, 0, 1, 0, 1]
    assert (tmp_path / "out" / "encoder" / "model.safetensors").exists()
    assert checks["warnings"] == []


@pytest.mark.parametrize(
    ("lines", "data", "message"),
    [
        ([["s", "z"], ["x", 1]], {}, r"train.tsv: has no column 'y'"),
        ([["ss", "y"], ["x", 1]], {}, r"no column 's'; "),
        ([["s", "y"], ["x", 2]], {}, r"train.tsv, line 2, column 'y': label '2'"),
        ([["s", "y"], ["x", 1], ["  ", 0]], {}, r"line 3, column 's': 1 rows have an empty text"),
        ([["s", "y"], ["x", 1], ["z", ""]], {}, r"line 3, column 'y': 1 rows have no label"),
        ([["s", "y"], ["x", 1], ["z"]], {}, r"line 3: has 1 fields where 2"),
        ([["s", "y"], ["x\0", 1]], {}, r"line 2, column 's': holds a NUL"),
        (rows(3), {"known_rows": {"train": 4}}, r"has 3 rows where `known_rows.train`.*says 4"),
        (rows(3), {"where": [{"column": "yy", "minimum": 0}]}, "no column 'yy'; did you|known"),
        (rows(3), {"where": [{"column": "s", "minimum": 0}]}, "'text 0' is not a number"),
        (rows(3), {"where": [{"column": "y", "values": ["7"]}]}, "no row is left for train"),
        ([["s", "y"]], {}, "no row is left for train"),
    ],
)
def test_refusals_leave_nothing_behind(run, write, tmp_path, lines, data, message):
    write("train.tsv", lines)
    write("dev.tsv", rows(2, 10))
    with pytest.raises(UserError, match=message):
        run({"T": single(data)})
    assert not (tmp_path / "out" / "checks.json").exists()


def test_numbers_are_no_texts(run, write, tmp_path):
    (tmp_path / "data" / "x.jsonl").write_text('{"s": 3, "y": 1}\n')
    write("dev.tsv", rows(2, 10))
    source = {"type": "file", "format": "jsonl", "path": "x.jsonl"}
    with pytest.raises(UserError, match="3 is not text"):
        run({"T": single({"train": source})})
    (tmp_path / "data" / "x.jsonl").write_text('{"s": "\\ud800", "y": 1}\n')
    with pytest.raises(UserError, match="surrogate"):
        run({"T": single({"train": source})})


def test_dropped_rows_are_counted_by_reason(run, write):
    write("train.tsv", [["s", "y", "g"], ["a", 1, "x"], ["", 1, "x"], ["b", "", "x"],
                        ["c", 0, "z"], ["d", 3, "x"], ["e\x12f", 5, "x"]])  # fmt: skip
    write("dev.tsv", [["s", "y", "g"], ["q", 0, "x"], ["r", 5, "x"]])
    checks, tables = run({
        "T": single(
            {
                "missing_label": "drop", "empty_text": "drop",
                "where": [{"column": "g", "values": ["z"], "exclude": True}],
            },
            bands=[[0, 2], [4, 5]],
        )
    })  # fmt: skip
    facts = checks["tasks"]["T"]
    assert facts["dropped"]["train"] == {
        "by `where`": 1, "no label": 1, "outside all bands": 1, "empty text": 1,
    }  # fmt: skip
    assert facts["rows_read"] == {"train": 6, "dev": 2}
    assert tables["T"]["text_a"].tolist() == ["a", "e f", "q", "r"]
    assert facts["control_characters"] == 1


def test_filters_compare_numbers_and_text(run, write):
    write("train.tsv", [["s", "y", "n"], ["a", 1, "1"], ["b", 0, "2.5"], ["c", 1, ""], ["d", 0, 3]])
    write("dev.tsv", [["s", "y", "n"], ["q", 0, "2"]])
    _, tables = run({"T": single({"where": [{"column": "n", "minimum": 2, "maximum": 3}]})})
    assert tables["T"]["text_a"].tolist() == ["b", "d", "q"]


def test_unlabelled_test(run, write):
    write("train.tsv", rows(4))
    write("dev.tsv", rows(2, 10))
    write("test.tsv", [["s"], ["new"]])
    checks, tables = run(
        {"T": single({"test": TSV | {"path": "test.tsv"}, "test_labelled": False})}
    )
    assert tables["T"]["label"].isna().tolist() == [False] * 6 + [True]
    assert checks["tasks"]["T"]["splits"]["test"]["labels"] is None


def test_division_is_seeded_stratified_and_disjoint(run, write):
    write("train.tsv", rows(100))
    data = {"dev": None, "split": {"dev": 0.2, "test": 0.1, "seed": 3}}
    _, first = run({"T": single(data)})
    _, again = run({"T": single(data)})
    assert first["T"].equals(again["T"])
    counts = Counter(zip(first["T"]["split"], first["T"]["label"], strict=True))
    assert counts == {("train", 0): 35, ("train", 1): 35, ("dev", 0): 10, ("dev", 1): 10,
                      ("test", 0): 5, ("test", 1): 5}  # fmt: skip
    assert sorted(first["T"]["row"]) == list(range(2, 102))
    for _, part in first["T"].groupby("split"):
        assert part["row"].is_monotonic_increasing
    data["split"]["seed"] = 4
    _, other = run({"T": single(data)})
    assert not first["T"].equals(other["T"])
    _, mixed = run({"T": single(data)}, study_seed=9)
    assert not mixed["T"].equals(other["T"])


def test_division_of_too_little():
    rule = SplitRule(dev=0.2)
    with pytest.raises(UserError, match="2 rows are too few"):
        divide(np.zeros(2), rule, "T", True, 0)
    with pytest.raises(UserError, match="stratify: false"):
        divide(np.array([0.0] * 9 + [1.0]), rule, "T", True, 0)
    assert len(divide(np.arange(10.0), rule, "T", False, 0)["dev"]) == 2


def test_limit_draws_from_the_whole_file(run, write):
    ordered = [["s", "y"], *([f"t {i}", int(i >= 500)] for i in range(1000))]
    write("train.tsv", ordered)
    write("dev.tsv", ordered)
    limit = {"train": 200, "dev": 100}
    checks, tables = run({"T": single({"limit": limit})})
    for split, count in limit.items():
        part = tables["T"][tables["T"]["split"] == split]
        assert len(part) == count
        assert part["row"].is_monotonic_increasing
        assert 0.35 < part["label"].mean() < 0.65  # the first rows are all of one class
        dropped = checks["tasks"]["T"]["dropped"][split]
        assert dropped == {f"beyond `limit` of {split}": 1000 - count}
    assert draw(5, 9, 0, "p", 0).tolist() == [0, 1, 2, 3, 4]


def lopsided(n: int, share: int = 5, start: int = 0) -> list[list]:
    """One row in `share` is of class 1; they all stand first."""
    ones = n // share
    return [["s", "y"], *([f"text {start + i}", int(i < ones)] for i in range(n))]


def test_limit_of_more_rows_than_there_are_takes_all_and_says_so(run, write):
    write("train.tsv", rows(30))
    write("dev.tsv", rows(10, 50))
    checks, tables = run({"T": single({"limit": {"train": 9000, "dev": 10}})})
    assert len(tables["T"]) == 40
    assert checks["warnings"] == [
        "T: `limit` asks for 9,000 train rows and there are 30; all are used"
    ]
    assert checks["tasks"]["T"]["dropped"] == {"train": {}, "dev": {}}


def test_balance_takes_as_many_of_every_class_as_the_rarest_has(run, write):
    write("train.tsv", lopsided(100))
    write("dev.tsv", lopsided(50, start=200))
    checks, tables = run({"T": single({"balance": True})})
    train = tables["T"][tables["T"]["split"] == "train"]
    assert Counter(train["label"]) == {0: 20, 1: 20}
    assert train["row"].is_monotonic_increasing
    assert set(train[train["label"] == 1]["row"]) == set(range(2, 22))  # all of the rarest
    zeros = train[train["label"] == 0]["row"].to_numpy()
    assert zeros.max() - zeros.min() > 50  # drawn from the whole file
    dev = tables["T"][tables["T"]["split"] == "dev"]
    assert Counter(dev["label"]) == {0: 40, 1: 10}  # dev keeps its classes
    assert checks["tasks"]["T"]["dropped"] == {
        "train": {"more than the rarest class has (`balance`)": 60}, "dev": {},
    }  # fmt: skip
    assert checks["tasks"]["T"]["splits"]["train"]["labels"]["counts"] == [20, 20]


def train_rows(tables) -> list[int]:
    return tables["T"][tables["T"]["split"] == "train"]["row"].tolist()


def test_balance_is_seeded(run, write):
    write("train.tsv", lopsided(200))
    write("dev.tsv", rows(4, 300))
    data = {"balance": True}
    _, first = run({"T": single(data)})
    _, again = run({"T": single(data)})
    assert train_rows(first) == train_rows(again)
    _, other = run({"T": single(data | {"limit": {"seed": 1}})})
    _, mixed = run({"T": single(data)}, study_seed=1)
    draws = {tuple(train_rows(t)) for t in (first, other, mixed)}
    assert len(draws) == 3


@pytest.mark.parametrize("limit", [1, 20, 21, 39])
@pytest.mark.parametrize("seed", range(4))
def test_limit_keeps_the_balance(run, write, limit, seed):
    write("train.tsv", lopsided(100))
    write("dev.tsv", rows(4, 300))
    data = {"balance": True, "limit": {"train": limit, "seed": seed}}
    checks, tables = run({"T": single(data)})
    train = tables["T"][tables["T"]["split"] == "train"]
    counts = Counter(train["label"])
    assert len(train) == limit
    assert abs(counts[0] - counts[1]) <= 1
    assert train["row"].is_monotonic_increasing
    assert checks["tasks"]["T"]["dropped"]["train"] == {
        "more than the rarest class has (`balance`)": 60, "beyond `limit` of train": 40 - limit,
    }  # fmt: skip


def test_the_row_more_goes_to_a_drawn_class():
    labels = np.repeat([0.0, 1.0, 2.0], 5)
    shares = [
        tuple(np.bincount(labels[draw(15, 4, seed, "p", 0, labels)].astype(int)))
        for seed in range(60)
    ]
    assert set(shares) == {(2, 1, 1), (1, 2, 1), (1, 1, 2)}


def test_balance_and_limit_come_after_labels_disjointness_and_division(run, write):
    """Rows that leave for another reason are not drawn, and only train is balanced."""
    header = ["s", "y"]
    used = [[f"used {i}", 1] for i in range(10)]
    mixed = [[f"text {i}", int(i % 4 == 0)] for i in range(80)]
    write("train.tsv", [header, *used, ["no label", ""], *mixed])
    write("other.tsv", [header, *used])
    write("other-dev.tsv", rows(2, 500))
    tasks = {
        "O": single({"train": TSV | {"path": "other.tsv"}, "dev": TSV | {"path": "other-dev.tsv"}}),
        "T": single({
            "dev": None, "split": {"dev": 0.2}, "missing_label": "drop", "disjoint_from": ["O"],
            "balance": True, "limit": {"train": 30, "dev": 15},
        }),
    }  # fmt: skip
    checks, tables = run(tasks)
    assert checks["tasks"]["T"]["dropped"]["train"] == {
        "no label": 1,
        "used by O": 10,
        "more than the rarest class has (`balance`)": 32,  # of 64: 48 and 16
        "beyond `limit` of train": 2,
        "beyond `limit` of dev": 1,
    }
    train = tables["T"][tables["T"]["split"] == "train"]
    assert Counter(train["label"]) == {0: 15, 1: 15}


def test_balance_without_a_row_of_a_class(run, write):
    write("train.tsv", [["s", "y"], ["a", 0], ["b", 0]])
    write("dev.tsv", rows(2, 10))
    with pytest.raises(UserError, match=r"task 'T': `balance` .* class 'yes' has none; leave"):
        run({"T": single({"balance": True})})
    with pytest.raises(UserError, match="class 'c' has none"):
        balance(np.array([0.0, 1.0]), ("a", "b", "c"), "T", 0, 0)


def test_balance_of_a_regression_task_is_refused(study):
    with pytest.raises(ValueError, match=r"`data.balance` needs classes"):
        study({"P": pair("a.tsv", "b.tsv", balance=True)})


def test_disjoint_from_compares_unordered_pairs(run, write):
    header = ["a", "b", "y"]
    write("one.tsv", [header, ["A man  runs", "two dogs", 1], ["x", "y", 2]])
    write("one-dev.tsv", [header, ["p", "q", 3], ["r", "s", 1]])
    write("two.tsv", [header, ["Two dogs", "a man runs", 4], ["x", "z", 2], ["q", "P", 0]])
    write("two-dev.tsv", [header, ["u", "v", 3], ["w", "v", 1]])
    # The dependent task stands first in the study and comes out first.
    checks, tables = run({
        "TWO": pair("two.tsv", "two-dev.tsv", disjoint_from=["ONE"]),
        "ONE": pair("one.tsv", "one-dev.tsv"),
    })  # fmt: skip
    assert list(checks["tasks"]) == ["TWO", "ONE"]
    two = tables["TWO"]
    assert two[two["split"] == "train"]["text_a"].tolist() == ["x"]
    assert checks["tasks"]["TWO"]["dropped"]["train"] == {"used by ONE": 2}
    assert len(tables["ONE"]) == 4


def test_disjoint_from_a_task_of_single_texts(run, write):
    write("train.tsv", rows(4))
    write("dev.tsv", rows(2, 10))
    write("p.tsv", [["a", "b", "y"], ["TEXT 1", "n", 1], ["m", "text 11", 2], ["o", "p", 3]])
    write("p-dev.tsv", [["a", "b", "y"], ["g", "h", 1], ["g", "i", 2]])
    _, tables = run({"S": single(), "P": pair("p.tsv", "p-dev.tsv", disjoint_from=["S"])})
    assert tables["P"]["text_a"].tolist() == ["o", "g", "g"]


def test_disjoint_from_in_a_circle(run, write):
    tasks = {n: pair("a.tsv", "b.tsv", disjoint_from=[m]) for n, m in ("AB", "BC", "CA")}
    with pytest.raises(UserError, match="A -> B -> C -> A"):
        run(tasks)


def test_one_table_serves_several_tasks(run, write, tmp_path):
    write("x.tsv", [["a", "b", "y"], *([f"t{i}", f"u{i}", i % 6] for i in range(30))])
    base = pair("x.tsv", "x.tsv")
    checks, _ = run({"P": base, "Q": base})
    assert [s["splits"] for s in checks["tasks"]["P"]["sources"]] == [["train", "dev"]]


def test_same_study_same_bytes(run, write, tmp_path):
    write("train.tsv", rows(50))
    tasks = {"T": single({"dev": None, "split": {"dev": 0.2}})}
    run(tasks)
    names = ("T.parquet", "checks.json")
    first = [(tmp_path / "out" / n).read_bytes() for n in names]
    run(tasks)
    assert first == [(tmp_path / "out" / n).read_bytes() for n in names]
