"""Reading tidy tables of scores: what is accepted, what is refused and in which words."""

import contextlib
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightwise.analysis.scores import _weight, read_scores
from weightwise.errors import UserError
from weightwise.published import published_path

HEADER = "task,metric,group,combiner,alpha,score"
BASE = "SEN,accuracy,SEN,baseline,,0.5"


def write(tmp_path, *lines, header=HEADER, name="scores.csv"):
    path = tmp_path / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def refused(tmp_path, *lines, header=HEADER, name="scores.csv"):
    with pytest.raises(UserError) as error:
        read_scores(write(tmp_path, *lines, header=header, name=name))
    return str(error.value)


def test_published_pairing_table_is_read_with_its_tables_as_variants():
    frame = read_scores(published_path("pairing_absolute"))
    assert len(frame) == 81
    assert list(frame["variant"].unique()) == ["appendix_b", "appendix_a", "leaderboard_test"]
    assert set(frame["seed"]) == {0}
    assert set(frame["split"]) == {"dev"}


def test_defaults_and_optional_columns(tmp_path):
    path = write(
        tmp_path,
        "SEN,accuracy,SEN,baseline,,0.5,3,test,,abc,2",
        "SEN,accuracy,SEN+PAR,unitary,0.40,,3.0,,lr=1,,",
        header=HEADER + ",seed,split,variant,run,epoch",
    )
    frame = read_scores(path)
    assert list(frame["seed"]) == [3, 3]
    assert list(frame["split"]) == ["test", "dev"]
    assert list(frame["variant"]) == ["default", "lr=1"]
    assert frame["alpha"][1] == "0.4"
    assert pd.isna(frame["alpha"][0])
    assert frame["run"][0] == "abc"
    assert frame["epoch"][0] == 2
    assert pd.isna(frame["score"][1])


def test_tsv_parquet_and_byte_order_mark_give_the_same_table(tmp_path):
    lines = [BASE, "SEN,accuracy,SEN+PAR,unitary,0.4,0.52"]
    expected = read_scores(write(tmp_path, *lines))
    tabs = [line.replace(",", "\t") for line in lines]
    tsv = write(tmp_path, *tabs, header=HEADER.replace(",", "\t"), name="s.tsv")
    marked = write(tmp_path, *lines, header="\ufeff" + HEADER, name="marked.csv")
    parquet = tmp_path / "s.parquet"
    expected.to_parquet(parquet)
    for path in (tsv, marked, parquet):
        pd.testing.assert_frame_equal(read_scores(path), expected)


def test_parquet_floats_of_alpha_are_exact_decimals_or_refused(tmp_path):
    frame = pd.DataFrame(
        {
            "task": ["SEN", "SEN"],
            "metric": "accuracy",
            "group": ["SEN", "SEN+PAR"],
            "combiner": ["baseline", "unitary"],
            "alpha": [None, 0.4],
            "score": [0.5, 0.6],
        }
    )
    frame.to_parquet(tmp_path / "good.parquet")
    assert read_scores(tmp_path / "good.parquet")["alpha"][1] == "0.4"
    frame["alpha"] = [None, 0.1 + 0.2]
    frame.to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(UserError, match=r"row 2: alpha 0\.30000000000000004.*such as 0\.3"):
        read_scores(tmp_path / "bad.parquet")


def test_a_table_named_na_and_hostile_text_stay_text(tmp_path):
    hostile = "<script>alert(1)</script>"
    path = write(tmp_path, "NA,accuracy,NA,baseline,,0.5,=cmd()", header=HEADER + ",variant")
    assert read_scores(path)["task"][0] == "NA"
    assert read_scores(path)["variant"][0] == "=cmd()"
    path = write(tmp_path, f"{hostile},accuracy,{hostile},baseline,,0.5")
    assert read_scores(path)["task"][0] == hostile


