"""Where a score's uncertainty comes from: seeds, test rows, and what is neither alone.

The runs of a method on a task make a table, seeds by test rows, both drawn at random from
many possible ones. The variance of its mean is that of a two-way random-effects layout
(Searle, Casella and McCulloch, Variance Components, 1992, section 4.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: (seeds, rows): what every test row adds to the score, run by run.
RowScores = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Components:
    """Variances of one cell of the table, and how many seeds and rows there were."""

    between_seeds: float
    """Of the seeds' true means; 0 where there is one seed and so nothing to see."""
    between_rows: float
    """Of the rows' true means: some are hard for every seed."""
    residual: float
    """Of what is left: which rows a seed gets right beyond its and their means."""
    seeds: int
    rows: int

    @property
    def of_mean(self) -> float:
        """Variance of the mean over this table, for other seeds and other rows."""
        return self.of_mean_over(self.seeds, self.rows)

    def of_mean_over(self, seeds: int, rows: int) -> float:
        """Variance of the mean over a table of another size, as `power` asks for."""
        return (
            self.between_seeds / seeds
            + self.between_rows / rows
            + self.residual / (seeds * rows)
        )


def components(scores: RowScores) -> Components:
    """Unbiased estimates from the mean squares, cut off at zero.

    With one seed all spread is taken for the rows'; with one row for the seeds'.
    """
    seeds, rows = scores.shape
    by_seed, by_row = scores.mean(axis=1), scores.mean(axis=0)
    if seeds == 1 or rows == 1:
        spread = float(scores.var(ddof=1)) if scores.size > 1 else 0.0
        return Components(
            between_seeds=spread if rows == 1 else 0.0,
            between_rows=spread if seeds == 1 and rows > 1 else 0.0,
            residual=0.0,
            seeds=seeds,
            rows=rows,
        )
    left = scores - by_seed[:, None] - by_row[None, :] + scores.mean()
    residual = float((left**2).sum()) / ((seeds - 1) * (rows - 1))
    return Components(
        between_seeds=max(0.0, float(by_seed.var(ddof=1)) - residual / rows),
        between_rows=max(0.0, float(by_row.var(ddof=1)) - residual / seeds),
        residual=residual,
        seeds=seeds,
        rows=rows,
    )
