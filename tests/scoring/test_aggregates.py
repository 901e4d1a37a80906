"""Aggregates over tasks and seeds, by hand and against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from peftbench.scoring.aggregates import (
    chance_corrected,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)


def test_the_interquartile_mean_leaves_a_quarter_out_at_each_end() -> None:
    found = interquartile_mean([[0.0, 0.4], [0.5, 0.6], [0.6, 0.5], [0.4, 1.0]])
    assert found.value == pytest.approx(0.5)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high


def test_one_collapsed_run_moves_it_little() -> None:
    good = [[0.8, 0.81, 0.79, 0.8]] * 5
    collapsed = [[0.8, 0.81, 0.79, 0.0], *good[1:]]
    fell = interquartile_mean(good).value - interquartile_mean(collapsed).value
    assert 0 <= fell < 0.002 < np.mean(good) - np.mean(collapsed)


def test_one_seed_has_no_interval() -> None:
    found = interquartile_mean([[0.1], [0.2], [0.3]])
    assert (found.low, found.high) == (None, None)


def test_a_profile_falls_from_all_runs_to_none() -> None:
    runs = [[0.2, 0.6], [0.9, 0.7]]
    assert performance_profile(runs, [0.0, 0.3, 0.65, 0.8, 1.0]) == (1, 0.75, 0.5, 0.25, 0)


def test_every_task_counts_the_same_in_a_profile() -> None:
    """Three seeds of one task are not three tasks."""
    assert performance_profile([[0.9, 0.9, 0.9], [0.1]], [0.5]) == (0.5,)


def test_the_probability_of_improvement_is_the_mann_whitney_statistic() -> None:
    first, second = [[0.5, 0.7, 0.7], [0.2, 0.3]], [[0.6, 0.7, 0.1], [0.25, 0.25]]
    expected = np.mean(
        [
            mannwhitneyu(a, b).statistic / (len(a) * len(b))
            for a, b in zip(first, second, strict=True)
        ]
    )
    found = probability_of_improvement(first, second)
    assert found.value == pytest.approx(expected)
    assert probability_of_improvement(second, first).value == pytest.approx(1 - expected)


def test_equal_methods_improve_on_each_other_half_of_the_time() -> None:
    runs = [[0.1, 0.2, 0.3]] * 4
    found = probability_of_improvement(runs, runs)
    assert found.value == 0.5
    assert found.low is not None
    assert found.low < 0.5


def test_a_method_that_always_wins_does_so_for_sure() -> None:
    found = probability_of_improvement([[0.9, 0.8]] * 3, [[0.1, 0.2]] * 3)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_chance_becomes_zero_and_a_perfect_score_one() -> None:
    assert chance_corrected(0.25, 0.25) == 0.0
    assert chance_corrected(1.0, 0.25) == 1.0
    assert chance_corrected(0.0, 0.5) == -1.0
    with pytest.raises(ValueError, match="perfect"):
        chance_corrected(1.0, 1.0)
