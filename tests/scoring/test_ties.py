"""Which methods the paired test tells from the best, and which it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from peftbench.scoring import tied_with_best
from peftbench.scoring.paired import compare
from peftbench.scoring.ties import holm


def rows(seed: int, seeds: int = 3, n: int = 200, mean: float = 0.7) -> np.ndarray:
    """Right and wrong answers of a method, seeds by rows."""
    return (np.random.default_rng(seed).random((seeds, n)) < mean).astype(float)


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
    shift = stats.norm.isf(0.01) * other.std(ddof=1) / math.sqrt(100) - other.mean()
    other += shift
    assert compare(best, other).p_value == pytest.approx(0.02, abs=0.006)
    assert tied_with_best({"best": best, "a": other}, "best") == {"best"}
    many = {"best": best, **dict.fromkeys("abcd", other)}
    assert tied_with_best(many, "best") == {"best", *"abcd"}


def test_the_best_alone_is_tied_with_itself() -> None:
    assert tied_with_best({"best": rows(1)}, "best") == {"best"}


def test_a_method_scored_on_other_rows_is_not_called_tied() -> None:
    found = tied_with_best({"best": rows(1), "other": rows(1, n=199)}, "best")
    assert found == {"best"}
