"""Spearman correlation: Pearson's r of the ranks, ties sharing their mean rank."""

from __future__ import annotations

from peftbench.evaluation.metrics._metric import Answers, Metric
from peftbench.evaluation.metrics.pearson import correlation, filled, numbers


def score(answers: Answers) -> float:
    """Rank correlation in [-1, 1]. An unreadable answer gets the mean rank of the readable
    ones, for the reason given in `pearson`.

    >>> score(Answers(predicted=["1", "2", "9"], targets=["2", "4", "6"]))
    1.0
    """
    from scipy.stats import rankdata

    read, gold = numbers(answers)
    return correlation(filled(rankdata(read, nan_policy="omit")), rankdata(gold))


METRIC = Metric(
    score=score, unit="correlation", lowest=-1.0, highest=1.0, chance_is_zero=True
)
