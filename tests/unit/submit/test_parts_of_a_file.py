"""Submissions of a test split that is a part of a file: only its own rows can be missed."""

from __future__ import annotations

import pytest

from weightwise.errors import UserError

SEN = {"SEN/baseline/default/seed-1": {"SEN": 0.5}}
ROWS = [
    *(f"t{i}\tw{i} w20\t{i % 5}\ttrain" for i in range(10)),
    *(f"d{i}\tw{i} w21\t{i % 5}\tdev" for i in range(10)),
    "a7\tw30 w31\t\ttest", "x1\tw1\t2\textra", "b8\tw32\t\ttest", "c9\tw33 w34\t\ttest",
]  # fmt: skip
WHOLE = "id\ttext\tlabel\tsplit\n" + "\n".join(ROWS) + "\n"


def by_column(keys: dict) -> None:
    source = {"type": "file", "path": "SEN-test.tsv", "format": "tsv"}
    keys["tasks"]["SEN"]["data"] = {
        "train": source, "split_by": {"column": "split", "test": "test"}, "test_labelled": False,
    }  # fmt: skip


def by_filters(keys: dict) -> None:
    keys["tasks"]["SEN"]["data"] = {"test_labelled": False} | {
        split: {
            "type": "file", "path": "SEN-test.tsv", "format": "tsv",
            "where": [{"column": "split", "values": split}],
        }
        for split in ("train", "dev", "test")
    }  # fmt: skip


@pytest.mark.parametrize("way", [by_column, by_filters])
def test_rows_of_other_splits_are_not_missed(make, way):
    made = make(way, {"SEN": WHOLE})
    made.finish(SEN)
    folder, _ = made.submit(tasks=["SEN"])
    assert (folder / "SEN.tsv").read_text() == "id\tprediction\na7\t3\nb8\t0\nc9\t4\n"


@pytest.mark.parametrize("way", [by_column, by_filters])
def test_rows_of_the_split_that_were_left_out_are_missed(make, way):
    def change(keys: dict) -> None:
        way(keys)
        data = keys["tasks"]["SEN"]["data"]
        data["where"] = [{"column": "id", "values": "b8", "exclude": True}]

    made = make(change, {"SEN": WHOLE})
    made.predictions["SEN"] = [3, 4]
    made.finish(SEN)
    said = r"line 24: rows left out of test of task 'SEN': 1 \(1 by `where`\)"
    with pytest.raises(UserError, match=rf"SEN-test.tsv, {said}"):
        made.submit(tasks=["SEN"])
    folder, _ = made.submit(tasks=["SEN"], allow_missing=True)
    assert (folder / "SEN.tsv").read_text() == "id\tprediction\na7\t3\nc9\t4\n"
