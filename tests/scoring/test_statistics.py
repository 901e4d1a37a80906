"""Intervals, ranks, ties and fronts against plain definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from peftbench.scoring import average_ranks, mean_interval, pareto_front, ranks
from peftbench.scoring.ties import difference_p_value, holm, tied_with_best

numbers = st.floats(-1e3, 1e3)


@given(st.lists(numbers, min_size=2, max_size=9))
def test_interval_is_students(values: list[float]) -> None:
    found = mean_interval(values)
    error = stats.sem(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.half_width == pytest.approx(
        stats.t.ppf(0.975, len(values) - 1) * error, rel=1e-6, abs=1e-9
    )


def test_one_value_has_no_interval() -> None:
    found = mean_interval([0.5])
    assert (found.mean, found.low, found.high, found.half_width) == (0.5, None, None, None)
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


def test_interval_covers_at_its_nominal_rate() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        found = mean_interval(generator.normal(3.0, 2.0, size=4).tolist())
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 3.0 <= found.high
    assert 0.93 <= inside / 2000 <= 0.97


def test_equal_scores_share_their_rank_and_lower_may_be_better() -> None:
    assert ranks({"a": 0.9, "b": 0.5, "c": 0.9}) == {"a": 1.5, "b": 3.0, "c": 1.5}
    assert ranks({"a": 0.9, "b": 0.5}, higher_is_better=False) == {"a": 2.0, "b": 1.0}


def test_method_without_every_task_has_no_average_rank() -> None:
    assert average_ranks([{"a": 1.0, "b": 2.0}, {"a": 2.0}]) == {"a": 1.5}


points = st.dictionaries(
    st.text(min_size=1, max_size=3), st.tuples(numbers, numbers), max_size=12
)


@given(points)
def test_front_is_what_nothing_beats(places: dict[str, tuple[float, float]]) -> None:
    def beaten(name: str) -> bool:
        cost, score = places[name]
        return any(
            c <= cost and s >= score and (c < cost or s > score) for c, s in places.values()
        )

    assert set(pareto_front(places)) == {name for name in places if not beaten(name)}


def test_holm_is_holm() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert found == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def rows(generator: np.random.Generator, chance: float, seeds: int = 3) -> np.ndarray:
    return (generator.random((seeds, 400)) < chance).astype(float)


def test_clear_gap_is_told_and_no_gap_is_not() -> None:
    generator = np.random.default_rng(1)
    best, near, far = (rows(generator, chance) for chance in (0.8, 0.8, 0.4))
    tied = tied_with_best({"best": best, "near": near, "far": far}, "best")
    assert tied == {"best", "near"}
    assert difference_p_value(best, best) == 1.0


def test_equal_methods_are_told_apart_no_more_often_than_the_level() -> None:
    generator = np.random.default_rng(2)
    wrong = sum(
        difference_p_value(rows(generator, 0.6), rows(generator, 0.6)) < 0.05
        for _ in range(400)
    )
    assert wrong / 400 <= 0.07


def test_method_without_seeds_is_compared_by_rows() -> None:
    generator = np.random.default_rng(3)
    p = difference_p_value(rows(generator, 0.9, seeds=2), np.zeros((1, 400)))
    assert 0 <= p < 0.2
    assert math.isfinite(p)
