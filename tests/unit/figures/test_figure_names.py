"""Names and numbers that figures and report share."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from weightwise.figures import names, style
from weightwise.figures.drawing import in_parts
from weightwise.figures.svg import minify


def test_rows_stand_as_in_the_paper():
    arms = [("pcgrad", None), ("addition", None), ("unitary", "0.9"), ("unitary", "0.10")]
    frame = pd.DataFrame([*arms, ("baseline", None)], columns=["combiner", "alpha"])
    labels = [names.arm_label(*arm) for arm in names.arms_of(frame)]
    assert labels == ["α = 0.10", "α = 0.9", "Addition", "PCGrad"]


def test_combiners_are_called_by_their_titles():
    assert names.arm_label("mgda", None) == "MGDA"
    assert names.arm_label("cagrad(c=0.8)", None) == "CAGrad (c=0.8)"
    assert names.arm_label("pcgrad_alpha", "0.4") == "Weighted PCGrad, α = 0.4"
    assert names.arm_label("torchjd:UPGrad", None) == "torchjd:UPGrad"
    assert names.arm_label("SMART (ours)", None) == "SMART (ours)"
    assert names.arm_label("baseline", None) == "Baseline"
    assert names.same_method(["addition", None, float("nan"), "pcgrad", "addition"]) == (
        "same method as Addition or PCGrad"
    )
    assert names.same_method([None]) == ""


def test_numbers_have_true_signs():
    assert names.percent(-1.234) == "−1.23 %"
    assert names.percent(1.0) == "+1.00 %"
    assert names.percent(-0.001) == "0.00 %"
    assert names.percent(math.nan) == "–"
    assert names.score(0.5194) == "0.519"
    assert names.p_value(0.0001) == "< 0.001"
    assert names.interval(math.nan, 1.0) == ""


def test_slugs_are_safe_and_differ():
    texts = ["SEN", "sen/..", "<b>", "</b>", "a b", "a-b", "ä", "ö", "", "x" * 99, "x" * 98]
    slugs = [names.slug(t) for t in texts]
    assert slugs[0] == "SEN"
    assert len(set(slugs)) == len(texts)
    assert all(s and set(s) <= set("abcdefghijklmnopqrstuvwxyzSEN0123456789-_.") for s in slugs)


def test_long_names_lose_their_middle():
    assert names.short("abcdefghij", 10) == "abcdefghij"
    assert len(names.short("a" * 50, 24)) == 24


@pytest.mark.parametrize(("count", "size", "want"), [(0, 3, []), (3, 3, [3]), (11, 4, [4, 3, 4])])
def test_parts_are_nearly_equal(count, size, want):
    assert [len(p) for p in in_parts(range(count), size)] == want


def test_colours_are_centred_at_zero():
    assert style.squash(np.array([-4.0, 0.0, 4.0]), 4.0).tolist() == [-1.0, 0.0, 1.0]
    assert style.DIVERGING(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.01)


def test_small_svg_keeps_its_structure():
    path = '<path d="M 1.23456 2 \nL 3 4 \nz\n"/>'
    text = f'<svg><g id="a"><g id="b" style="fill: red">{path}</g></g></svg>'
    assert minify(text).strip() == '<svg><g style="fill:red"><path d="M1.23 2L3 4z"/></g></svg>'