def test_groupings_of_the_same_tasks_are_one_whatever_their_order_and_spaces(tmp_path):
    """A pair's alpha is the task's own weight in either order; all weights follow the order."""
    lines = [
        "A,accuracy,A+B,unitary,0.2,0.5",
        "B,accuracy,B+A,unitary,0.8,0.6",
        "A,accuracy, B +  A,unitary,0.7,0.5",
        'A,accuracy,C+A+B,unitary,"0.5,0.3,0.2",0.5',
        'B,accuracy,A + B + C,unitary,"0.3,0.2,0.5",0.5',
    ]
    frame = read_scores(write(tmp_path, *lines))
    assert list(frame["group"]) == ["A+B"] * 3 + ["C+A+B"] * 2
    assert list(frame["alpha"]) == ["0.2", "0.8", "0.7", "0.5,0.3,0.2", "0.5,0.3,0.2"]
    again = "A,accuracy,B+A,unitary,0.2,0.5"
    assert "line 2 and line 3 are the same cell" in refused(tmp_path, lines[0], again)


def test_the_arm_behind_an_alias_is_turned_with_its_grouping(tmp_path):
    """The label of a pair's arm has the first task's weight: B+A's 0.2 is A+B's 0.8."""
    header = HEADER + ",alias_of"
    lines = [
        "A,accuracy,A+B,unitary,0.8,0.5,",
        "A,accuracy,B+A,other,,0.5,unitary-0.2",
        "B,accuracy,B+A,cagrad(c=0.5),,0.5,cagrad-c=0.5",
    ]
    frame = read_scores(write(tmp_path, *lines, header=header))
    assert list(frame["alias_of"][1:]) == ["unitary-0.8", "cagrad-c=0.5"]
    wrong = lines[1].replace("0.5,unitary", "0.4,unitary")
    assert "their scores differ" in refused(tmp_path, lines[0], wrong, header=header)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A,accuracy,A+,addition,,0.5", "has a + with no task beside it"),
        ("A+B,accuracy,A+B,baseline,,0.5", "'A+B' has a +, which joins the tasks"),
        ("A\x00,accuracy,A\x00,baseline,,0.5", "task 'A\\x00' holds U+0000"),
        ("A\x1b[31m,accuracy,A\x1b[31m,baseline,,0.5", "holds U+001B"),
        ('"A\nB",accuracy,A,baseline,,0.5', "holds U+000A"),
        (f"{'x' * 201},accuracy,A,baseline,,0.5", "task has 201 characters, and at most"),
        (f"A,accuracy,A,baseline,,{'9' * 400}", "outside [0, 1] of accuracy"),
        ("A,accuracy,A+B,unitary,0.2,nano", "score 'nano' is not a number"),
    ],
)
def test_hostile_names_and_numbers(tmp_path, line, expected):
    assert expected in refused(tmp_path, line)


def test_two_epochs_of_one_cell_say_which_row_to_keep(tmp_path):
    lines = [f"{BASE},{epoch}" for epoch in (1, 2)]
    said = refused(tmp_path, *lines, header=HEADER + ",epoch")
    assert "the same cell, of different epochs (1 and 2): keep the chosen epoch's row alone" in said


def test_missing_columns_are_named_at_once_with_those_there_may_be(tmp_path):
    said = refused(tmp_path, "A,0.5", header="Task,scores")
    assert "columns 'task', 'metric', 'group', 'combiner', 'alpha', 'score' are missing" in said
    assert "'Task' may be 'task'" in said
    assert "'scores' may be 'score'" in said
    assert "has the columns task, metric, group, combiner, alpha, score, and may have seed" in said
    semicolons = HEADER.replace(",", ";")
    assert "its cells are divided by ';'" in refused(tmp_path, BASE, header=semicolons)


