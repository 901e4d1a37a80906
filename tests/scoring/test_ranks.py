"""Ranks with ties, and the methods that nothing beats in both score and cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftbench.scoring import average_ranks, pareto_front, ranks

few = st.integers(0, 4).map(float)  # few values, so that ties occur
score_tables = st.dictionaries(st.sampled_from("abcdefg"), few, min_size=1)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"a": 3, "b": 2, "c": 1}, {"a": 1, "b": 2, "c": 3}),
        ({"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 2}),
        ({"a": 5, "b": 5, "c": 1, "d": 1}, {"a": 1.5, "b": 1.5, "c": 3.5, "d": 3.5}),
        ({"a": 0.0}, {"a": 1}),
        ({}, {}),
    ],
)
def test_equal_scores_share_their_mean_rank(
    scores: dict[str, float], expected: dict[str, float]
) -> None:
    assert ranks(scores) == expected


def test_where_lower_is_better_the_lowest_is_first() -> None:
    assert ranks({"a": 3, "b": 1}, higher_is_better=False) == {"a": 2, "b": 1}


@given(score_tables)
def test_a_rank_counts_those_that_are_better_and_half_of_the_equal(
    scores: dict[str, float],
) -> None:
    for name, rank in ranks(scores).items():
        better = sum(other > scores[name] for other in scores.values())
        equal = sum(other == scores[name] for other in scores.values())
        assert rank == 1 + better + (equal - 1) / 2


def test_average_ranks_are_over_all_tasks() -> None:
    assert average_ranks([{"a": 1, "b": 2}, {"a": 1.5, "b": 1.5}]) == {"a": 1.25, "b": 1.75}


def test_a_method_that_lacks_a_task_has_no_average_rank() -> None:
    assert average_ranks([{"a": 1, "b": 2}, {"a": 1}]) == {"a": 1}
    assert average_ranks([{"a": 1}, {"b": 1}]) == {}
    assert average_ranks([]) == {}


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(few, few)))
def test_the_front_is_what_brute_force_finds(
    points: dict[str, tuple[float, float]],
) -> None:
    def beaten(cost: float, score: float) -> bool:
        return any(
            (c <= cost and s > score) or (c < cost and s >= score)
            for c, s in points.values()
        )

    front = pareto_front(points)
    assert set(front) == {name for name, point in points.items() if not beaten(*point)}
    assert [points[name] for name in front] == sorted(points[name] for name in front)


def test_equal_points_are_both_in_front() -> None:
    points = {"a": (1.0, 0.5), "b": (1.0, 0.5), "c": (2.0, 0.5)}
    assert pareto_front(points) == ("a", "b")
