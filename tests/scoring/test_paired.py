"""Two methods on the same rows: the difference, its interval, and McNemar's test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from peftbench.scoring.paired import compare, mcnemar, mean_difference, paired


def rows(seed: int, seeds: int = 3, n: int = 200, mean: float = 0.7) -> np.ndarray:
    """Right and wrong answers of a method, seeds by rows."""
    return (np.random.default_rng(seed).random((seeds, n)) < mean).astype(float)


def test_the_difference_is_that_of_the_means() -> None:
    found = compare(rows(1), rows(2, mean=0.6))
    assert found.mean == pytest.approx(rows(1).mean() - rows(2, mean=0.6).mean())
    assert found.low < found.mean < found.high


def test_the_interval_holds_zero_just_where_the_test_does_not_tell() -> None:
    for seed in range(20):
        found = compare(rows(seed), rows(100 + seed, mean=0.62))
        if abs(found.p_value - 0.05) > 0.01:
            assert (found.low <= 0 <= found.high) == (found.p_value > 0.05)


def test_the_same_question_gets_the_same_answer_and_its_mirror_image() -> None:
    there, back = compare(rows(1), rows(2)), compare(rows(2), rows(1))
    assert there == compare(rows(1), rows(2))
    assert there.mean == -back.mean
    assert there.p_value == pytest.approx(back.p_value, abs=0.02)


def test_a_method_without_seeds_meets_every_seed_of_the_other() -> None:
    base, other = rows(1, seeds=1, mean=0.3), rows(2)
    repeated = compare(np.repeat(base, 3, axis=0), other)
    assert compare(base, other) == repeated
    assert repeated.p_value < 0.01


def test_other_rows_or_seeds_cannot_be_paired() -> None:
    for other in (rows(1, n=199), rows(1, seeds=2)):
        with pytest.raises(ValueError, match="same test rows"):
            paired(rows(1), other)


def test_a_difference_without_any_spread_is_certain() -> None:
    assert mean_difference([np.zeros((3, 9))]).p_value == 1.0
    assert mean_difference([np.zeros((3, 9)) + 1e-15]).p_value == 1.0
    certain = mean_difference([np.full((3, 9), 0.5)])
    assert (certain.low, certain.high, certain.p_value) == (0.5, 0.5, 0.0)


def test_pairing_is_what_finds_a_small_difference() -> None:
    """One row in twenty is better, the rest are the same: unpaired it would be lost."""
    first = rows(1, seeds=1)
    second = first.copy()
    second[0, np.flatnonzero(first[0])[:10]] = 0
    assert compare(first, second).p_value < 0.01


def test_mcnemar_with_one_run_each_is_the_exact_binomial_test() -> None:
    first = np.array([[1.0] * 9 + [0.0] * 3 + [1.0] * 20])
    second = np.array([[0.0] * 9 + [1.0] * 3 + [1.0] * 20])
    assert mcnemar(first, second) == pytest.approx(binomtest(9, 12).pvalue)
    assert mcnemar(first, first) == 1.0


def test_mcnemar_with_seeds_counts_rows_and_not_runs() -> None:
    """By hand: four rows' differences over two seeds are 2, 2, 1 and -1; 4^2 / 10."""
    first = np.array([[1.0, 1, 1, 0], [1, 1, 0, 0]])
    second = np.array([[0.0, 0, 0, 1], [0, 0, 0, 0]])
    assert mcnemar(first, second) == pytest.approx(chi2.sf(16 / 10, 1))
    assert mcnemar(first, first) == 1.0


def test_mcnemar_keeps_its_error_rate_where_seeds_repeat_each_other() -> None:
    """Five seeds that answer alike are one piece of evidence, not five."""
    chance = np.random.default_rng(0)
    wrong = 0
    for _ in range(1000):
        first, second = (
            np.repeat((chance.random((1, 150)) < 0.7).astype(float), 5, axis=0)
            for _ in range(2)
        )
        wrong += mcnemar(first, second) < 0.05
    assert wrong / 1000 == pytest.approx(0.05, abs=0.02)


def test_over_tasks_the_mean_counts_and_their_noise_is_independent() -> None:
    """Two tasks with the same differences leave the mean and shrink its interval."""
    table = paired(rows(1, seeds=1), rows(2, seeds=1, mean=0.6))
    one, two = mean_difference([table]), mean_difference([table, table])
    assert two.mean == pytest.approx(one.mean)
    assert (two.high - two.low) / (one.high - one.low) == pytest.approx(2**-0.5, rel=0.05)


def test_over_tasks_seeds_are_better_known() -> None:
    """Three seeds of one task say little of how seeds differ; of four tasks, more."""
    table = np.repeat([[0.1], [0.2], [0.3]], 50, axis=1)
    one, four = mean_difference([table]), mean_difference([table] * 4)
    t_2, t_8 = 4.303, 2.306
    shrunk = (four.high - four.low) / (one.high - one.low)
    assert shrunk == pytest.approx(0.5 * t_8 / t_2, rel=0.1)
