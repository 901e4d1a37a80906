"""Accuracy: the share of answers that equal their target."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric


def per_row(answers: Answers) -> list[float]:
    """1.0 for an answer that equals its target, else 0.0; unreadable ones are wrong."""
    pairs = zip(answers.predicted, answers.targets, strict=True)
    return [float(predicted == target) for predicted, target in pairs]


def score(answers: Answers) -> float:
    """Share of right answers.

    >>> score(Answers(predicted=["yes", None, "no"], targets=["yes", "no", "no"]))
    0.6666666666666666
    """
    rows = per_row(answers)
    return sum(rows) / len(rows)


METRIC = Metric(
    score=score, unit="fraction correct", lowest=0.0, highest=1.0, per_row=per_row
)
