"""Names in any script: drawn by whoever has the font, never as boxes, and never out of the XML."""

from __future__ import annotations

import warnings
from xml.etree import ElementTree

import pytest
from figure_inputs import make_study, make_study_tables

from weightwise.figures import build_figures, letters, style
from weightwise.figures.svg import to_svg
from weightwise.report import build_report

SVG = "{http://www.w3.org/2000/svg}"
SCRIPTS = ["悲しい", "普通 😀", "한국어 label", "नमस्ते", "שלום", "مرحبا", "ไทย", '嬉しい "q" & <b>']


def drawn(*labels: str):
    """A figure of bars with these labels: the root of its SVG, and the letters left to others."""
    with warnings.catch_warnings(), style.theme():
        warnings.simplefilter("error")  # `Glyph ... missing from font(s)`
        figure = style.figure(4, 3)
        ax = figure.subplots()
        ax.barh(range(len(labels)), 1.0)
        ax.set_yticks(range(len(labels)), labels)
        svg, left = to_svg(figure)
    return ElementTree.fromstring(svg), left


@pytest.mark.parametrize("label", SCRIPTS)
def test_a_label_that_the_font_lacks_is_text(label):
    root, left = drawn("negative", label)
    assert [text.text for text in root.iter(f"{SVG}text")] == [label]
    assert set(left) <= set(label)
    assert left


@pytest.mark.parametrize("label", ["negative", "Größe é", "naïve − α = 0.4 ≡ ▲", "Ελλάς Россия"])
def test_a_label_that_the_font_has_is_outlines(label):
    root, left = drawn(label)
    assert left == ""
    assert not list(root.iter(f"{SVG}text"))
    assert list(root.iter(f"{SVG}use"))


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x85", "\ud800", "\uffff"])
def test_what_may_not_stand_in_xml_is_replaced(character):
    root, _ = drawn(f"a{character}悲")
    assert next(root.iter(f"{SVG}text")).text == "a\N{REPLACEMENT CHARACTER}悲"
    drawn(f"a{character}")


def test_marks_that_turn_the_direction_are_left_out():
    root, _ = drawn("\u202e悲\u2066")
    assert next(root.iter(f"{SVG}text")).text == "悲"


def test_room_is_left_for_letters_of_other_fonts():
    """Axes begin where their labels end: ten ideographs of 8.5 points take 85 points."""

    def left_edge(label: str) -> float:
        root, _ = drawn(label)
        return float(next(root.iter(f"{SVG}text")).get("x"))

    assert left_edge("悲" * 12) - left_edge("悲" * 2) == pytest.approx(10 * 8.5, abs=1)


def test_letters_for_which_no_font_is_installed(monkeypatch):
    private = "\U00100000"
    assert letters.letters_without_a_font(f"aß{private}") == [private]
    monkeypatch.setattr(letters.shutil, "which", lambda name: None)
    letters._has_a_font.cache_clear()
    assert letters.letters_without_a_font(f"aß{private}") == [private]
    letters._has_a_font.cache_clear()


def test_the_report_says_which_letters_need_a_font(tmp_path):
    private = "\U00100000"
    tables = make_study_tables(tmp_path / "tables", tasks=("SEN", "SIM"), splits=("dev",))
    for name, title in (("plain", "Sentiment"), ("foreign", f"感情{private}")):
        study = make_study()
        tasks = dict(study.tasks)
        tasks["SEN"] = tasks["SEN"].model_copy(update={"title": title})
        study = study.model_copy(update={"tasks": tasks})
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Glyph")
            index = build_figures(tables, tmp_path / name, study)
        left = "".join(record["letters"] for record in index)
        page = build_report(tables, tmp_path / name, tmp_path / f"{name}.html", study)
        said = "has no font" in page.read_text("utf-8")
        assert bool(left) == said == (name == "foreign")
    assert "(U+100000)" in page.read_text("utf-8")
