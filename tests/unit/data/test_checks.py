"""Facts about prepared data: distributions, checksums, leakage, warnings, their tables."""

from __future__ import annotations

import hashlib
import io

import pandas as pd
from rich.console import Console

from weightwise.data.checks import content_sha256, leakage
from weightwise.data.prepare import prepare
from weightwise.data.show import render

TSV = {"type": "file", "format": "tsv"}


def frame(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["split", "row", "text_a", "text_b", "label"])


def test_leakage_of_a_constructed_case():
    pairs = frame([
        ("train", 1, "A dog", "a cat", 1.0),
        ("train", 2, "one", "two", 2.0),
        ("train", 3, "A  CAT", "a dog", 3.0),
        ("dev", 1, "a cat", "A dog", 1.0),
        ("dev", 2, "one", "three", 1.0),
        ("dev", 3, "five", "six", 1.0),
        ("test", 7, "three", "one", 1.0),
    ])  # fmt: skip
    single = frame([("train", 5, "SIX", None, 0.0), ("dev", 6, "two", None, 1.0)])
    found = {
        (x["kind"], x["task_a"], x["split_a"], x["task_b"], x["split_b"]): x
        for x in leakage({"P": pairs, "S": single})
    }
    assert len(found) == 2 * (3 + 1 + 1 + 2)

    def of(*key):
        return found[key]["count"], found[key]["examples"]

    assert of("example", "P", "train", "P", "dev") == (1, [[1, 1]])
    assert of("sentence", "P", "train", "P", "dev") == (2, [[1, 1], [2, 2]])
    assert of("example", "P", "train", "P", "test") == (0, [])
    assert of("sentence", "P", "train", "P", "test") == (1, [[2, 7]])
    assert of("example", "P", "dev", "P", "test") == (1, [[2, 7]])
    assert of("sentence", "S", "train", "P", "dev") == (1, [[5, 3]])
    assert of("example", "S", "train", "P", "dev") == (0, [])
    assert of("sentence", "P", "train", "S", "dev") == (1, [[2, 6]])
    assert found["sentence", "P", "train", "P", "dev"]["share_of_b"] == 2 / 3


def test_content_checksum_is_that_of_the_rows():
    one = frame([("train", 1, "ä", None, 1.0), ("test", 2, "b", None, None)])
    # Written out, so that another version of a library cannot change it unnoticed.
    text = '["train",1,"\\u00e4",null,1.0]\n["test",2,"b",null,null]\n'
    assert content_sha256(one) == hashlib.sha256(text.encode()).hexdigest()
    assert content_sha256(one.astype({"text_b": object})) == content_sha256(one)
    assert content_sha256(one.iloc[::-1]) != content_sha256(one)


def test_facts_warnings_and_tables(tmp_path, study, write):
    write("s.tsv", [["s", "y"], ["one [red] word", 0], ["two words", 0], ["three", 1]])
    write("s-dev.tsv", [["s", "y"], ["two  Words", 2], ["x", 0]])
    write("p.tsv", [["a", "b", "y"], ["a b", "c", 0], ["d", "e f g", 5]])
    write("p-dev.tsv", [["a", "b", "y"], ["h", "i", 2], ["j", "k", 2]])
    sen = {
        "kind": "classification", "classes": ["bad", "fair", "[good]"], "text": ["s"],
        "label": "y", "licence": "CC0",
        "data": {"train": TSV | {"path": "s.tsv"}, "dev": TSV | {"path": "s-dev.tsv"}},
    }  # fmt: skip
    sim = {
        "kind": "regression", "range": [0, 5], "text": ["a", "b"], "label": "y",
        "data": {"train": TSV | {"path": "p.tsv"}, "dev": TSV | {"path": "p-dev.tsv"}},
    }  # fmt: skip
    checks = prepare(study({"SEN": sen, "SIM": sim}), tmp_path / "out", tmp_path / "cache")
    train = checks["tasks"]["SEN"]["splits"]["train"]
    assert train["labels"] == {
        "counts": [2, 1, 0],
        "majority_class": "bad",
        "majority_share": 2 / 3,
    }
    assert train["words"]["mean"] == 2
    similarity = checks["tasks"]["SIM"]["splits"]["train"]
    assert similarity["labels"]["edges"] == [0, 1, 2, 3, 4, 5]
    assert similarity["labels"]["counts"] == [1, 0, 0, 0, 1]
    assert similarity["labels"]["mean"] == 2.5
    assert similarity["words"]["mean"] == 3.5
    assert checks["warnings"] == [
        "SEN: class '[good]' has no train row",
        "SEN: class 'fair' has no dev row",
        "SIM: all dev labels are equal (2), so Pearson's r is undefined",
        "SEN: of its dev rows 1 (50.0%) also in train of SEN",
    ]
    assert checks["encoder"]["max_length"] == 128
    assert "data" not in checks["tasks"]["SEN"]["sources"][0]["description"]

    console = Console(width=200, record=True, file=io.StringIO())
    for part in render(checks):
        console.print(part)
    text = console.export_text()
    assert "bad 2, fair 1, [good] 0; majority 66.7%" in text
    assert "mean 2.50" in text
    assert "3 and 2" in text
    assert "Warning: SIM: all dev labels are equal (2)" in text
    assert "apache-2.0" in text
