"""Two methods on the same test rows: how far apart, how sure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from peftbench.scoring.bootstrap import deviations, interval_around, p_value
from peftbench.scoring.components import RowScores
from peftbench.scoring.summary import Difference


def paired(first: RowScores, second: RowScores) -> RowScores:
    """``first - second``, paired by row and by seed.

    A method without seeds meets every seed of the other with its one run. Raises
    `ValueError` where rows, or seeds beyond one, are not the same number.
    """
    seeds = {len(first), len(second)} - {1}
    if first.shape[1] != second.shape[1] or len(seeds) > 1:
        raise ValueError(
            f"Cannot pair {first.shape} with {second.shape} (seeds, rows): both methods "
            "need the same test rows and the same seeds."
        )
    count = max(len(first), len(second))
    return np.broadcast_to(first, (count, first.shape[1])) - second


def compare(first: RowScores, second: RowScores) -> Difference:
    """The paired bootstrap: the mean difference, its 95 % interval and p-value.

    The two agree: the interval holds zero just where p is above 5 %, but for the skew of
    row scores. The draws are the same every time.
    """
    return mean_difference([paired(first, second)])


def mean_difference(tables: Sequence[RowScores]) -> Difference:
    """As `compare`, of the mean over tasks: a table of differences for each."""
    mean = float(np.mean([table.mean() for table in tables]))
    if all(np.ptp(table) < 1e-12 for table in tables):  # nothing to resample
        return Difference(mean=mean, low=mean, high=mean, p_value=float(abs(mean) < 1e-12))
    draws = deviations(tables, np.random.default_rng(0))
    low, high = interval_around(mean, draws)
    return Difference(mean=mean, low=low, high=high, p_value=p_value(mean, draws))


def mcnemar(first: RowScores, second: RowScores) -> float:
    """Two-sided p-value of equal accuracy on the rows of which one method alone is right.

    first, second: (seeds, rows) of zeros and ones. With one run each it is McNemar's exact
    test (1947, Psychometrika 12). With several seeds a row's runs are not independent, and
    rows are clusters: ``(sum d)^2 / sum d^2`` of the rows' differences d is chi-squared
    with one degree of freedom (Obuchowski, 1998, Statistics in Medicine 17). It speaks of
    these trained runs on other rows; other seeds are beyond it.
    """
    from scipy.stats import binomtest, chi2

    difference = paired(first, second)
    if len(difference) == 1:
        only_first, only_second = int((difference > 0).sum()), int((difference < 0).sum())
        discordant = only_first + only_second
        return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    by_row = difference.sum(axis=0)
    spread = float((by_row**2).sum())
    if math.isclose(spread, 0.0, abs_tol=1e-12):
        return 1.0
    return float(chi2.sf(float(by_row.sum()) ** 2 / spread, df=1))
