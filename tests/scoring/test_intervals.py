"""Confidence intervals over seeds are Student's, and honest about few of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from peftbench.scoring import mean_interval

scores = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=12)


@settings(max_examples=60, deadline=None)
@given(scores)
def test_the_interval_is_the_one_of_scipy(values: list[float]) -> None:
    found = mean_interval(values)
    assert found.seeds == len(values)
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert found.low is not None
    assert found.high is not None
    if len(set(values)) == 1:
        assert (found.low, found.high) == pytest.approx((values[0], values[0]))
        return
    expected = stats.t.interval(
        0.95, len(values) - 1, loc=found.mean, scale=stats.sem(values)
    )
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.half_width == pytest.approx((expected[1] - expected[0]) / 2)


def test_two_seeds_by_hand() -> None:
    """Mean 0.7, s 0.1414, s / sqrt(2) = 0.1; t(1) = 12.706."""
    found = mean_interval([0.6, 0.8])
    assert found.half_width == pytest.approx(1.27062, abs=1e-5)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        found = mean_interval(generator.normal(3.0, 2.0, size=4).tolist())
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 3.0 <= found.high
    assert 0.93 <= inside / 2000 <= 0.97


def test_one_seed_has_a_mean_and_no_interval() -> None:
    found = mean_interval([0.5])
    assert (found.mean, found.low, found.high, found.seeds) == (0.5, None, None, 1)
    assert found.half_width is None


def test_no_seeds_have_no_mean() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])