def test_parquet_that_hides_a_long_text_or_lists_is_refused(tmp_path):
    row = {"task": "A", "metric": "accuracy", "group": "A", "combiner": "baseline"}
    row |= {"alpha": None, "score": 0.5}
    pd.DataFrame([row | {"task": "x" * 20_000}] * 3).to_parquet(tmp_path / "long.parquet")
    with pytest.raises(UserError, match="column 'task' holds a text of 20,000 bytes"):
        read_scores(tmp_path / "long.parquet")
    pd.DataFrame([row | {"score": [0.5]}]).to_parquet(tmp_path / "list.parquet")
    with pytest.raises(UserError, match="one plain value a cell"):
        read_scores(tmp_path / "list.parquet")


def test_many_variants_are_told_and_too_many_refused(tmp_path):
    header = HEADER + ",variant"

    def lines(count):
        return [f"{BASE},v{number}" for number in range(count)]

    with pytest.warns(UserWarning, match="20 variants: the analysis takes about"):
        read_scores(write(tmp_path, *lines(20), header=header))
    assert "1,001 variants, and at most 1,000" in refused(tmp_path, *lines(1001), header=header)


def test_unknown_columns_are_ignored_with_a_warning(tmp_path):
    path = write(tmp_path, BASE + ",x", header=HEADER + ",colour")
    with pytest.warns(UserWarning, match="ignored columns: 'colour'"):
        frame = read_scores(path)
    assert "colour" not in frame.columns


def test_missing_file_and_unknown_kind(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.csv: no such file"):
        read_scores(tmp_path / "nowhere.csv")
    assert "read from .csv, .tsv or .parquet" in refused(tmp_path, BASE, name="scores.xlsx")


def test_files_that_are_not_tables(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "a.parquet").write_bytes(b"not parquet")
    (tmp_path / "empty.csv").write_bytes(b"")
    for name in ("a.csv", "a.parquet"):
        with pytest.raises(UserError, match="cannot be read"):
            read_scores(tmp_path / name)
    with pytest.raises(UserError, match=r"columns 'task', 'metric', .* are missing"):
        read_scores(tmp_path / "empty.csv")
    assert "holds no rows" in refused(tmp_path)


def test_missing_column_names_the_nearest(tmp_path):
    message = refused(tmp_path, BASE, header=HEADER.replace("score", "scores"))
    assert "column 'score' is missing; 'scores' may be 'score'; a table of scores has" in message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("SEN,accuracy,SEN,baseline,,high", "line 3: score 'high' is not a number"),
        ("SEN,accuracy,SEN,baseline,,51.9", "fractions: 0.519, not 51.9"),
        ("SEN,accuracy,SEN,baseline,,-0.1", "outside [0, 1] of accuracy"),
        ("SEN,accuracy,SEN,baseline,,inf", "is not a number"),
        ("SEN,accuracy,SEN,baseline,,0_5", "is not a number"),
        ("SEN,f1,SEN,baseline,,0.5", "metric 'f1' is unknown"),
        ("SEN,spearman,SEN,baseline,,0.5", "'spearman' is unknown; known: accuracy, pearson"),
        ("SEN,Accuracy,SEN,baseline,,0.5", "'Accuracy' is unknown; write 'accuracy'"),
        ("SEN,accuracy,SEN+PAR,baseline,,0.5", "is the task alone"),
        ("SEN,accuracy,SEN,baseline,0.4,0.5", "a baseline has no alpha"),
        ("PAR,accuracy,SEN+SIM,addition,,0.5", "group 'SEN+SIM' does not hold the task 'PAR'"),
        ("SEN,accuracy,SEN+SEN,addition,,0.5", "names a task twice"),
        ("SEN,accuracy,SEN+PAR,unitary,,0.5", "'unitary' needs an alpha"),
        ("SEN,accuracy,SEN+PAR,unitary,1.1,0.5", "outside [0, 1]"),
        ("SEN,accuracy,SEN+PAR,unitary,half,0.5", "alpha 'half' is not a number"),
        ('SEN,accuracy,SEN+PAR,unitary,"0.4,0.6",0.5', "does not fit the group"),
        ('SEN,accuracy,SEN+PAR+SIM,unitary,"0.4,0.4,0.4",0.5', "do not add up to 1"),
        ("SEN,,SEN,baseline,,0.5", "metric ''"),
        (",accuracy,SEN,baseline,,0.5", "task is empty"),
        ("SEN,accuracy,SEN,baseline,0.5", "line 3: 5 cells under 6 column names"),
        (BASE, "line 2 and line 3 are the same cell"),
        ("SEN,pearson,SEN+PAR,addition,,0.5", "measures 'SEN' by accuracy, line 3 by pearson"),
    ],
)
def test_bad_rows_are_refused_in_words(tmp_path, line, expected):
    assert expected in refused(tmp_path, BASE, line)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("seed", "1.5", "seed '1.5' is not a whole number"),
        ("seed", "9223372036854775808", "seed 9223372036854775808 is outside"),
        ("split", "train", "split 'train' is unknown"),
        ("epoch", "0", "epoch 0 is below 1"),
    ],
)
def test_bad_optional_cells(tmp_path, column, value, expected):
    assert expected in refused(tmp_path, f"{BASE},{value}", header=f"{HEADER},{column}")


