"""The hierarchical bootstrap: how a score would vary with other seeds and other test rows.

A draw adds up three parts, one for each of the variance components:

- rows are resampled, so that the shape of their scores counts (an accuracy near 1 cannot
  rise as far as it can fall). The same rows serve all seeds, as they do in the table.
- seeds are few. Resampling three values understates their spread, and how much they
  differ is itself uncertain: their part is normal, with a variance drawn from the values
  that could have given the spread that was seen (a fiducial distribution, as in the
  generalised intervals of Weerahandi, 1993, JASA 88). If seeds alone differ, this is
  Student's t with ``seeds - 1`` degrees of freedom.
- what is left is a mean over all cells, and normal.

Means over tasks add up the draws of their tasks, which are independent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from peftbench.scoring.components import RowScores, components

Draws = npt.NDArray[np.float64]

RESAMPLES = 10_000
CONFIDENCE = 0.95

#: From so many different row scores on, their mean is normal for all purposes.
_NORMAL_FROM = 200


def deviations(
    scores: RowScores, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Draws:
    """How far the mean might lie from the truth: (resamples,) draws around zero.

    scores: (seeds, rows).
    """
    found = components(scores)
    seeds, rows = scores.shape
    draws = _row_part(scores, np.sqrt(found.between_rows / rows), generator, resamples)
    if seeds > 1:
        draws += _seed_part(scores, found.residual, generator, resamples)
    if found.residual > 0:
        draws += generator.normal(0, np.sqrt(found.residual / scores.size), resamples)
    return draws


def interval_around(mean: float, draws: Draws) -> tuple[float, float]:
    """The 95 % percentile interval of `mean`, whose deviations are `draws`."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return mean + float(low), mean + float(high)


def p_value(mean: float, draws: Draws) -> float:
    """Two-sided p-value of a true mean of zero: how often draws lie further out.

    Never 0: with n draws it is at least ``1 / (n + 1)``.
    """
    beyond = int((np.abs(draws) >= abs(mean)).sum())
    return (beyond + 1) / (len(draws) + 1)


def mean_of(draws: Sequence[Draws]) -> Draws:
    """Draws of the mean over several independent scores."""
    total: Draws = np.mean(np.stack(draws), axis=0)
    return total


def _seed_part(
    scores: RowScores, residual: float, generator: np.random.Generator, resamples: int
) -> Draws:
    """What other seeds would do: normal, of a variance that is itself uncertain."""
    seeds, rows = scores.shape
    seen = float(scores.mean(axis=1).var(ddof=1))
    possible = seen * (seeds - 1) / generator.chisquare(seeds - 1, resamples)
    between = np.maximum(0.0, possible - residual / rows)
    return np.asarray(generator.normal(size=resamples) * np.sqrt(between / seeds))


def _row_part(
    scores: RowScores, scale: float, generator: np.random.Generator, resamples: int
) -> Draws:
    """Resampled means of the rows, their spread being `scale`."""
    by_row = scores.mean(axis=0)
    values, counts = np.unique(by_row, return_counts=True)
    if scale == 0 or len(values) == 1:
        return np.zeros(resamples)
    if len(values) >= _NORMAL_FROM:
        return generator.normal(0, scale, resamples)
    rows = len(by_row)
    taken = generator.multinomial(rows, counts / rows, resamples)
    means = taken @ (values - by_row.mean()) / rows
    # The rows' own means also hold residual noise: bring them to the rows' true spread.
    return np.asarray(means * (scale * np.sqrt(rows) / by_row.std()))
