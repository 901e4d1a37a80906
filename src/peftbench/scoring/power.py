"""How many seeds and test rows it takes to tell two methods apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from peftbench.scoring.bootstrap import degrees_of_freedom, least_seen
from peftbench.scoring.components import Components

_Array = npt.NDArray[np.float64]

#: The chance that a true difference of the asked size is found.
POWER = 0.8
_LEVEL = 0.05
#: Points at which the seeds' spread is averaged over what chance makes of it.
_CHANCES = 80
_MOST_SEEDS = 1_000
_MOST_ROWS = 100_000_000

#: Where nothing was measured yet: of the differences of two accuracies, one row in five
#: is answered right by one method alone, half of these by chance of the seed; and seeds
#: differ by a point. PEFT methods on RTE-sized tasks differ by more, on MNLI by less.
ASSUMED = Components(between_seeds=2e-4, between_rows=0.1, residual=0.1, seeds=1, rows=1)


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What one question needs; None where no number suffices."""

    margin: float
    """The true difference in headline score, as a fraction."""
    seeds: int | None
    """With the test rows there are."""
    rows: int | None
    """With the seeds there are."""
    detectable: float | None
    """The smallest difference that the seeds and rows at hand find so often."""


def needed(margin: float, differences: Components, *, seeds: int, rows: int) -> Needed:
    """Seeds and rows to find a paired difference of `margin` in four of five benchmarks.

    `differences` are the variance components of the row-by-row differences of two
    methods, measured on a pilot or `ASSUMED`.
    """
    if not 0 < margin <= 1:
        raise ValueError(f"A margin is a fraction above 0 and at most 1, got {margin}.")
    return Needed(
        margin=margin,
        seeds=_smallest(
            lambda n: power(margin, differences, seeds=n, rows=rows) >= POWER,
            most=_MOST_SEEDS,
        ),
        rows=_smallest(
            lambda n: power(margin, differences, seeds=seeds, rows=n) >= POWER,
            most=_MOST_ROWS,
        ),
        detectable=_detectable(differences, seeds=seeds, rows=rows),
    )


def power(margin: float, differences: Components, *, seeds: int, rows: int) -> float:
    """Chance that a two-sided test at 5 % finds a true difference of `margin`.

    The mean difference is normal; the width of its interval depends on how much the seeds
    happen to differ, which is chi-squared (the test is `bootstrap.deviations`, without
    its resampling of rows). One seed shows nothing of how seeds differ, so that no
    difference can be put down to the method: 0.
    """
    from scipy.stats import norm

    if seeds < 2 or rows < 2:
        return 0.0
    spread = math.sqrt(differences.of_mean_over(seeds, rows))
    if spread <= 0:
        return 1.0
    half_widths = _half_widths(differences, seeds, rows)
    return float(norm.sf((half_widths - margin) / spread).mean())


def _half_widths(differences: Components, seeds: int, rows: int) -> _Array:
    """Half the interval's width for each of the equally likely spreads of the seeds."""
    from scipy.stats import chi2, t

    own = seeds - 1
    noise = differences.residual / rows
    spreads = (differences.between_seeds + noise) * chi2.ppf(
        (np.arange(_CHANCES) + 0.5) / _CHANCES, own
    )
    of_seeds = np.maximum(spreads / own, least_seen(own, noise)) / seeds
    of_mean = of_seeds + differences.between_rows / rows
    freedom = degrees_of_freedom(own, of_seeds / of_mean)
    half_widths: _Array = t.ppf(1 - _LEVEL / 2, freedom) * np.sqrt(of_mean)
    return half_widths


def _detectable(differences: Components, *, seeds: int, rows: int) -> float | None:
    """The smallest margin with enough power, to a thousandth of a point; by bisection."""
    low, high = 0.0, 1.0
    if power(high, differences, seeds=seeds, rows=rows) < POWER:
        return None
    while high - low > 1e-5:
        middle = (low + high) / 2
        if power(middle, differences, seeds=seeds, rows=rows) >= POWER:
            high = middle
        else:
            low = middle
    return high


def _smallest(suffices: Callable[[int], bool], *, most: int) -> int | None:
    """The smallest number from 2 to `most` that suffices, where more is never worse."""
    if not suffices(most):
        return None
    low, high = 1, 2
    while not suffices(high):
        low, high = high, min(most, 2 * high)
    while high - low > 1:
        middle = (low + high) // 2
        if suffices(middle):
            high = middle
        else:
            low = middle
    return high
