"""What the forms write, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from weightwise.config import TaskConfig
from weightwise.errors import UserError
from weightwise.submit.forms import class_texts, file_names, prediction_texts, render, row_ids

FILE = {"type": "file", "path": "x"}
FIVE = ["awful", "bad", "so-so", "good", "great"]


def task(kind: str, texts: int = 1, **keys) -> TaskConfig:
    ways = {"kind": kind, "text": ["one", "two"][:texts], "label": "y"}
    return TaskConfig.model_validate(ways | {"data": {"train": FILE, "dev": FILE}} | keys)


SEN, PAR = task("classification", classes=FIVE), task("binary", 2)
SIM = task("regression", 2, range=[0, 5])


@pytest.mark.parametrize(
    ("one", "form", "names", "written"),
    [
        (SEN, "plain", False, ("0", "1", "2", "3", "4")),
        (SEN, "plain", True, tuple(FIVE)),
        (SEN, "cs224n", False, ("0", "1", "2", "3", "4")),
        (PAR, "glue", False, ("0", "1")),
        (PAR, "glue", True, ("no", "yes")),
        (PAR, "cs224n", False, ("0.0", "1.0")),
        (SIM, "plain", False, None),
        (SIM, "glue", True, None),
        (task("binary", 2, label_values=["not_entailment", "entailment"]), "glue", False,
         ("not_entailment", "entailment")),
        (task("binary", 2, label_values=["n", "e"]), "glue", True, ("no", "yes")),
        (task("binary", 2, label_values=["n", "e"]), "cs224n", False, ("0.0", "1.0")),
        (task("classification", classes=FIVE, cut_points=[1, 2, 3, 4]), "plain", False,
         tuple(FIVE)),
        (task("binary", 2, bands=[[0, 2], [4, 5]]), "plain", False, ("no", "yes")),
    ],
)  # fmt: skip
def test_classes_in_the_sources_own_terms(one, form, names, written):
    assert class_texts("T", one, form, names) == written


def test_the_course_takes_no_names():
    with pytest.raises(UserError, match="--class-names: form cs224n takes class numbers"):
        class_texts("SEN", SEN, "cs224n", True)


@pytest.mark.parametrize("bad", ["a\tb", "a\nb", "a\x85b", "a\u2028b", '"a'])
def test_labels_that_would_break_the_file(bad):
    with pytest.raises(UserError, match=r"task 'T', `label_values`: the label .* break the file"):
        class_texts("T", task("binary", label_values=[bad, "b"]), "plain")
    named = task("binary", classes=[bad, "b"])
    assert class_texts("T", named, "plain") == ("0", "1")
    with pytest.raises(UserError, match="task 'T', `classes`: the label"):
        class_texts("T", named, "plain", True)


def test_real_values_have_six_decimals_and_no_exponent():
    values = [3.0, 0.1, 1e-7, -1e-7, -0.0, -1.5, 2.0000005, 1e21, np.float32(0.1), 123456.789]
    assert prediction_texts("SIM", values, None) == [
        "3.000000",
        "0.100000",
        "0.000000",
        "0.000000",
        "0.000000",
        "-1.500000",
        f"{2.0000005:.6f}",
        "1000000000000000000000.000000",
        "0.100000",
        "123456.789000",
    ]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite(bad):
    with pytest.raises(UserError, match="task 'SIM': a prediction is not finite"):
        prediction_texts("SIM", [1.0, bad], None)


def test_classes_are_looked_up():
    assert prediction_texts("PAR", np.array([1.0, 0.0]), ("no", "yes")) == ["yes", "no"]


def test_the_bytes_of_every_form():
    ids, said = ["a7", "b8"], ["3", "0"]
    assert render("plain", "SEN", SEN, ids, said) == "id\tprediction\na7\t3\nb8\t0\n"
    assert render("glue", "SEN", SEN, ["0", "1"], said) == "index\tprediction\n0\t3\n1\t0\n"
    # As the course's own programme: f"id \t Predicted_Sentiment \n", then f"{p} , {s} \n".
    assert (
        render("cs224n", "SEN", SEN, ids, said) == "id \t Predicted_Sentiment \na7 , 3 \nb8 , 0 \n"
    )
    assert (
        render("cs224n", "PAR", PAR, ids, ["1.0", "0.0"])
        == "id \t Predicted_Is_Paraphrase \na7 , 1.0 \nb8 , 0.0 \n"
    )
    assert (
        render("cs224n", "SIM", SIM, ids, ["2.500000", "0.000000"])
        == "id \t Predicted_Similiary \na7 , 2.500000 \nb8 , 0.000000 \n"
    )


def test_a_comma_in_an_id_separates_only_in_the_courses_form():
    assert "a,7\t3\n" in render("plain", "SEN", SEN, ["a,7"], ["3"])
    with pytest.raises(UserError, match="the id 'a,7' holds a comma"):
        render("cs224n", "SEN", SEN, ["a,7"], ["3"])


def test_rows_without_ids():
    rows, positions = np.array([2, 5]), np.array([0, 3])
    assert row_ids("plain", rows, positions) == ["2", "5"]
    assert row_ids("glue", rows, positions) == ["0", "3"]


def test_file_names():
    tasks = {"SIM": SIM, "PAR": PAR, "SEN": SEN}
    assert file_names("plain", "test", tasks) == {n: f"{n}.tsv" for n in tasks}
    assert file_names("glue", "dev", tasks) == {n: f"{n}.tsv" for n in tasks}
    assert file_names("cs224n", "test", tasks) == {
        "SIM": "sts-test-output.csv",
        "PAR": "para-test-output.csv",
        "SEN": "sst-test-output.csv",
    }
    assert file_names("cs224n", "dev", {"PAR": PAR}) == {"PAR": "para-dev-output.csv"}


@pytest.mark.parametrize(
    "other",
    [
        task("classification", classes=FIVE[:3]),
        task("classification", 2, classes=FIVE),
        task("binary", 1),
        task("regression", 1, range=[0, 1]),
    ],
)
def test_a_task_that_the_course_has_no_file_for(other):
    with pytest.raises(UserError, match="task 'T': form cs224n has no file for it"):
        file_names("cs224n", "test", {"SEN": SEN, "T": other})


def test_two_tasks_of_one_file():
    tasks = {"PAR": PAR, "SEN": SEN, "QQP": PAR}
    with pytest.raises(UserError, match=r"'PAR' and 'QQP': both .*\(para-test-output.csv\)"):
        file_names("cs224n", "test", tasks)
