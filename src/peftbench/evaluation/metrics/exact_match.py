"""Exact match: the share of free answers that are one of the right ones."""

from __future__ import annotations

from peftbench.evaluation.metrics import _record
from peftbench.evaluation.metrics._metric import Answers, Metric


def per_row(answers: Answers) -> list[float]:
    """1.0 for an answer that equals a reference but for case, punctuation and articles."""
    return [
        _record.exact_match(predicted or "", references)
        for predicted, references in zip(
            answers.predicted, answers.all_references, strict=True
        )
    ]


def score(answers: Answers) -> float:
    """Share of right answers; a row counts once, however many references it has.

    >>> score(Answers(predicted=["the Oslo", "Bonn"], targets=["Oslo", "Rome"],
    ...               references=[("Oslo", "Norway"), ("Rome",)]))
    0.5
    """
    rows = per_row(answers)
    return sum(rows) / len(rows)


METRIC = Metric(
    score=score,
    unit="fraction correct",
    lowest=0.0,
    highest=1.0,
    per_row=per_row,
    needs=("references",),
)
