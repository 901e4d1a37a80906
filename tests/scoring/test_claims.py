"""Explanations of stated averages come from the numbers alone."""

from __future__ import annotations

import pytest

from peftbench.scoring.claims import explanation

FIVE = {"a": 10.0, "b": 20.0, "c": 30.0, "d": 40.0, "e": 90.0}


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (38.0, "the mean of all 5 tasks"),
        (38.04, "the mean of all 5 tasks"),
        (25.0, "the mean without e; no other single task explains it"),
        (45.0, "the mean without a; no other single task explains it"),
        (20.0, "no single task explains it; of 10 pairs 1 would, which may be chance"),
        (99.0, "leaving out one or two of the 5 tasks does not explain it"),
    ],
)
def test_the_largest_set_of_tasks_that_gives_the_average(
    stated: float, expected: str
) -> None:
    assert explanation(FIVE, stated) == expected


def test_two_tasks_of_one_score_cannot_be_told_apart() -> None:
    scores = {"a": 50.0, "b": 50.0, "c": 80.0, "d": 90.0}
    assert explanation(scores, 73.3) == "the mean without one task, which may be a or b"


def test_the_order_of_tasks_is_of_no_account() -> None:
    turned = dict(reversed(FIVE.items()))
    assert explanation(turned, 25.0) == explanation(FIVE, 25.0)
