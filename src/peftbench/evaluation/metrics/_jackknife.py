"""What every test row adds to a score, and the score's standard error, by the jackknife
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from peftbench.evaluation.metrics._metric import Answers, Metric


def pseudo_values(metric: Metric, answers: Answers) -> list[float]:
    """``n * score - (n - 1) * score without row i`` for every row i.

    Their mean estimates the score, their spread its error. For a mean over rows they
    are the rows' own scores. Rows with equal answer and target have equal pseudo-values,
    so that each distinct pair is left out only once.
    """
    if metric.per_row is not None:
        return metric.per_row(answers)
    n = len(answers)
    if n == 1:
        return [metric.score(answers)]
    whole = metric.score(answers)
    pairs = list(zip(answers.predicted, answers.targets, strict=True))
    found: dict[tuple[str | None, str], float] = {}
    for i, pair in enumerate(pairs):
        if pair not in found:
            rest = replace(
                answers,
                predicted=[*answers.predicted[:i], *answers.predicted[i + 1 :]],
                targets=[*answers.targets[:i], *answers.targets[i + 1 :]],
            )
            found[pair] = n * whole - (n - 1) * metric.score(rest)
    return [found[pair] for pair in pairs]


def standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean of pseudo-values; None for a single row."""
    n = len(values)
    if n < 2:
        return None
    mean = sum(values) / n
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
