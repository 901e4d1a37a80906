"""Scores over all tasks and seeds that do not hang on a few of them
(Agarwal et al., 2021, Deep RL at the Edge of the Statistical Precipice, arXiv:2108.13264).

Runs are ``scores[task][seed]``; every task needs one. Intervals resample the seeds of
each task, the tasks being fixed (the paper's stratified bootstrap).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from peftbench.scoring.bootstrap import CONFIDENCE
from peftbench.scoring.summary import Estimate

Runs = Sequence[Sequence[float]]
_Array = npt.NDArray[np.float64]

_RESAMPLES = 2_000


def chance_corrected(score: float, chance: float) -> float:
    """``(score - chance) / (1 - chance)``: 0 for an answer that ignores its prompt, 1 for
    a perfect one. It brings tasks of different chance to one scale.

    >>> chance_corrected(0.75, 0.5)
    0.5
    """
    if chance >= 1:
        raise ValueError("A task on which a constant answer is perfect says nothing.")
    return (score - chance) / (1 - chance)


def interquartile_mean(runs: Runs) -> Estimate:
    """Mean of the middle half of all runs, tasks and seeds together."""
    from scipy.stats import trim_mean

    generator = np.random.default_rng(0)
    draws = np.concatenate([_resampled(seeds, generator) for seeds in runs], axis=1)
    value = float(trim_mean(np.concatenate([np.asarray(seeds) for seeds in runs]), 0.25))
    return _estimate(value, trim_mean(draws, 0.25, axis=1), runs)


def performance_profile(runs: Runs, thresholds: Sequence[float]) -> tuple[float, ...]:
    """For each threshold, the mean over tasks of the share of seeds that score above.

    >>> performance_profile([[0.2, 0.6], [0.9, 0.9]], [0.5])
    (0.75,)
    """
    tasks = [np.asarray(seeds) for seeds in runs]
    return tuple(
        float(np.mean([(seeds > threshold).mean() for seeds in tasks]))
        for threshold in thresholds
    )


def probability_of_improvement(first: Runs, second: Runs) -> Estimate:
    """How likely a run of `first` is better than one of `second`, on a task drawn at
    random: the mean over tasks of the Mann-Whitney statistic, a tie counting half."""
    generator = np.random.default_rng(0)
    pairs = list(zip(first, second, strict=True))
    value = float(np.mean([_better(np.array([a]), np.array([b])) for a, b in pairs]))
    draws = [_better(_resampled(a, generator), _resampled(b, generator)) for a, b in pairs]
    return _estimate(value, np.mean(draws, axis=0), [*first, *second])


def _better(first: _Array, second: _Array) -> _Array:
    """(draws,): share of pairs of seeds of which the first is better; from (draws, seeds)."""
    above = first[:, :, None] > second[:, None, :]
    equal = first[:, :, None] == second[:, None, :]
    better: _Array = (above + 0.5 * equal).mean(axis=(1, 2))
    return better


def _resampled(seeds: Sequence[float], generator: np.random.Generator) -> _Array:
    """(draws, seeds): the seeds of one task drawn again, with replacement."""
    values = np.asarray(seeds, dtype=np.float64)
    return values[generator.integers(len(values), size=(_RESAMPLES, len(values)))]


def _estimate(value: float, draws: _Array, runs: Runs) -> Estimate:
    if all(len(seeds) == 1 for seeds in runs):  # nothing to resample
        return Estimate(value=value, low=None, high=None)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value=value, low=float(low), high=float(high))
