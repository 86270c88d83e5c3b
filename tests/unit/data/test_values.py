"""Values of a source as text and as numbers."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightwise.data.values import decimal_comma, number, spelling


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (None, ""), (1, "1"), (2.5, "2.5"), ("x", "x"),
     (10**400, "1" + "0" * 400), (Decimal("2.00"), "2.00"), ([1], None), ({"a": 1}, None),
     (datetime.date(2020, 2, 29), "2020-02-29"),
     (datetime.datetime(2020, 2, 29, 1, 2), "2020-02-29T01:02:00")],
)  # fmt: skip
def test_spelling(value, text):
    assert spelling(value) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5,0", 5.0), ("-0,25", -0.25), (",5", 0.5), ("1.234,5", 1234.5), ("1 234,5", 1234.5),
     ("1.234", 1234.0), ("7", 7.0), ("1,5e3", 1500.0), ("+2,0", 2.0)],
)  # fmt: skip
def test_decimal_commas(text, expected):
    assert number(text, ",") == expected


@pytest.mark.parametrize("text", ["2.5", "1,2,3", "", ",", "-", "x", "12.34,5", "1.2345", "e5"])
def test_what_is_no_number_with_a_comma(text):
    assert math.isnan(number(text, ","))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1e3", 1000.0), (" 2 ", 2.0), (True, 1.0), (Decimal("2.00"), 2.0), (10**400, math.inf),
     (-(10**400), -math.inf), ("1_000", math.nan), ("5,0", math.nan), ([1], math.nan),
     (None, math.nan), (Decimal("sNaN"), math.nan), (datetime.date(2020, 1, 1), math.nan)],
)  # fmt: skip
def test_numbers(value, expected):
    assert number(value) == expected or (math.isnan(expected) and math.isnan(number(value)))


@settings(max_examples=60)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_mark_alone_makes_the_difference(value):
    text = f"{value:.6f}"
    assert number(text) == float(text)
    assert number(text.replace(".", ","), ",") == float(text)
    assert decimal_comma(text.replace(".", ","))
