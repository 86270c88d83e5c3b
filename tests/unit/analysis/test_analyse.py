"""The whole analysis: files, order, bytes."""

import subprocess
import sys

import pandas as pd
import pytest

from weightwise.analysis.run import SCHEMAS, analyse
from weightwise.analysis.scores import read_scores
from weightwise.errors import UserError
from weightwise.published import published_path
from weightwise.tables import read_table


def test_tables_are_written_and_rewritten_to_the_byte(study, tmp_path):
    table = study(splits=("dev", "test"))
    first = analyse(table, tmp_path / "a")
    analyse(table, tmp_path / "b")
    assert set(first) == set(SCHEMAS)
    for name, schema in SCHEMAS.items():
        a, b = (tmp_path / d / f"{name}.parquet" for d in "ab")
        assert a.read_bytes() == b.read_bytes()
        pd.testing.assert_frame_equal(read_table(a, schema), first[name])


def test_the_order_of_the_rows_does_not_matter_beyond_first_names(study, tmp_path):
    table = study()
    mixed = pd.concat([table.iloc[:40], table.iloc[40:].sample(frac=1, random_state=1)])
    first, second = analyse(table, tmp_path), analyse(mixed, tmp_path)
    for name in SCHEMAS:
        pd.testing.assert_frame_equal(first[name], second[name])


def test_tables_read_as_a_study_does(study, tmp_path):
    arms = analyse(study(splits=("test", "dev")), tmp_path)["arms"]
    assert list(arms["split"].unique()) == ["dev", "test"]
    assert list(arms["task"].unique()) == ["SEN", "PAR", "SIM"]
    head = arms.head(13)
    assert list(head["combiner"]) == [
        "baseline",
        "addition",
        *["unitary"] * 9,
        "pcgrad",
        "addition",
    ]
    assert list(head["alpha"][2:11]) == [f"0.{k}" for k in range(1, 10)]


def test_the_published_table_is_analysed_table_by_table(tmp_path):
    found = analyse(read_scores(published_path("pairing_absolute")), tmp_path)
    assert found["arms"].groupby("variant")["family"].max().to_dict() == {
        "appendix_a": 2,
        "appendix_b": 22,
        "leaderboard_test": 0,
    }
    assert found["confusions"].empty


def test_predictions_give_confusions(study, tmp_path):
    cell = {"task": "SEN", "group": "SEN", "combiner": "baseline", "alpha": None}
    more = {"variant": "default", "seed": 1, "run": "abc", "split": "dev", "confidence": 0.5}
    rows = [cell | more | {"row": i, "label": i % 2, "prediction": 0} for i in range(4)]
    found = analyse(study(), tmp_path, pd.DataFrame(rows), {"SEN": ("bad", "good")})
    assert list(found["confusions"]["count"]) == [2, 0, 2, 0]


def test_an_empty_study_gives_empty_tables(tmp_path, study):
    found = analyse(study().iloc[:0], tmp_path)
    assert all(table.empty for table in found.values())


@pytest.mark.parametrize("keys", [{"confidence": 1.0}, {"power": 0}])
def test_levels_outside_zero_and_one_are_refused(study, tmp_path, keys):
    with pytest.raises(UserError, match="outside"):
        analyse(study(), tmp_path, **keys)


def test_the_analysis_imports_no_torch():
    code = "import sys, weightwise.analysis.run, weightwise.analysis.scores\n"
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
