"""Variance components are the textbook's, and unbiased on tables of known truth."""

from __future__ import annotations

import numpy as np
import pytest

from peftbench.scoring.components import components


def test_by_hand() -> None:
    """(1 0 0 / 1 1 0): means over seeds 1, .5, 0; over rows 1/3, 2/3; residuals of ±1/6
    and ±1/3, their squares adding up to 1/3 over two degrees of freedom."""
    found = components(np.array([[1.0, 0, 0], [1, 1, 0]]))
    assert found.residual == pytest.approx(1 / 6)
    assert found.between_rows == pytest.approx(1 / 4 - 1 / 12)
    assert found.between_seeds == 0.0  # 1/18 - 1/18
    assert found.of_mean == pytest.approx((1 / 6) / 3 + (1 / 6) / 6)


def test_they_are_unbiased() -> None:
    chance = np.random.default_rng(0)
    seen = [
        components(
            chance.normal(0, 0.5, (4, 1))
            + chance.normal(0, 2.0, (1, 30))
            + chance.normal(0, 1.0, (4, 30))
        )
        for _ in range(600)
    ]
    assert np.mean([c.between_seeds for c in seen]) == pytest.approx(0.25, rel=0.1)
    assert np.mean([c.between_rows for c in seen]) == pytest.approx(4.0, rel=0.05)
    assert np.mean([c.residual for c in seen]) == pytest.approx(1.0, rel=0.05)


def test_one_seed_or_one_row_takes_all_the_spread() -> None:
    line = np.array([[0.0, 1.0, 1.0]])
    assert components(line).between_rows == pytest.approx(1 / 3)
    assert components(line).between_seeds == 0.0
    assert components(line.T).between_seeds == pytest.approx(1 / 3)
    assert components(line.T).of_mean == pytest.approx(1 / 9)
    assert components(np.array([[1.0]])).of_mean == 0.0


def test_a_table_of_another_size_divides_each_part_by_its_own_number() -> None:
    found = components(np.random.default_rng(0).random((3, 20)))
    bigger = found.of_mean_over(10, 200)
    expected = found.between_seeds / 10 + found.between_rows / 200 + found.residual / 2000
    assert bigger == pytest.approx(expected)
