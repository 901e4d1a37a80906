"""Predicted power is what the test then has; more never needs more."""

from __future__ import annotations

import numpy as np
import pytest

from peftbench.scoring.bootstrap import deviations, p_value
from peftbench.scoring.components import Components
from peftbench.scoring.power import ASSUMED, POWER, needed, power

TRUE = Components(between_seeds=4e-4, between_rows=0.1, residual=0.1, seeds=1, rows=1)


@pytest.mark.parametrize(("seeds", "rows", "margin"), [(3, 250, 0.06), (5, 250, 0.06)])
def test_the_test_finds_a_known_gap_as_often_as_predicted(
    seeds: int, rows: int, margin: float
) -> None:
    chance = np.random.default_rng(0)
    found = 0
    for _ in range(600):
        table = (
            margin
            + chance.normal(0, TRUE.between_seeds**0.5, (seeds, 1))
            + chance.normal(0, TRUE.between_rows**0.5, (1, rows))
            + chance.normal(0, TRUE.residual**0.5, (seeds, rows))
        )
        draws = deviations([table], chance, 500)
        found += p_value(float(table.mean()), draws) < 0.05
    predicted = power(margin, TRUE, seeds=seeds, rows=rows)
    assert 0.3 < predicted < 0.95
    assert found / 600 == pytest.approx(predicted, abs=0.06)


def test_what_is_needed_suffices_and_one_less_does_not() -> None:
    found = needed(0.05, TRUE, seeds=5, rows=400)
    assert found.seeds is not None
    assert found.rows is not None
    assert power(0.05, TRUE, seeds=found.seeds, rows=400) >= POWER
    assert power(0.05, TRUE, seeds=found.seeds - 1, rows=400) < POWER
    assert power(0.05, TRUE, seeds=5, rows=found.rows) >= POWER
    assert power(0.05, TRUE, seeds=5, rows=found.rows - 1) < POWER


def test_the_detectable_margin_is_where_power_suffices() -> None:
    found = needed(0.01, ASSUMED, seeds=3, rows=1000).detectable
    assert found is not None
    assert power(found, ASSUMED, seeds=3, rows=1000) == pytest.approx(POWER, abs=1e-3)


def test_one_seed_tells_no_methods_apart() -> None:
    assert power(0.5, TRUE, seeds=1, rows=1000) == 0.0
    found = needed(0.5, TRUE, seeds=1, rows=1000)
    assert (found.rows, found.detectable) == (None, None)
    assert found.seeds is not None


def test_no_number_of_rows_makes_up_for_seeds_that_differ() -> None:
    found = needed(0.005, ASSUMED, seeds=3, rows=1000)
    assert found.rows is None
    assert found.seeds is None or found.seeds > 3


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.5])
def test_a_margin_is_a_fraction(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        needed(margin, ASSUMED, seeds=3, rows=100)
