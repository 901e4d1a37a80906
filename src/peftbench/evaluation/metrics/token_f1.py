"""Token F1: how many words a free answer shares with the nearest right one."""

from __future__ import annotations

from peftbench.evaluation.metrics import _record
from peftbench.evaluation.metrics._metric import Answers, Metric


def per_row(answers: Answers) -> list[float]:
    """F1 of the words, without case, punctuation and articles; the best of all references."""
    return [
        _record.best_f1(predicted or "", references)
        for predicted, references in zip(
            answers.predicted, answers.all_references, strict=True
        )
    ]


def score(answers: Answers) -> float:
    """Mean over rows; a row counts once, however many references it has.

    >>> score(Answers(predicted=["Lena Falk", "Bonn"], targets=["Falk", "Bonn"],
    ...               references=[("Falk", "Oslo"), ("Bonn",)]))
    0.8333333333333333
    """
    rows = per_row(answers)
    return sum(rows) / len(rows)


METRIC = Metric(
    score=score, unit="F1", lowest=0.0, highest=1.0, per_row=per_row, needs=("references",)
)
