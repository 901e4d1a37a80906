"""PEFT-Bench's Spearman correlation: an unreadable output counts as the number -1."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.evaluation.metrics.pearson import correlation
from peftbench.evaluation.metrics.peft_bench_pearson import numbers


def score(answers: Answers) -> float:
    """Pearson's r of the ranks; 0 where a side is constant.

    >>> score(Answers(predicted=["1", None, "3"], targets=["1", "2", "3"]))
    0.5
    """
    from scipy.stats import rankdata

    read, gold = numbers(answers)
    return correlation(rankdata(read), rankdata(gold))


METRIC = Metric(
    score=score, unit="correlation", lowest=-1.0, highest=1.0, chance_is_zero=True
)
