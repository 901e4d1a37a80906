"""What an answer that ignores its prompt scores."""

from __future__ import annotations

import pytest

from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.metrics._baselines import constant_answer, constant_score


def test_the_constant_answer_to_labels_is_the_most_frequent() -> None:
    assert constant_answer(["no", "yes", "yes"], is_number=False) == "yes"


def test_of_equally_frequent_answers_the_first_in_the_alphabet_is_taken() -> None:
    for targets in (["b", "a"], ["a", "b"]):
        assert constant_answer(targets, is_number=False) == "a"


def test_the_constant_answer_to_numbers_is_their_mean() -> None:
    assert constant_answer(["1", "2", "4.5"], is_number=True) == "2.5"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 0.75),
        ("macro_f1", (6 / 7) / 2),
        ("f1", 6 / 7),
        ("matthews", 0.0),
        ("format_error_rate", 0.0),
    ],
)
def test_the_score_of_always_answering_yes(metric: str, expected: float) -> None:
    targets = ["yes", "yes", "no", "yes"]
    answers = Answers(predicted=[None] * 4, targets=targets, labels=("no", "yes"))
    found = constant_score(metrics.get(metric), "yes", answers)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_a_constant_number_correlates_with_nothing(metric: str) -> None:
    answers = Answers(predicted=["1", "2", "3"], targets=["1", "2", "4.5"])
    assert constant_score(metrics.get(metric), "2.5", answers) == 0.0
