"""PEFT-Bench's accuracy on GSM8K: the number after the last ####."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric

_TOLERANCE = 1e-6


def per_row(answers: Answers) -> list[float]:
    """1.0 for a number within 10^-6 of the gold one, else 0.0."""
    return [
        float(predicted is not None and abs(float(predicted) - float(gold)) < _TOLERANCE)
        for predicted, gold in zip(answers.predicted, answers.targets, strict=True)
    ]


def score(answers: Answers) -> float:
    """Share of right numbers.

    >>> score(Answers(predicted=["18", "18.1", None], targets=["18.0", "18", "18"]))
    0.3333333333333333
    """
    rows = per_row(answers)
    return sum(rows) / len(rows)


METRIC = Metric(
    score=score, unit="fraction correct", lowest=0.0, highest=1.0, per_row=per_row
)