def test_rows_of_every_epoch_are_told_which_to_keep(tmp_path):
    said = refused(tmp_path, f"{BASE},3", f"{BASE},4", header=f"{HEADER},epoch")
    assert "line 2 and line 3 are the same cell, of different epochs (3 and 4)" in said
    assert "keep the chosen epoch's row" in said
    said = refused(tmp_path, f"{BASE},3", f"{BASE},3", header=f"{HEADER},epoch")
    assert said.endswith("line 2 and line 3 are the same cell")


@pytest.mark.parametrize("seed", [str(-(2**63)), str(2**63 - 1)])
def test_seeds_of_any_study_are_read(tmp_path, seed):
    path = write(tmp_path, f"{BASE},{seed}", header=f"{HEADER},seed")
    assert read_scores(path)["seed"].tolist() == [int(seed)]


def test_the_same_weight_in_two_forms_is_one_cell(tmp_path):
    lines = ["SEN,accuracy,SEN+PAR,unitary,0.4,0.5", "SEN,accuracy,SEN+PAR,unitary,.400,0.5"]
    assert "line 2 and line 3 are the same cell" in refused(tmp_path, *lines)


def test_triples_carry_all_weights(tmp_path):
    line = 'SEN,accuracy,SEN+PAR+SIM,unitary,"0.50, .25,0.25",0.5'
    assert read_scores(write(tmp_path, line))["alpha"][0] == "0.5,0.25,0.25"
    own = "SEN,accuracy,SEN+PAR+SIM,unitary,0.25,0.5"
    assert "give all weights of its arm, joined by commas" in refused(tmp_path, own, own)


def test_an_alias_must_hold_the_score_of_its_run(tmp_path):
    header = HEADER + ",alias_of"
    added = "PAR,accuracy,SEN+PAR,addition,,0.511,"
    same = "PAR,accuracy,SEN+PAR,unitary,0.5,0.511,addition"
    assert len(read_scores(write(tmp_path, added, same, header=header))) == 2
    other = same.replace("0.511", "0.522")
    assert "their scores differ" in refused(tmp_path, added, other, header=header)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_weights_have_one_canonical_text(millionths, zeros):
    value = Decimal(millionths) / 10**6
    text = _weight(f"{value:.6f}" + "0" * zeros)
    assert Decimal(text) == value
    assert text == _weight(text) == _weight(f"{value:E}")
    assert not (("." in text) and text.endswith("0"))


@settings(deadline=None)
@given(st.text(max_size=12))
def test_any_other_weight_is_refused(text):
    with contextlib.suppress(ValueError):
        assert 0 <= Decimal(_weight(text)) <= 1


@pytest.mark.parametrize("text", ["1e-999999999", "1E-11", "1e400", "٠.٤", "0,4"])
def test_weights_that_are_traps_are_refused(text):
    with pytest.raises(ValueError, match="alpha"):
        _weight(text)
