"""Letters in what models write: the grammar, and where it refuses to guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftbench.tasks._choices import LETTERS, choice_example, letter_reader, letters

READ = letter_reader(letters(4))

ALONE = [
    "B",
    "b",
    " B\n",
    "(B)",
    "(b)",
    "[B]",
    "B.",
    "B)",
    "**B**",
    "**B**.",
    '"B"',
    "`B`",
    "“B”",
]
BEGINS = [
    "B. an iron nail", "B) an iron nail", "(B) an iron nail", "B: iron", "B, since iron rusts",
    "B - because", "B – because", "B; yes", "B!", "**B) an iron nail**", "(B) it is",
    "B\nA is a paper cup, C is glass.", "\n\nB\n\nQuestion: Which of A or C?", "B. Vitamin C",
    "B, A paper cup does not", "B: vitamin C, of course",
]  # fmt: skip
SAYS = [
    "The answer is B", "the answer is (B).", "The correct answer is **B**", "Answer: B) iron nail",
    "Answer:\nB", "answer = B", "I choose option B", "My choice: B", "I would pick B because of iron",
    "Option B", "The right option is B, as iron is magnetic", "The answer must be B",
    "The answer is B iron nail", "A magnet pulls iron, so the answer is B",
]  # fmt: skip
UNREADABLE = [
    "", " \n", "E", "BB", "Bc", "1", "iron", "A magnet pulls on iron", "I think it is B", "B because",
    "B or C", "A or B", "B and C", "both A and B", "A, B", "A/B", "A & B", "(A) (B)", "(A) or (B)",
    "B, not C", "The answer is B, not A.", "The answer is not B", "Option A or option B", "B) x C) y",
    "The answer is a paper cup", "The answer is either A or B", "neither A nor B", "$B$", "?",
    "```\nB\n```", "Answer:", "Answer:\n", "A: a cup B: a nail",
]  # fmt: skip


@pytest.mark.parametrize("raw", [*ALONE, *BEGINS, *SAYS])
def test_letter_is_read(raw: str) -> None:
    assert READ(raw) == "B"


@pytest.mark.parametrize("raw", UNREADABLE)
def test_no_letter_is_guessed(raw: str) -> None:
    assert READ(raw) is None


def test_capital_a_is_the_letter_where_a_letter_is_due_and_an_article_elsewhere() -> None:
    assert READ("The answer is A because of iron") == "A"
    assert READ("A. A magnet pulls on iron") == "A"
    assert READ("A magnet") is None
    assert READ("B, and A magnet shows it") == "B"


@given(st.text(max_size=80) | st.text(alphabet="ABab ().,:*\norasweiht", max_size=40))
def test_no_output_is_an_error_and_only_labels_are_read(raw: str) -> None:
    assert READ(raw) in (None, *letters(4))


@given(st.sampled_from(LETTERS), st.integers(2, 5))
def test_only_letters_of_the_task_are_read(letter: str, count: int) -> None:
    read = letter_reader(letters(count))
    expected = letter if letter in letters(count) else None
    assert read(letter) == read(f"The answer is {letter}.") == expected


@given(st.text(max_size=60))
def test_case_of_all_but_the_letter_is_of_no_account(raw: str) -> None:
    assert READ(f"ANSWER: B. {raw}") == READ(f"Answer: B. {raw}")


def test_choices_stand_behind_their_letters_and_travel_with_the_example() -> None:
    example = choice_example("Question: Which?", [" one ", "two", "three"], 2, group="g")
    assert example.prompt == (
        "Question: Which?\nA: one\nB: two\nC: three\nAnswer with A, B or C.\nAnswer:"
    )
    assert example.completion == example.target == "C"
    assert example.extra == {"choices": ["one", "two", "three"]}
