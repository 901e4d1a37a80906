"""PEFT-Bench's exact match on ReCoRD, over rows that repeat each query."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.evaluation.metrics._record import exact_match, weighted_mean


def score(answers: Answers) -> float:
    """The official scorer's exact match with any of a query's answers, averaged as
    `peft_bench_record_f1` is.

    >>> score(Answers(predicted=["the Oslo", None], targets=["Oslo", "Rome"],
    ...               references=[("Oslo", "Norway", "oslo city"), ("Rome",)]))
    0.75
    """
    return weighted_mean(answers, exact_match)


METRIC = Metric(
    score=score, unit="fraction correct", lowest=0.0, highest=1.0, needs=("references",)
)
