"""Reading answers: what counts as one, and that no output is ever an error."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftbench.tasks._answers import (
    label_reader,
    number_after,
    read_last_number,
    read_number,
)

READERS: list[Callable[[str], str | None]] = [
    read_number,
    read_last_number,
    number_after("####"),
]


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("7", "7"),
        (" 7\n", "7"),
        ("-3", "-3"),
        ("\N{MINUS SIGN}3", "-3"),
        ("+3", "3"),
        ("1,200", "1200"),
        ("1,200.50", "1200.50"),
        ("12,345,678", "12345678"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("3.", "3"),
        ("3.8.", "3.8"),
        ("5.0", "5.0"),
        ("007", "7"),
        ("0", "0"),
        ("$18", "18"),
        ("-$18", "-18"),
        ("5%", "5"),
        ("5%.", "5"),
    ],
)
def test_bare_number_is_read_plainly(raw: str, answer: str) -> None:
    assert read_number(raw) == answer


@pytest.mark.parametrize(
    "raw",
    ["", ".", "-", "$", "%", "1,2", "1,2345", "1,,200", "1.2.3", "3 4", "3-4", "3/4", "1e3",
     "seven", "about 3", "3 pens", "x3", "nan", "inf", "--3", "3..", "٣", "²"],
)  # fmt: skip
def test_anything_else_is_not_a_bare_number(raw: str) -> None:
    assert read_number(raw) is None


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("3 + 4 = 7, so she has 1,007.", "1007"),
        ("10-3=7", "7"),
        ("It fell to -3 degrees.", "-3"),
        ("It costs $.50.", "0.50"),
        ("No.5", "5"),
        ("a rise of 5%", "5"),
        ("1,234.00", "1234.00"),
        ("$5", "5"),
        ("−4", "-4"),
        ("007", "7"),
        ("1.", "1"),
        ("+2", "2"),
        ("(5)", "5"),
        ("12 apples", "12"),
        ("#### 7", "7"),
        ("**7**", "7"),
        ("12kg", "12"),
        ("1/2 of 8 is 4", "4"),
    ],
)
def test_last_number_is_read_whole_and_with_its_own_sign(raw: str, answer: str) -> None:
    assert read_last_number(raw) == answer


@pytest.mark.parametrize(
    "raw",
    ["1/2", "7 / 1/2", "3e5", "3.0e-5", "1.234,56", "1,2345", "1 000", "1\u202f000 000",
     "1\u00bd", "10\u00b2", "10-3", "(2)-3", "2*3", "2024-07-26", "3:45", "version 1.2.3", "CO2",
     "x3", "COVID-19", "--3", "12 \u0661\u0662", "."],
)  # fmt: skip
def test_a_piece_of_what_is_no_plain_number_is_not_read_as_one(raw: str) -> None:
    """The right answer 1/2 used to become 2."""
    assert read_last_number(raw) is None
    assert read_last_number(f"so the answer is {raw}.") is None


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("3 + 4 = 7\n#### 7", "7"),
        ("#### 1,200 pens for 3 people", "1200"),
        ("####\n7", "7"),
        ("#### 7\n\nQuestion: Bo has 9.\n#### 9", "7"),
        ("So she has 7.", None),
        ("####", None),
        ("#### I cannot tell\n3", None),
    ],
)
def test_marked_number_is_the_first_after_the_first_marker(
    raw: str, answer: str | None
) -> None:
    assert number_after("####")(raw) == answer


@given(st.integers())
def test_every_whole_number_is_read_back(number: int) -> None:
    assert read_number(str(number)) == read_number(f"{number:,}") == str(number)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2), st.text())
def test_last_number_is_found_after_any_text(number: object, text: str) -> None:
    assert read_last_number(f"{text}; {number}") == read_number(str(number))


@given(st.text(max_size=200) | st.text(alphabet="0123456789.,-+$% #\n", max_size=30))
def test_no_output_is_an_error_and_what_is_read_is_a_finite_number(raw: str) -> None:
    for read in READERS:
        answer = read(raw)
        assert answer is None or math.isfinite(float(answer))


@given(st.text())
def test_plain_number_is_its_own_plain_form(raw: str) -> None:
    answer = read_last_number(raw)
    assert answer is None or read_number(answer) == answer


@given(st.text())
def test_label_reader_reads_a_label_or_nothing(raw: str) -> None:
    assert label_reader(("yes", "no"))(raw) in ("yes", "no", None)


@pytest.mark.parametrize("raw", ["yes", "Yes", " YES\n"])
def test_label_may_differ_in_case_and_outer_blanks(raw: str) -> None:
    assert label_reader(("yes", "no"))(raw) == "yes"


@pytest.mark.parametrize("raw", ["", "yes.", "yes no", "y", "yes, because"])
def test_label_is_the_whole_output(raw: str) -> None:
    assert label_reader(("yes", "no"))(raw) is None
