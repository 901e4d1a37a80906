"""What a search over settings found, and what it would have found with fewer trials."""

from __future__ import annotations

from collections.abc import Sequence


def expected_best(scores: Sequence[float], *, higher: bool = True) -> list[float]:
    """Expected validation performance: the best score to expect of 1, 2, ... n trials
    drawn from these n with replacement (Dodge et al., 2019, arXiv:1909.03004, section 3).

    >>> expected_best([1.0, 3.0])  # two draws: both 1 one time in four
    [2.0, 2.5]
    """
    n = len(scores)
    ordered = sorted(scores, reverse=not higher)
    return [
        sum(
            score * ((i / n) ** draws - ((i - 1) / n) ** draws)
            for i, score in enumerate(ordered, start=1)
        )
        for draws in range(1, n + 1)
    ]
