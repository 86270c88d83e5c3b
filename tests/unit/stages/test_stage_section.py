"""What the report and the terminal say of stages."""

from __future__ import annotations

from weightwise.report.stage_section import stage_table
from weightwise.stages.outcome import told

RECORD = {
    "key": "0123456789abcdef",
    "kind": "mlm",
    "head": "fresh",
    "before": {"held_out_loss": 4.0, "held_out_accuracy": 0.1},
    "afterwards": {"held_out_loss": 3.5, "held_out_accuracy": 0.25},
    "similarity": {"SIM": {"mean": {"before": None, "afterwards": 0.5}}},
}
FACTS = {
    "stages": {
        "TEXTS": {"kind": "mlm", "texts": {"train": 1234, "held_out": 5}},
        "PAIRS": {"kind": "simcse", "texts": {"train": 7, "held_out": 2}},
    }
}


def texts(table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_every_measure_is_traced_to_the_stages_key():
    rows = texts(stage_table({"TEXTS": RECORD}, FACTS))
    start = ["TEXTS", "mlm", "1,234 + 5 held out"]
    assert rows == [
        [*start, "held-out loss", "4.0000", "3.5000", RECORD["key"]],
        [*start, "held-out accuracy", "0.1000", "0.2500", RECORD["key"]],
        [*start, "SIM zero-shot r (mean)", "–", "0.5000", RECORD["key"]],
    ]


def test_an_unfinished_stage_is_said_and_a_study_without_stages_has_no_section():
    ((name, kind, _, said, *_),) = texts(stage_table({"PAIRS": None}, FACTS))
    assert (name, kind, said) == ("PAIRS", "simcse", "not finished")
    assert not stage_table({}, {})


def test_a_fresh_head_is_told_of_where_there_is_one():
    own = RECORD | {"head": "the checkpoint's"}
    assert "drawn anew" in stage_table({"TEXTS": RECORD}, FACTS).note
    assert "drawn anew" not in stage_table({"TEXTS": own}, FACTS).note


def test_the_outcome_in_a_line():
    assert told(RECORD) == (
        "held-out loss 4.0000 -> 3.5000; held-out accuracy 0.1000 -> 0.2500; "
        "SIM zero-shot r (mean) undefined -> 0.5000"
    )
