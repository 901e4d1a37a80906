"""PEFT-Bench's exact match: of the first 16 characters."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric

#: Its scorer keeps texts in NumPy arrays of so many characters.
_KEPT = 16


def per_row(answers: Answers) -> list[float]:
    """1.0 where the first 16 characters agree but for case, else 0.0."""
    return [
        float(predicted is not None and _kept(predicted) == _kept(target))
        for predicted, target in zip(answers.predicted, answers.targets, strict=True)
    ]


def score(answers: Answers) -> float:
    """Share of matches.

    >>> score(Answers(predicted=["not_entailment, no"], targets=["not_entailment, yes"]))
    1.0
    """
    rows = per_row(answers)
    return sum(rows) / len(rows)


def _kept(text: str) -> str:
    return text.lower()[:_KEPT]


METRIC = Metric(
    score=score, unit="fraction correct", lowest=0.0, highest=1.0, per_row=per_row
)
