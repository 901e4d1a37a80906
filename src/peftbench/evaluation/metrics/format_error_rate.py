"""Format-error rate: the share of outputs that could not be read as an answer."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric


def per_row(answers: Answers) -> list[float]:
    """1.0 for an unreadable output, else 0.0."""
    return [float(predicted is None) for predicted in answers.predicted]


def score(answers: Answers) -> float:
    """Share of unreadable outputs; lower is better."""
    rows = per_row(answers)
    return sum(rows) / len(rows)


METRIC = Metric(
    score=score,
    unit="fraction unreadable",
    lowest=0.0,
    highest=1.0,
    better="lower",
    per_row=per_row,
)
