"""From a budget to the setting that comes nearest to it: pure arithmetic on shapes.

A method names one of its settings, a whole number, as its `budget_knob`; its closed form of
the number of trained parameters rises or falls with it. Every other setting stays as it is:
LoRA's alpha too, as in Hu et al., 2021 (arXiv:2106.09685, section 4.1), who fix it when they
vary the rank.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from peftbench.errors import InvalidSpec
from peftbench.models import Shapes
from peftbench.spec import Budget, SettledBudget

if TYPE_CHECKING:
    from peftbench.methods._method import Method

#: A budget is out of reach where the nearest size is not within this factor of it.
_REACH = 2.0
_BYTES_PER_NUMBER = 4


def solve(
    label: str, method: Method, shapes: Shapes, budget: Budget
) -> tuple[Method, SettledBudget]:
    """`method` with its knob turned to the size nearest to `budget` on a model of these
    shapes, and what that came to.

    Raises `InvalidSpec`, which begins with `label`, for a method that has no knob and for a
    budget that none of its sizes is near to.
    """
    knob = method.budget_knob
    if knob is None:
        raise InvalidSpec(
            f"{label}: its size cannot be chosen, so it can have no budget; on this model it "
            f"trains {method.trainable_parameters(shapes):,} parameters. Leave the budget out."
        )
    unit, requested = budget.said
    per_number = _scale(unit, shapes)

    def size(value: int) -> int | None:
        try:
            turned = replace(method, **{knob: value})
            if unit == "stored_bytes":
                return turned.stored_parameters(shapes)
            return turned.trainable_parameters(shapes)
        except InvalidSpec:
            return None

    method.trainable_parameters(shapes)  # what is wrong with any knob is said as it is
    value = nearest(size, method.knob_values(shapes), requested / per_number)
    achieved = (size(value) or 0) * per_number if value is not None else 0.0
    if value is None or not requested / _REACH <= achieved <= requested * _REACH:
        raise InvalidSpec(
            f"{label}: no {knob} comes within a factor of {_REACH:g} of {unit} "
            f"{_shown(requested)} on this {shapes.model_type} model of "
            f"{shapes.parameters:,} parameters; the nearest is {_shown(achieved)}, with "
            f"{knob} {value}. Choose another budget, or set other settings of the method."
        )
    settled = SettledBudget(
        knob=knob, value=value, unit=unit, requested=requested, achieved=achieved
    )
    return replace(method, **{knob: value}), settled


def nearest(
    size: Callable[[int], int | None], candidates: Sequence[int], target: float
) -> int | None:
    """The candidate whose size is nearest to `target`, of two equally near the smaller.

    `size` rises, or falls, over the candidates; it is None for those that are not allowed.
    None where no candidate is.

    >>> nearest(lambda rank: 100 * rank, range(1, 65), 730)
    7
    >>> nearest(lambda block: 4096 // block if 4096 % block == 0 else None, range(1, 99), 400)
    8
    """

    size = cache(size)

    def allowed(at: int, step: int = 1) -> int | None:
        """The first place of an allowed candidate, from `at` on."""
        while 0 <= at < len(candidates):
            if size(candidates[at]) is not None:
                return at
            at += step
        return None

    first = allowed(0)
    if first is None:
        return None
    sign = _direction(size, candidates, first)

    def is_beyond(at: int) -> bool:
        found = allowed(at)
        return found is None or sign * (_known(size, candidates[found]) - target) >= 0

    low, high, step = first, first, 1
    while not is_beyond(high):  # in growing steps: large candidates cost the most
        low, high, step = high + 1, min(high + step, len(candidates)), 2 * step
    place = low + bisect_left(range(low, high), True, key=is_beyond)
    around = [at for at in (allowed(place), allowed(place - 1, -1)) if at is not None]

    def distance(value: int) -> tuple[float, int]:
        return abs(_known(size, value) - target), _known(size, value)

    return min((candidates[at] for at in around), key=distance)


def _direction(
    size: Callable[[int], int | None], candidates: Sequence[int], first: int
) -> int:
    """1 where sizes rise over the candidates, -1 where they fall."""
    start = _known(size, candidates[first])
    for value in candidates[first + 1 :]:
        other = size(value)
        if other is not None and other != start:
            return 1 if other > start else -1
    return 1


def _known(size: Callable[[int], int | None], value: int) -> int:
    found = size(value)
    assert found is not None
    return found


def _scale(unit: str, shapes: Shapes) -> float:
    """What one number of an adapter is in this unit."""
    if unit == "trainable_fraction":
        return 1 / shapes.parameters
    return _BYTES_PER_NUMBER if unit == "stored_bytes" else 1


def _shown(value: float) -> str:
    return f"{value:.4g}" if value < 1 else f"{value:,.0f}"
