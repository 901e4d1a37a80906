"""What every test row adds to a score, and the score's standard error, by the jackknife
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from peftbench.evaluation.metrics._metric import Answers, Metric


def pseudo_values(metric: Metric, answers: Answers) -> list[float]:
    """``n * score - (n - 1) * score without row i`` for every row i.

    Their mean estimates the score, their spread its error. For a mean over rows they
    are the rows' own scores. Rows that are equal in all that the metric reads have equal
    pseudo-values, so that each distinct one is left out only once.
    """
    if metric.per_row is not None:
        return metric.per_row(answers)
    n = len(answers)
    if n == 1:
        return [metric.score(answers)]
    whole = metric.score(answers)
    read = ("predicted", "targets", *metric.needs)
    rows = list(map(repr, zip(*(getattr(answers, name) for name in read), strict=True)))
    found: dict[str, float] = {}
    for i, row in enumerate(rows):
        if row not in found:
            rest = answers.take([*range(i), *range(i + 1, n)])
            found[row] = n * whole - (n - 1) * metric.score(rest)
    return [found[row] for row in rows]


def standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean of pseudo-values; None for a single row."""
    n = len(values)
    if n < 2:
        return None
    mean = sum(values) / n
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
