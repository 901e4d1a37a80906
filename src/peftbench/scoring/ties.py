"""Which methods cannot be told from the best: paired tests on the same test rows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

#: (seeds, rows): what every test row adds to the score, run by run.
RowScores = npt.NDArray[np.float64]


def difference_p_value(first: RowScores, second: RowScores) -> float:
    """Two-sided p-value of no difference between two methods on one task.

    first, second: (seeds, rows), paired by row and, where both have several seeds, by
    seed; a method without seeds has one row of runs. The squared error of the mean
    difference is the sum of what rows and what seeds contribute,
    ``var_rows / rows + var_seeds / seeds``, with degrees of freedom after Welch and
    Satterthwaite. The seeds' own part also holds row noise, so the test is cautious.
    """
    from scipy.stats import t

    seeds = max(len(first), len(second))
    difference = np.broadcast_to(first, (seeds, first.shape[1])) - second
    parts = []
    for means in (difference.mean(axis=0), difference.mean(axis=1)):
        n = len(means)
        if n > 1:
            parts.append((float(means.var(ddof=1)) / n, n - 1))
    squared_error = sum(part for part, _ in parts)
    mean = float(difference.mean())
    if abs(mean) < 1e-12:  # equal but for rounding, which may well have no spread
        return 1.0
    if squared_error <= 0:
        return 0.0
    freedom = squared_error**2 / sum(part**2 / n for part, n in parts)
    return float(2 * t.sf(abs(mean) / math.sqrt(squared_error), freedom))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values after Holm (1979): step down from the smallest.

    >>> holm({"a": 0.01, "b": 0.04})
    {'a': 0.02, 'b': 0.04}
    """
    adjusted, highest = {}, 0.0
    ordered = sorted(p_values, key=lambda name: p_values[name])
    for rank, name in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * p_values[name]))
        adjusted[name] = highest
    return adjusted


def tied_with_best(
    rows: Mapping[str, RowScores], best: str, *, level: float = 0.05
) -> frozenset[str]:
    """The methods that the test does not tell from `best`, `best` itself included."""
    p_values = {
        name: difference_p_value(rows[best], scores)
        for name, scores in rows.items()
        if name != best and scores.shape[1] == rows[best].shape[1]
    }
    kept = {name for name, p in holm(p_values).items() if p >= level}
    return frozenset(kept | {best})
