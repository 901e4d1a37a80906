"""Average ranks over tasks, and which differences between them are more than chance
(Demšar, 2006, Journal of Machine Learning Research 7, 1-30)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from peftbench.scoring.ranks import average_ranks, ranks
from peftbench.scoring.summary import CriticalDifference
from peftbench.scoring.ties import LEVEL, holm


def critical_difference(
    score_by_task: Sequence[Mapping[str, float]], level: float = LEVEL
) -> CriticalDifference | None:
    """Friedman's test over tasks, Nemenyi's critical difference, and the cliques.

    score_by_task: for each task the methods' mean scores, higher being better (turn the
    sign of others). Tasks are the blocks; methods without a score in every task are left
    out. A clique is a run of neighbours in the order of average ranks of which no two are
    told apart: by Nemenyi's distance, or by Wilcoxon's signed-rank test, Holm-corrected
    over all pairs. None where fewer than three methods or two tasks are left: there is
    nothing to test.
    """
    average = average_ranks([ranks(task) for task in score_by_task])
    names = sorted(average, key=lambda name: average[name])
    if len(names) < 3 or len(score_by_task) < 2:
        return None
    columns = {name: [task[name] for task in score_by_task] for name in names}
    distance = nemenyi_distance(len(names), len(score_by_task), level)
    p_values = wilcoxon_holm(columns)
    return CriticalDifference(
        friedman_p_value=friedman(list(columns.values())),
        distance=distance,
        average_ranks=average,
        nemenyi_cliques=_cliques(
            names, lambda a, b: abs(average[a] - average[b]) < distance
        ),
        wilcoxon_cliques=_cliques(names, lambda a, b: p_values[a, b] >= level),
    )


def nemenyi_distance(methods: int, tasks: int, level: float = LEVEL) -> float:
    """``q * sqrt(k (k + 1) / (6 N))`` for k methods and N tasks: average ranks further
    apart differ (Demšar, equation after table 5).

    >>> round(nemenyi_distance(4, 30), 3)  # q is 2.569
    0.856
    """
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - level, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * tasks))


def friedman(columns: Sequence[Sequence[float]]) -> float:
    """P-value of all methods being equal; 1 where every task ties them all."""
    from scipy.stats import friedmanchisquare

    if all(len(set(task)) == 1 for task in zip(*columns, strict=True)):
        return 1.0
    return float(friedmanchisquare(*columns).pvalue)


def wilcoxon_holm(
    columns: Mapping[str, Sequence[float]],
) -> dict[tuple[str, str], float]:
    """Adjusted p-values of all pairs, in the order of `columns`; scores are by task."""
    from scipy.stats import wilcoxon

    raw: dict[str, float] = {}
    pairs = list(combinations(columns, 2))
    for place, (first, second) in enumerate(pairs):
        gaps = [a - b for a, b in zip(columns[first], columns[second], strict=True)]
        raw[str(place)] = float(wilcoxon(gaps).pvalue) if any(gaps) else 1.0
    adjusted = holm(raw)
    return {pair: adjusted[str(place)] for place, pair in enumerate(pairs)}


def _cliques(
    names: Sequence[str], is_equal: Callable[[str, str], bool]
) -> tuple[tuple[str, ...], ...]:
    """The longest runs of neighbours of which no two are told apart; singles left out."""
    found: list[tuple[str, ...]] = []
    end_before = 0
    for start in range(len(names)):
        end = start + 1
        while end < len(names) and all(is_equal(a, names[end]) for a in names[start:end]):
            end += 1
        if end - start > 1 and end > end_before:
            found.append(tuple(names[start:end]))
            end_before = end
    return tuple(found)
