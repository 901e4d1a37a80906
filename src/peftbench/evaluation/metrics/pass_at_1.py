"""pass@1: the share of problems whose one program passes every test."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric


def per_row(answers: Answers) -> list[float]:
    """1.0 for a program that passed, else 0.0."""
    return [float(verdict == "passed") for verdict in answers.verdicts]


def score(answers: Answers) -> float:
    """Share of programs that passed, of those that greedy decoding writes.

    >>> verdicts = ["passed", "wrong answer", "too slow", "no program"]
    >>> score(Answers(predicted=["1"] * 4, targets=["1"] * 4, verdicts=verdicts))
    0.25
    """
    rows = per_row(answers)
    return sum(rows) / len(rows)


METRIC = Metric(
    score=score,
    unit="fraction of problems solved",
    lowest=0.0,
    highest=1.0,
    per_row=per_row,
    needs=("verdicts",),
)
