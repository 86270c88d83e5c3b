"""What an arm gets wrong: the texts of others on our page, and what is said of them."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from figure_inputs import SCRIPT, make_study, make_study_tables, no_figures
from overlap_inputs import ARM, OTHER, bins

from weightwise import tables
from weightwise.figures import build_figures
from weightwise.figures.inputs import load_inputs
from weightwise.report import build_report
from weightwise.report.errors_section import errors_section, reading
from weightwise.report.foreign import LONGEST, shown

HOSTILE = f'{SCRIPT}</td></table><style>*{{display:none}}</style>" onclick="alert(3)'


def error(role="best", arm=OTHER, task="PAR", rank=1, split="test", **more):
    classes = task != "SIM"
    row = arm | {"task": task, "role": role, "split": split, "rank": rank, "row": 40 + rank}
    row |= {"text_a": "one text", "text_b": "another text", "label": 0.0, "prediction": 1.0}
    row |= {"confidence": 0.875 if classes else None, "error": None if classes else 1.0}
    row |= {"wrong_seeds": 3 if classes else None, "agreeing": 3 if classes else None, "seeds": 3}
    return row | more


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_study_tables(tmp_path_factory.mktemp("wrong"), predictions=False)


@pytest.fixture
def write(folder):
    """The folder of tables with these errors and bins."""

    def written(errors=(), overlap=()):
        for name, rows, schema in (
            ("errors", list(errors), tables.Errors),
            ("overlap", list(overlap), tables.Overlap),
        ):
            frame = pd.DataFrame(rows) if rows else tables.empty(schema)
            tables.write_table(frame, schema, folder / f"{name}.parquet")
        return folder

    return written


@pytest.fixture
def section(write):
    """The section of those tables."""

    def made(errors=(), overlap=(), study=None):
        return errors_section(load_inputs(write(errors, overlap), study or make_study()))

    return made


@pytest.fixture
def page(write, tmp_path):
    """The whole page."""

    def made(errors=(), overlap=()):
        folder = write(errors, overlap)
        figures = no_figures(tmp_path / "figures")
        return build_report(folder, figures, tmp_path / "r.html", make_study()).read_text("utf-8")

    return made


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  two\n\tlines\u2028here ", "two lines here"),
        ("a\u202eb\u2069c", "a[U+202E]b[U+2069]c"),
        ("a\u200fb\u061cc\ufeff", "a[U+200F]b[U+061C]c[U+FEFF]"),
        ("bell\x07\x7f\x9b", "bell[U+0007][U+007F][U+009B]"),
        ("soft\u00adhyphen\U000e0041", "soft[U+00AD]hyphen[U+E0041]"),
        ("می\u200cخواهم 👩\u200d🚀", "می\u200cخواهم 👩\u200d🚀"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_is_written_out(text, line):
    assert shown(text) == line


@pytest.mark.parametrize("number", [*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
def test_nothing_turns_the_direction_of_writing(number):
    assert chr(number) not in shown(f"a{chr(number)}b")
    assert f"[U+{number:04X}]" in shown(f"a{chr(number)}b")


def test_long_texts_are_cut():
    assert shown("x" * LONGEST) == "x" * LONGEST
    assert shown("x" * (LONGEST + 1)) == "x" * (LONGEST - 1) + "…"
    assert shown("ab " * 1000, 7) == "ab ab…"
    # What is written out is cut before, so that no half of it stands there.
    assert shown("\u202e" * 500, 3) == "[U+202E][U+202E]…"


def test_hostile_texts_are_shown_and_isolated(page):
    text = page([error(text_a=HOSTILE, text_b="\u202eevil\u2069" + "y" * 500)])
    assert "\u202e" not in text
    assert "\u2069" not in text
    assert '<bdi dir="auto">[U+202E]evil[U+2069]yyy' in text
    assert "y" * LONGEST not in text
    assert '<bdi dir="auto">&lt;script&gt;alert(1)&lt;/script&gt;&lt;/td&gt;' in text
    assert "<script" not in text
    assert " onclick=" not in re.sub(r">[^<]*<", "><", text)
    assert text.count("<style>") == 1


def test_the_section_is_linked_and_stands_before_what_follows(page):
    text = page([error(), error("reference", ARM)], bins())
    assert '<li><a href="#errors">What it gets wrong</a></li>' in text
    assert text.count('id="errors"') == text.count('id="errors-PAR"') == 1
    assert text.index('id="variant-default-noise"') < text.index('id="errors"')
    assert text.index('id="errors"') < text.index('id="methods"')
    folded = re.search(r"<details><summary>([^<]*of the reference[^<]*)</summary>", text)
    assert folded.group(1) == "PAR: most confident errors of the reference on test"


def test_without_errors_there_is_no_section(page, section):
    assert "What it gets wrong" not in page().partition('id="methods"')[0]
    assert section() == []


def test_the_errors_of_both_arms(section):
    rows = [error(), error(rank=2, agreeing=2, label=1.0, prediction=0.0)]
    (found,) = section([*rows, error("reference", ARM, text_a="its own")])
    assert found.arms == "The best arm: SEN + PAR, α = 0.6. The reference: PAR alone."
    (best,), (reference,) = found.tables, found.folded
    want = ["1", "one text", "another text", "no", "yes", "0.875", "3 of 3 seeds", "41"]
    assert texts(best)[0] == want
    assert texts(best)[1][3:5] == ["yes", "no"]
    assert [cell.sub for cell in best.rows[1]][4] == "in 2 of them"
    assert not any(cell.sub for cell in best.rows[0])
    assert texts(reference)[0][1] == "its own"
    assert "Optimistic" not in best.note


def test_one_arm_in_both_roles_stands_once(section):
    (found,) = section(
        [error("reference", ARM), error("best", ARM)],
        [*bins("reference", ARM), *bins("best", ARM)],
    )
    assert found.arms == "The reference, which is the best arm: PAR alone."
    assert found.folded == []
    assert "of the reference, which is the best arm" in found.tables[0].caption
    assert [cell.span for cell in found.overlap.head[0]] == [1, 1, 1, 2]


def test_without_a_best_arm_the_reference_stands_open(section):
    (found,) = section([error("reference", ARM)])
    assert "of the reference on test" in found.tables[0].caption
    assert found.folded == []


def test_dev_is_said_to_be_optimistic(section):
    (found,) = section([error(split="dev")], bins(split="dev"))
    assert "Optimistic: selected on dev." in found.tables[0].note
    assert "Optimistic: selected on dev." in found.overlap.note


def test_values_have_errors_and_no_confidence(section):
    row = error(task="SIM", label=0.5, prediction=3.25, error=2.75)
    (found,) = section([row], bins(task="SIM"))
    assert texts(found.tables[0])[0][3:] == ["0.50", "3.25", "2.75", "3", "41"]
    assert "largest errors" in found.tables[0].caption
    assert "no confidence" in found.tables[0].note
    assert found.reading == ""
    assert texts(found.overlap)[0] == ["0 to 0.2", "50", "0.100", "0.050", "0.900"]


def test_single_texts_have_one_column(section):
    (found,) = section([error(task="SEN", text_b=None, prediction=2.0)])
    assert [cell.text for cell in found.tables[0].head[0]][:3] == ["", "Text", "Label"]
    assert texts(found.tables[0])[0][:4] == ["1", "one text", "bad", "good"]
    assert found.overlap is None


def test_shared_words_of_both_arms_side_by_side(section):
    (found,) = section(overlap=[*bins("reference", ARM, score=0.5), *bins()])
    assert [cell.text for cell in found.overlap.head[0]] == [
        *("Words shared", "Pairs", "Labelled “yes”", "The best arm", "The reference")
    ]
    assert texts(found.overlap)[1] == [
        *("0.2 to 0.4", "40", "30.0 %", "27.5 %", "0.800", "27.5 %", "0.500")
    ]
    assert found.overlap.rows[1][4].sub == "0.400 to 0.950"
    assert texts(found.overlap)[2] == ["0.4 to 0.6", "0", "–", "–", "–", "–", "0.500"]


def test_more_classes_have_accuracy_alone(section):
    (found,) = section(overlap=bins(label=None, prediction=None))
    assert texts(found.overlap)[0] == ["0 to 0.2", "50", "0.900"]
    assert found.reading == ""


def test_the_reading_is_of_bins_with_enough_pairs(section):
    (found,) = section(overlap=bins())
    assert found.reading.startswith(
        "Of the 60 pairs that share most words (0.6 to 0.8), 70.0 % are labelled “yes”, and the "
        "best arm predicts it for 72.5 %; of the 50 that share fewest (0 to 0.2), 10.0 % and "
        "5.0 %. Its accuracy is 0.600 on the former and 0.900 on the latter."
    )
    assert section(overlap=bins(pairs=(50, 29, 0, 29, 3)))[0].reading == ""


def test_the_reading_needs_no_best_arm(write):
    inputs = load_inputs(write(overlap=bins("reference", ARM)), make_study())
    assert "and the reference predicts it" in reading(inputs, "PAR")


def test_the_figure_stands_in_the_section(write, tmp_path):
    folder = write([error()], bins())
    build_figures(folder, tmp_path / "figures", make_study())
    page = build_report(folder, tmp_path / "figures", tmp_path / "r.html", make_study())
    text = page.read_text("utf-8")
    assert text.count('id="figure-overlap-PAR"') == 1
    assert text.index('id="errors-PAR"') < text.index('id="figure-overlap-PAR"')
