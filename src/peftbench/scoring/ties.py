"""Which methods cannot be told from the best: paired tests on the same test rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from peftbench.scoring.components import RowScores
from peftbench.scoring.paired import compare

LEVEL = 0.05


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values after Holm (1979): step down from the smallest.

    >>> holm({"a": 0.01, "b": 0.04})
    {'a': 0.02, 'b': 0.04}
    """
    adjusted, highest = {}, 0.0
    ordered = sorted(p_values, key=lambda name: p_values[name])
    for rank, name in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * p_values[name]))
        adjusted[name] = highest
    return adjusted


def tied_with(
    best: str, others: Iterable[str], p_value: Callable[[str], float], level: float = LEVEL
) -> frozenset[str]:
    """`best`, and those of `others` whose Holm-corrected p-value is not below `level`."""
    p_values = {name: p_value(name) for name in others if name != best}
    kept = {name for name, p in holm(p_values).items() if p >= level}
    return frozenset(kept | {best})


def tied_with_best(
    rows: Mapping[str, RowScores], best: str, *, level: float = LEVEL
) -> frozenset[str]:
    """The methods that the paired bootstrap does not tell from `best`, itself included."""
    comparable = [n for n, scores in rows.items() if scores.shape[1] == rows[best].shape[1]]
    return tied_with(
        best, comparable, lambda name: compare(rows[best], rows[name]).p_value, level
    )
