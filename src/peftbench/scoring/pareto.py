"""Trade-offs: who is beaten by nobody in two columns at once, and by how much in all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from peftbench.scoring.columns import Column
from peftbench.scoring.summary import Standing

Point = tuple[float, float]


def points(standings: Iterable[Standing], x: Column, y: Column) -> dict[str, Point]:
    """Both numbers of every method that has both."""
    found = {s.method: (x.value(s), y.value(s)) for s in standings}
    return {m: (a, b) for m, (a, b) in found.items() if a is not None and b is not None}


def front(points: Mapping[str, Point], x: Column, y: Column) -> tuple[str, ...]:
    """Names of the points that no other one is as good as in both and better in one,
    in the order of x."""
    return pareto_front({m: _as_cost_and_score(p, x, y) for m, p in points.items()})


def pareto_front(points: Mapping[str, Point]) -> tuple[str, ...]:
    """Names of the (cost, score) points that no other point beats, cheapest first.

    >>> pareto_front({"a": (1, 0.5), "b": (2, 0.9), "c": (3, 0.8)})
    ('a', 'b')
    """
    names = [
        name
        for name, (cost, score) in points.items()
        if not any(
            other_cost <= cost
            and other_score >= score
            and (other_cost, other_score) != (cost, score)
            for other_cost, other_score in points.values()
        )
    ]
    return tuple(sorted(names, key=lambda name: points[name]))


def hypervolume(points: Iterable[Point], x: Column, y: Column, reference: Point) -> float:
    """Area between a reference point, worse than all, and what some point is better than
    (Zitzler and Thiele, 1998); points that are not better than the reference add nothing.

    Its unit is x times y, so it compares sets of methods on the same two columns alone.
    """
    cost_at, score_at = _as_cost_and_score(reference, x, y)
    inside = sorted(
        (cost, score)
        for cost, score in (_as_cost_and_score(point, x, y) for point in points)
        if cost < cost_at and score > score_at
    )
    return _area(inside, cost_at, score_at)


def worst(points: Sequence[Point], x: Column, y: Column) -> Point:
    """The worst x and the worst y that occur: a reference point for `hypervolume`."""
    pick = {"higher": min, "lower": max}
    return (
        pick[x.better](p for p, _ in points),
        pick[y.better](p for _, p in points),
    )


def _area(inside: Sequence[Point], cost_at: float, score_at: float) -> float:
    """Sum of rectangles under the steps of the front, from the cheapest on."""
    area, best = 0.0, score_at
    for cost, score in inside:
        if score > best:
            area += (cost_at - cost) * (score - best)
            best = score
    return area


def _as_cost_and_score(point: Point, x: Column, y: Column) -> Point:
    """Both turned so that x is better when lower and y when higher."""
    return (
        point[0] if x.better == "lower" else -point[0],
        point[1] if y.better == "higher" else -point[1],
    )
