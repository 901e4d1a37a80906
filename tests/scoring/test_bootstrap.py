"""Intervals hold the truth as often as they say: simulated results of known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, norm, t

from peftbench.scoring.bootstrap import (
    degrees_of_freedom,
    deviations,
    interval_around,
    p_value,
)
from peftbench.testing.simulated import (
    HEAVY_TAILED,
    Simulation,
    coverage,
    coverage_of_gap,
    told_apart,
)

EFFECTS = pytest.mark.parametrize(
    "effect",
    [
        Simulation(seeds=2),
        Simulation(seeds=2, seed_effect=0.2),
        Simulation(seeds=2, seed_effect=0.2, luck=HEAVY_TAILED),
    ],
    ids=["seeds alike", "seeds apart", "heavy tails"],
)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@EFFECTS
def test_intervals_cover_at_their_nominal_rate(seeds: int, effect: Simulation) -> None:
    assert coverage([replace(effect, seeds=seeds)]) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("seeds", [2, 3, 10])
@EFFECTS
def test_equal_methods_are_told_apart_one_time_in_twenty(
    seeds: int, effect: Simulation
) -> None:
    """Give or take two in a hundred; less often where few seeds differ by chance alone."""
    same = replace(effect, seeds=seeds)
    assert 0.02 <= told_apart(same, same) <= 0.07


@EFFECTS
def test_a_known_gap_is_covered_as_often(effect: Simulation) -> None:
    worse = replace(effect, seeds=5)
    better = replace(worse, ability=0.8)
    assert coverage_of_gap(better, worse) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("effects", [(0.0,) * 4, (0.2,) * 4, (0.5, 0.1, 0.1, 0.1)])
def test_means_over_tasks_are_covered_as_often(effects: tuple[float, ...]) -> None:
    """Whether seeds matter on none of the tasks, on all alike, or on one."""
    tasks = [Simulation(seeds=3, seed_effect=effect) for effect in effects]
    assert coverage(tasks) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("seeds", "tolerance"), [(2, 0.02), (3, 0.01), (5, 0.005)])
def test_degrees_of_freedom_hold_at_every_share(seeds: int, tolerance: float) -> None:
    """Of a normal mean whose variance is known but for the seeds' part, by quadrature."""
    own, known = seeds - 1, 1.0
    chances = chi2.ppf((np.arange(4000) + 0.5) / 4000, own) / own
    for of_seeds in np.geomspace(1e-3, 1e3, 25):
        seen = of_seeds * chances
        half = t.ppf(0.975, degrees_of_freedom(own, seen / (seen + known)))
        half_widths = half * np.sqrt(seen + known)
        covered = 1 - 2 * norm.sf(half_widths / np.sqrt(of_seeds + known)).mean()
        assert covered == pytest.approx(0.95, abs=tolerance)


def test_with_one_seed_it_is_the_plain_bootstrap_of_rows() -> None:
    row = np.random.default_rng(3).random((1, 80)) ** 3  # skewed, no two alike
    again = np.random.default_rng(4)
    slow = [again.choice(row[0], 80).mean() - row.mean() for _ in range(20_000)]
    found = deviations([row], np.random.default_rng(5), 20_000)
    tails = [0.025, 0.5, 0.975]
    # Unbiased variance divides by n - 1: a hundred-and-sixtieth wider.
    assert np.quantile(found, tails) == pytest.approx(
        np.quantile(slow, tails) * np.sqrt(80 / 79), abs=0.004
    )


def test_a_score_near_one_may_be_lower_rather_than_higher() -> None:
    table = np.ones((1, 60))
    table[0, 0] = 0.0
    low, high = interval_around(
        float(table.mean()), deviations([table], np.random.default_rng(0))
    )
    assert table.mean() - low > high - table.mean()


def test_two_seeds_are_believed_very_little() -> None:
    """Student's t with one degree of freedom is 12.7."""
    table = np.repeat([[0.6], [0.7]], 4000, axis=1)
    low, high = interval_around(
        0.65, deviations([table], np.random.default_rng(0), 100_000)
    )
    assert (high - low) / 2 == pytest.approx(0.05 * 12.7, rel=0.05)


def test_no_spread_gives_no_width() -> None:
    assert not deviations([np.ones((3, 9))], np.random.default_rng(0)).any()


def test_a_mean_over_tasks_has_the_spread_of_independent_parts() -> None:
    """Without seeds: each task's variance counts a fourth."""
    tasks = [np.random.default_rng(s).random((1, 50 * s)) for s in (1, 4)]
    draws = deviations(tasks, np.random.default_rng(0), 50_000)
    variance = sum(task.var(ddof=1) / task.size for task in tasks)
    assert draws.std() == pytest.approx(np.sqrt(variance) / 2, rel=0.02)


def test_seeds_that_agree_by_luck_are_not_taken_to_be_alike() -> None:
    """Three seeds of the same score on rows of which each gets others right."""
    table = np.eye(3).repeat(20, axis=1)
    assert not table.mean(axis=1).std()
    low, high = interval_around(1 / 3, deviations([table], np.random.default_rng(0)))
    assert 0.05 < high - low < 0.4


def test_a_p_value_is_never_zero() -> None:
    assert p_value(9.0, np.zeros(99)) == pytest.approx(0.01)
    assert p_value(0.0, np.zeros(99)) == 1.0
