"""Which methods the paired test tells from the best, and which it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from peftbench.scoring import tied_with_best
from peftbench.scoring.ties import difference_p_value, holm


def rows(seed: int, seeds: int = 3, n: int = 200, mean: float = 0.7) -> np.ndarray:
    """Right and wrong answers of a method, seeds by rows."""
    return (np.random.default_rng(seed).random((seeds, n)) < mean).astype(float)


def test_with_one_seed_it_is_the_paired_t_test_over_rows() -> None:
    first, second = rows(1, seeds=1), rows(2, seeds=1, mean=0.6)
    expected = stats.ttest_rel(first[0], second[0]).pvalue
    assert difference_p_value(first, second) == pytest.approx(expected)


def test_with_one_row_it_is_the_paired_t_test_over_seeds() -> None:
    first = np.array([[0.9], [0.7], [0.8]])
    second = np.array([[0.6], [0.65], [0.6]])
    expected = stats.ttest_rel(first[:, 0], second[:, 0]).pvalue
    assert difference_p_value(first, second) == pytest.approx(expected)


def test_rows_and_seeds_both_count_by_hand() -> None:
    """Differences (1 0 0 / 1 1 0). Means over seeds 1, .5, 0: variance .25, by 3 rows
    1/12. Means over rows 1/3, 2/3: variance 1/18, by 2 seeds 1/36. Together 1/9, so that
    t = .5 / (1/3) = 1.5, with (1/9)^2 / ((1/12)^2 / 2 + (1/36)^2 / 1) degrees."""
    first, second = np.array([[1.0, 0, 0], [1, 1, 0]]), np.zeros((2, 3))
    freedom = (1 / 81) / (1 / 288 + 1 / 1296)
    expected = 2 * stats.t.sf(1.5, freedom)
    assert difference_p_value(first, second) == pytest.approx(expected)


def test_the_order_of_the_two_is_of_no_account() -> None:
    first, second = rows(1), rows(2, mean=0.6)
    assert difference_p_value(first, second) == difference_p_value(second, first)


def test_a_method_without_seeds_is_compared_with_every_seed_of_the_other() -> None:
    base, other = rows(1, seeds=1, mean=0.3), rows(2)
    repeated = np.repeat(base, 3, axis=0)
    found = difference_p_value(base, other)
    assert found == difference_p_value(other, base)
    assert found == pytest.approx(difference_p_value(repeated, other))
    assert found < 1e-6


def test_equal_methods_are_not_told_apart() -> None:
    same = rows(1)
    assert difference_p_value(same, same.copy()) == 1.0
    assert difference_p_value(same, same + 1e-15) == 1.0


def test_a_difference_without_any_spread_is_certain() -> None:
    assert difference_p_value(np.ones((2, 9)), np.zeros((2, 9))) == 0.0


def test_methods_that_are_equally_good_are_rarely_told_apart() -> None:
    """At most one time in twenty, give or take: the rate that the level promises."""
    chance = np.random.default_rng(0)
    told_apart = 0
    for _ in range(400):
        hard = chance.random(60)  # a row's own difficulty, the same for both
        first, second = (
            (chance.random((3, 60)) + chance.normal(0, 0.1, (3, 1)) > hard).astype(float)
            for _ in range(2)
        )
        told_apart += difference_p_value(first, second) < 0.05
    assert told_apart <= 32


def test_a_clear_difference_is_found() -> None:
    chance = np.random.default_rng(1)
    found = 0
    for _ in range(50):
        first = (chance.random((3, 300)) < 0.8).astype(float)
        second = (chance.random((3, 300)) < 0.6).astype(float)
        found += difference_p_value(first, second) < 0.05
    assert found >= 45


def test_holm_by_hand() -> None:
    """Sorted .01 .02 .04 .3, times 4, 3, 2 and 1, none below the one before."""
    found = holm({"c": 0.04, "a": 0.01, "d": 0.3, "b": 0.02})
    assert found == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.08, "d": 0.3})


def test_holm_never_falls_below_a_smaller_one_nor_above_one() -> None:
    assert holm({"a": 0.02, "b": 0.021}) == pytest.approx({"a": 0.04, "b": 0.04})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1)))
def test_holm_rejects_what_the_step_down_procedure_rejects(
    p_values: dict[str, float],
) -> None:
    """The procedure of the paper: go up the sorted p-values, stop at the first above
    level / (number left)."""
    rejected = set()
    ordered = sorted(p_values, key=lambda name: p_values[name])
    for k, name in enumerate(ordered):
        if p_values[name] * (len(ordered) - k) >= 0.05:
            break
        rejected.add(name)
    adjusted = holm(p_values)
    assert {name for name, p in adjusted.items() if p < 0.05} == rejected
    assert all(adjusted[name] >= p for name, p in p_values.items())


def test_the_tied_are_the_best_and_those_not_told_from_it() -> None:
    best = rows(1, mean=0.8)
    near = best.copy()
    near[0, :2] = 1 - near[0, :2]
    found = tied_with_best({"best": best, "near": near, "far": rows(3, mean=0.4)}, "best")
    assert found == {"best", "near"}


def test_more_methods_make_the_test_more_careful() -> None:
    """p = 0.02 is a difference by itself, and none among four comparisons."""
    best = np.zeros((1, 100))
    other = np.zeros((1, 100))
    other[0, :] = np.random.default_rng(0).normal(0, 1, 100)
    shift = stats.t.isf(0.01, 99) * other.std(ddof=1) / math.sqrt(100) - other.mean()
    other += shift
    assert difference_p_value(best, other) == pytest.approx(0.02)
    assert tied_with_best({"best": best, "a": other}, "best") == {"best"}
    many = {"best": best, **dict.fromkeys("abcd", other)}
    assert tied_with_best(many, "best") == {"best", *"abcd"}


def test_the_best_alone_is_tied_with_itself() -> None:
    assert tied_with_best({"best": rows(1)}, "best") == {"best"}


def test_a_method_scored_on_other_rows_is_not_called_tied() -> None:
    found = tied_with_best({"best": rows(1), "other": rows(1, n=199)}, "best")
    assert found == {"best"}
