"""PEFT-Bench's F1 on ReCoRD: of tokens, over rows that repeat each query."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.evaluation.metrics._record import best_f1, weighted_mean


def score(answers: Answers) -> float:
    """The official scorer's token F1, the best over a query's answers, averaged over the
    published rows: a query stands there once for each of its answers, and so counts as
    often here.

    >>> score(Answers(predicted=["the Oslo", None], targets=["Oslo", "Rome"],
    ...               references=[("Oslo", "Norway", "oslo city"), ("Rome",)]))
    0.75
    """
    return weighted_mean(answers, best_f1)


METRIC = Metric(score=score, unit="F1", lowest=0.0, highest=1.0, needs=("references",))
