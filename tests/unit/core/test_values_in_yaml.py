"""Words and numbers that YAML reads as something else, where a study names values of its data."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from core_helpers import study_keys

from weightwise.config import load_study
from weightwise.errors import UserError


@pytest.fixture
def task_of(tmp_path: Path):
    """`task_of("classes: [no, yes]")` -> task SEN of the tiny study, binary and with that line."""

    def load(line: str, *assignments: str):
        keys = study_keys(tmp_path)
        sen = keys["tasks"]["SEN"] | {"kind": "binary"}
        keys["tasks"]["SEN"] = {k: v for k, v in sen.items() if k not in ("classes", "text")}
        text = yaml.safe_dump(keys, sort_keys=False)
        lines = "\n".join(f"    {one}" for one in line.splitlines())
        if "text:" not in line:
            lines += "\n    text: [text]"
        text = text.replace("  SEN:\n", f"  SEN:\n{lines}\n", 1)
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return load_study(path, assignments).tasks["SEN"]

    return load


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("[no, yes]", ("no", "yes")),
        ("[No, Yes]", ("No", "Yes")),
        ("[off, on]", ("off", "on")),
        ("[n, y]", ("n", "y")),
        ("[false, true]", ("false", "true")),
        ("[False, True]", ("false", "true")),
        ("['False', 'True']", ("False", "True")),
        ("[0, 1]", ("0", "1")),
        ("[0.5, 1.0]", ("0.5", "1.0")),
        ("[-1, 1]", ("-1", "1")),
    ],
)
def test_classes_and_label_values(task_of, written, meant):
    assert task_of(f"classes: {written}").class_names == meant
    assert task_of(f"label_values: {written}").label_values == meant
    assert task_of("title: x", f"tasks.SEN.classes={written}").class_names == meant


@pytest.mark.parametrize("written", ["[2020-01-01, x]", "[null, x]", "[~, x]", "[.nan, x]"])
@pytest.mark.parametrize("key", ["classes", "label_values"])
def test_what_no_label_is_compared_with_needs_quotes(task_of, key, written):
    with pytest.raises(UserError, match=rf"tasks\.SEN\.{key}\.0: put it in quotes: YAML reads"):
        task_of(f"{key}: {written}")


def test_keys_that_are_true_or_false_take_yes_and_no(task_of):
    task = task_of("title: No", "tasks.SEN.data.balance=yes")
    assert task.title == "No"
    assert task.data.balance is True
    assert task_of("title: x", "tasks.SEN.data.balance=off").data.balance is False


def test_a_text_column_needs_no_brackets(task_of):
    assert task_of("text: sentence_A").text == ("sentence_A",)
    assert task_of("text: [a, b]").text == ("a", "b")
    with pytest.raises(UserError, match=r"tasks\.SEN\.text"):
        task_of("text: [a, b, c]")


def test_label_values_name_the_classes(tmp_path):
    keys = study_keys(tmp_path)
    sen = {k: v for k, v in keys["tasks"]["SEN"].items() if k != "classes"}
    keys["tasks"]["SEN"] = sen | {"label_values": ["NEUTRAL", "ENTAILMENT", "CONTRADICTION"]}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(keys))
    assert load_study(path).tasks["SEN"].class_names == ("NEUTRAL", "ENTAILMENT", "CONTRADICTION")
    with pytest.raises(UserError, match="`label_values` must differ"):
        load_study(path, ["tasks.SEN.label_values=[a, a]"])
    with pytest.raises(UserError, match="needs `classes`, the class names in order, or"):
        load_study(path, ["tasks.SEN.label_values=null"])


def test_a_task_cannot_take_the_place_of_the_dropped_rows(tmp_path):
    keys = study_keys(tmp_path)
    keys["tasks"]["Dropped"] = keys["tasks"]["SEN"]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(keys))
    with pytest.raises(UserError, match="a task cannot be called 'Dropped'"):
        load_study(path)
