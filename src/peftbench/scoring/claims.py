"""Which tasks a stated average leaves out: found from the numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

#: An average is taken to match where rounding to one decimal explains the rest.
ROUNDING = 0.05
_MOST_LEFT_OUT = 2


def explanation(scores: Mapping[str, float], stated: float) -> str:
    """How a stated mean (points, one decimal) follows from the scores, in words.

    Subsets are tried from the largest down: all tasks, all but one, all but two. What
    matches may still be chance where several do, and the words say how many.

    >>> explanation({"a": 90.0, "b": 70.0, "c": 20.0}, 80.0)
    'the mean without c; no other single task explains it'
    """
    if _matches(list(scores.values()), stated):
        return f"the mean of all {len(scores)} tasks"
    for size in range(1, _MOST_LEFT_OUT + 1):
        found = [
            left_out
            for left_out in combinations(scores, size)
            if _matches([s for task, s in scores.items() if task not in left_out], stated)
        ]
        if found and size == 1:
            return _one_left_out([task for (task,) in found])
        if found:
            pairs = len(scores) * (len(scores) - 1) // 2
            return (
                f"no single task explains it; of {pairs} pairs {len(found)} would, which may "
                "be chance"
            )
    return f"leaving out one or two of the {len(scores)} tasks does not explain it"


def _one_left_out(tasks: Sequence[str]) -> str:
    if len(tasks) == 1:
        return f"the mean without {tasks[0]}; no other single task explains it"
    return f"the mean without one task, which may be {' or '.join(tasks)}"


def _matches(scores: Sequence[float], stated: float) -> bool:
    return bool(scores) and abs(sum(scores) / len(scores) - stated) <= ROUNDING + 1e-9
