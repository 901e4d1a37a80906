"""Matthews correlation, for any number of labels (Gorodkin, 2004, R_K)."""

from __future__ import annotations

import math
from collections import Counter

from peftbench.evaluation.metrics._metric import Answers, Metric


def score(answers: Answers) -> float:
    """R_K with unreadable answers as one more predicted class; 0 for constant answers.

    >>> score(Answers(predicted=["a", "b"], targets=["a", "b"], labels=("a", "b")))
    1.0
    """
    n = len(answers)
    given, gold = Counter(answers.predicted), Counter(answers.targets)
    hits = sum(p == t for p, t in zip(answers.predicted, answers.targets, strict=True))
    covariance = hits * n - sum(given[label] * gold[label] for label in gold)
    spread_given = n * n - sum(count * count for count in given.values())
    spread_gold = n * n - sum(count * count for count in gold.values())
    if not spread_given or not spread_gold:
        return 0.0
    return covariance / math.sqrt(spread_given * spread_gold)


METRIC = Metric(
    score=score, unit="correlation", lowest=-1.0, highest=1.0, chance_is_zero=True
)
