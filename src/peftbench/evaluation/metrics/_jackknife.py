"""What every test row adds to a score, and the score's standard error, by the jackknife
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11)."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

from peftbench.evaluation.metrics._metric import Answers, Metric


def pseudo_values(metric: Metric, answers: Answers) -> list[float | None]:
    """``n * score - (n - 1) * score without unit i``, at the first row of every unit.

    A unit is a row or, where the metric leaves out groups, all rows of a group; its other
    rows have None, and there are n units. The mean of the values estimates the score, their
    spread its error. For a mean over rows they are the rows' own scores. Units that are
    equal in all that the metric reads have equal values, so that each distinct one is left
    out only once.
    """
    if metric.per_row is not None:
        return list(metric.per_row(answers))
    units = _units(metric, answers)
    whole, n = metric.score(answers), len(units)
    values: list[float | None] = [None] * len(answers)
    found: dict[tuple[str, ...], float] = {}
    read = ("predicted", "targets", *(name for name in metric.needs if name != "groups"))
    rows = list(map(repr, zip(*(getattr(answers, name) for name in read), strict=True)))
    for unit in units.values():
        content = tuple(sorted(rows[i] for i in unit))
        if n > 1 and content not in found:
            left_out = set(unit)
            rest = answers.take([i for i in range(len(answers)) if i not in left_out])
            found[content] = n * whole - (n - 1) * metric.score(rest)
        values[unit[0]] = found.get(content, whole)
    return values


def standard_error(values: Sequence[float | None]) -> float | None:
    """Standard error of the mean of pseudo-values; None for a single one."""
    known = [value for value in values if value is not None]
    n = len(known)
    if n < 2:
        return None
    mean = sum(known) / n
    return math.sqrt(sum((value - mean) ** 2 for value in known) / (n - 1) / n)


def _units(metric: Metric, answers: Answers) -> Mapping[Hashable, list[int]]:
    """The rows of every unit, in their order; a row without a group is one of its own."""
    units: dict[Hashable, list[int]] = {}
    for i in range(len(answers)):
        group = answers.groups[i] if answers.groups else None
        is_row = metric.leave_out == "row" or group is None
        units.setdefault(i if is_row else group, []).append(i)
    return units
