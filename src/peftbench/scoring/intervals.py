"""Confidence intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from peftbench.scoring.summary import Interval

CONFIDENCE = 0.95


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean with its 95 % interval by Student's t, ``t(n-1) * s / sqrt(n)`` to each side.

    It is honest about few seeds: with two, t is 12.7. One value has no interval.
    """
    from scipy.stats import t

    n = len(values)
    if not n:
        raise ValueError("A mean over no values is undefined.")
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean=mean, low=None, high=None, seeds=1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
    return Interval(mean=mean, low=mean - half, high=mean + half, seeds=n)
