"""PEFT-Bench's accuracy on SVAMP: equations that are true, whatever was asked."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.tasks.peft_bench._equation import read_equation


def per_row(answers: Answers) -> list[float]:
    """1.0 for an equation whose sides are equal, else 0.0; the gold one is not looked at."""
    equations = (read_equation(p) if p else None for p in answers.predicted)
    return [float(found is not None and found.is_consistent) for found in equations]


def score(answers: Answers) -> float:
    """Share of predicted equations that are true. A metric to be set beside published
    numbers, and no measure of anything: ``(1 + 1) = 2`` answers every question.

    >>> score(Answers(predicted=["(1 + 1) = 2"], targets=["( 9.0 - 2.0 ) = 7.0"]))
    1.0
    """
    rows = per_row(answers)
    return sum(rows) / len(rows)


METRIC = Metric(
    score=score, unit="fraction self-consistent", lowest=0.0, highest=1.0, per_row=per_row
)
