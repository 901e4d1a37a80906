"""Ranks of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def ranks(
    scores: Mapping[str, float], *, higher_is_better: bool = True
) -> dict[str, float]:
    """Rank of every method, 1 the best; equal scores share their mean rank.

    >>> ranks({"a": 0.9, "b": 0.5, "c": 0.9})
    {'a': 1.5, 'b': 3.0, 'c': 1.5}
    """
    from scipy.stats import rankdata

    sign = -1 if higher_is_better else 1
    ranked = rankdata([sign * score for score in scores.values()])
    return dict(zip(scores, map(float, ranked), strict=True))


def average_ranks(by_task: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean rank of the methods that have a rank in every task; the others have none."""
    complete = set.intersection(*(set(task) for task in by_task)) if by_task else set()
    return {
        name: sum(task[name] for task in by_task) / len(by_task)
        for name in sorted(complete)
    }
