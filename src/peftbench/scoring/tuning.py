"""What a search over settings found, and what it would have found with fewer trials."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from peftbench.store.record import TrialResult


def best_trial(trials: Sequence[TrialResult], *, higher: bool) -> TrialResult:
    """The trial with the best validation score; of equal ones the first, which is nearer
    to the default. The default where none has a score."""
    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        return trials[0]
    sign = 1 if higher else -1
    return max(scored, key=lambda t: (sign * (t.score or 0.0), -t.number))


def expected_best(scores: Sequence[float], *, higher: bool = True) -> list[float]:
    """Expected validation performance: the best score to expect of 1, 2, ... n trials
    drawn from these n with replacement (Dodge et al., 2019, arXiv:1909.03004, section 3).

    >>> expected_best([1.0, 3.0])  # two draws: both 1 one time in four
    [2.0, 2.5]
    """
    n = len(scores)
    ordered = sorted(scores, reverse=not higher)
    return [
        sum(
            score * ((i / n) ** draws - ((i - 1) / n) ** draws)
            for i, score in enumerate(ordered, start=1)
        )
        for draws in range(1, n + 1)
    ]


def median_bounds(
    curves: Sequence[Sequence[float]], *, looks: int, startup: int = 4
) -> tuple[float | None, ...]:
    """For each look the median of what finished trials scored there, once there are
    `startup` of them: a trial whose best score lies below is not worth going on (Golovin
    et al., 2017, Google Vizier, section 3.2, in the form of Optuna's `MedianPruner`)."""
    if len(curves) < startup:
        return (None,) * looks
    return tuple(
        median(curve[look] for curve in curves if len(curve) > look)
        for look in range(looks)
    )
