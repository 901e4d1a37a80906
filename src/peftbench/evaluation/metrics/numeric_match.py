"""Numeric match: the share of answers that are the gold number."""

from __future__ import annotations

import math

from peftbench.evaluation.metrics._metric import Answers, Metric


def is_match(predicted: str | None, target: str) -> bool:
    """Whether both are the same number, however it is written.

    >>> is_match("7.0", "7"), is_match("8", "7"), is_match(None, "7")
    (True, False, False)
    """
    if predicted is None:
        return False
    try:
        return math.isclose(float(predicted), float(target), rel_tol=1e-6, abs_tol=1e-9)
    except ValueError:
        return False


def per_row(answers: Answers) -> list[float]:
    """1.0 for the right number, else 0.0."""
    pairs = zip(answers.predicted, answers.targets, strict=True)
    return [float(is_match(predicted, target)) for predicted, target in pairs]


def score(answers: Answers) -> float:
    """Share of right numbers; it always looks at the gold answer."""
    rows = per_row(answers)
    return sum(rows) / len(rows)


METRIC = Metric(
    score=score, unit="fraction correct", lowest=0.0, highest=1.0, per_row=per_row
)
