"""Simulated results of known truth, and how often the statistics are right about them.

    python benchmarks/interval_coverage.py

prints the rates for the numbers of seeds that benchmarks have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, t

from peftbench.scoring.bootstrap import Draws, deviations, interval_around, p_value
from peftbench.scoring.components import RowScores

#: How lucky seeds are: distributions of mean 0 and variance 1.
NORMAL = norm()
#: Student's t with three degrees of freedom.
HEAVY_TAILED = t(3, scale=3**-0.5)

#: Draws of one interval: as many as put its ends to within a tenth of their width.
_RESAMPLES = 500

_Tables = Callable[[np.random.Generator], Sequence[RowScores]]


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Right and wrong answers of a method: right where ability, the seed's luck and chance
    exceed the row's difficulty; all of variance 1 but for the luck."""

    seeds: int
    ability: float = 0.5
    seed_effect: float = 0.0
    """Standard deviation of the luck."""
    luck: Any = NORMAL
    rows: int = 120

    @property
    def truth(self) -> float:
        """The accuracy over all seeds and all rows that there might be."""
        chances = (np.arange(20_000) + 0.5) / 20_000
        of_seeds = self.ability + self.seed_effect * self.luck.ppf(chances)
        return float(norm.cdf(of_seeds / 2**0.5).mean())

    def rows_drawn(self, chance: np.random.Generator) -> RowScores:
        """(rows,): how difficult they are."""
        return chance.normal(size=self.rows)

    def runs(self, difficulty: RowScores, chance: np.random.Generator) -> RowScores:
        """(seeds, rows) of zeros and ones: what was answered right."""
        luck = self.luck.rvs(size=(self.seeds, 1), random_state=chance)
        noise = chance.normal(size=(self.seeds, self.rows))
        able = self.ability + self.seed_effect * luck + noise
        return np.asarray(able > difficulty, dtype=np.float64)


def coverage(tasks: Sequence[Simulation], simulations: int = 2000) -> float:
    """How often the 95 % interval of the mean over tasks holds the true mean."""
    truth = float(np.mean([task.truth for task in tasks]))
    return _covered(
        truth,
        lambda chance: [t.runs(t.rows_drawn(chance), chance) for t in tasks],
        simulations,
    )


def coverage_of_gap(
    first: Simulation, second: Simulation, simulations: int = 2000
) -> float:
    """How often the 95 % interval of the paired difference holds the true one."""
    truth = first.truth - second.truth
    return _covered(truth, lambda chance: [_difference(first, second, chance)], simulations)


def told_apart(first: Simulation, second: Simulation, simulations: int = 2000) -> float:
    """How often the paired test finds a difference at 5 %."""
    seen = _seen(lambda chance: [_difference(first, second, chance)], simulations)
    return sum(p_value(mean, draws) < 0.05 for mean, draws in seen) / simulations


def _covered(truth: float, tables: _Tables, simulations: int) -> float:
    inside = 0
    for mean, draws in _seen(tables, simulations):
        low, high = interval_around(mean, draws)
        inside += low <= truth <= high
    return inside / simulations


def _seen(tables: _Tables, simulations: int) -> Iterator[tuple[float, Draws]]:
    """The mean over tables that are drawn anew each time, and its deviations."""
    chance = np.random.default_rng(0)
    for _ in range(simulations):
        found = tables(chance)
        mean = float(np.mean([table.mean() for table in found]))
        yield mean, deviations(found, chance, _RESAMPLES)


def _difference(
    first: Simulation, second: Simulation, chance: np.random.Generator
) -> RowScores:
    """Of two methods on the same rows."""
    difficulty = first.rows_drawn(chance)
    return first.runs(difficulty, chance) - second.runs(difficulty, chance)
