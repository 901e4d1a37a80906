"""Figures as plain Plotly JSON: data and layout, in the colours of the methods alone.

The page's script adds the colours of the page, light or dark, and places the names
beside the points, which takes the size in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from peftbench.cost.costs import Cost
from peftbench.report import marks, numbers
from peftbench.report.results import standings
from peftbench.report.table import listed
from peftbench.scoring.pareto import pareto_front
from peftbench.scoring.summary import Entry, Interval, Standing, Summary, TaskInfo

_GREY = "#808080"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One plot, with what a reader who cannot see it is told."""

    name: str
    """Unique within a page; letters, digits and hyphens."""
    title: str
    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    labels: list[dict[str, Any]] = field(default_factory=list)
    """Names to be placed beside points, the most important first."""
    height_rem: float = 20.0

    def as_json(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {
            "name": self.name,
            "data": self.data,
            "layout": self.layout,
            "labels": self.labels,
        }


@dataclass(frozen=True, kw_only=True)
class _CostAxis:
    name: str
    what: str
    """As words in a sentence."""
    title: str
    unit: str
    value: Callable[[Cost], float]
    is_logarithmic: bool = False


_COST_AXES = (
    _CostAxis(
        name="parameters",
        what="trainable parameters",
        title="trainable parameters (logarithmic)",
        unit="",
        value=lambda cost: cost.trainable_parameters,
        is_logarithmic=True,
    ),
    _CostAxis(
        name="memory",
        what="peak memory",
        title="peak memory of a training step (bytes)",
        unit="B",
        value=lambda cost: cost.peak_memory.total,
    ),
    _CostAxis(
        name="flops",
        what="FLOPs",
        title="FLOPs of a forward pass, per token",
        unit="",
        value=lambda cost: cost.forward_flops_per_token,
    ),
)


def trade_offs(summary: Summary, model: str) -> list[Figure]:
    """Mean score against each cost, with the Pareto front; two methods or more."""
    rated = [s for s in standings(summary, model) if s.cost and s.mean_score is not None]
    if len(rated) < 2:
        return []
    return [_trade_off(summary, model, axis, rated) for axis in _COST_AXES]


def task_bars(summary: Summary, model: str) -> list[Figure]:
    """For each task the methods' scores with intervals, and a point for every seed."""
    figures = []
    for place, task in enumerate(summary.tasks):
        scored = [
            (entry, entry.interval)
            for method in summary.methods
            if (entry := summary.entry(model, method.label, task.name)) and entry.interval
        ]
        if scored:
            figures.append(_bars(summary, model, place, scored))
    return figures


def learning_curves(summary: Summary, model: str) -> list[Figure]:
    """For each task the validation score over the steps, one line for every run that was
    looked at more than once."""
    figures = []
    for place, task in enumerate(summary.tasks):
        lines = list(_curve_lines(summary, model, task))
        if lines:
            figures.append(
                Figure(
                    name=figure_name(summary, "curves", model, place),
                    title=task.name,
                    caption=f"Validation {task.metric} × 100 ({task.better} is better) after "
                    "so many optimiser steps. One line for every run"
                    f"{'; seeds differ in their dashes' if len(summary.seeds) > 1 else ''}.",
                    data=lines,
                    layout={
                        "xaxis": {
                            "title": {"text": "optimiser steps"},
                            "rangemode": "tozero",
                            "nticks": 6,
                        },
                        "yaxis": {"title": {"text": f"{plain(short(task.metric))} × 100"}},
                        "showlegend": False,
                    },
                )
            )
    return figures


def plain(text: str) -> str:
    """Plotly reads a few HTML tags in text; a label's are meant as they stand."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def short(text: str, length: int = 22) -> str:
    """Both ends of a long text, for places where it must not push the plot aside.

    >>> short("lora"), short("a-very-long-label-of-rank-64", 12)
    ('lora', 'a-very…nk-64')
    """
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"


def _trade_off(
    summary: Summary, model: str, axis: _CostAxis, rated: list[Standing]
) -> Figure:
    points = {
        s.method: (axis.value(s.cost), s.mean_score)
        for s in rated
        if s.cost and s.mean_score is not None
    }
    is_lower = summary.mean_better == "lower"
    sign = -1 if is_lower else 1
    front = pareto_front({m: (cost, sign * score) for m, (cost, score) in points.items()})
    # A logarithmic axis has no zero: what costs nothing is a line across the plot.
    free = [m for m, (cost, _) in points.items() if axis.is_logarithmic and cost <= 0]
    drawn = {m: point for m, point in points.items() if m not in free}
    corners = [points[m] for m in front if m in drawn]
    scale: Callable[[float], float] = math.log10 if axis.is_logarithmic else float
    places = [scale(cost) for cost, _ in drawn.values()]
    return Figure(
        name=figure_name(summary, axis.name, model),
        title=f"Score against {axis.what}",
        caption=f"{'Down' if is_lower else 'Up'} and left is better. On the Pareto front "
        f"(dotted): {listed(front)}; no other method is better without costing more of this. A "
        "point without a name shows it when hovered.",
        data=[
            {
                "type": "scatter",
                "mode": "lines",
                "x": [cost for cost, _ in corners],
                "y": [score for _, score in corners],
                "line": {"shape": "hv", "dash": "dot", "color": _GREY, "width": 1.5},
                "hoverinfo": "skip",
            },
            *(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": [cost],
                    "y": [score],
                    "cliponaxis": False,
                    "marker": {**marker_of(summary, method), "size": 11},
                    "hoverinfo": "text",
                    "hovertext": f"{plain(method)}: {numbers.points(score)}, "
                    f"{numbers.si(cost, axis.unit).strip()}",
                }
                for method, (cost, score) in drawn.items()
            ),
        ],
        layout={
            "xaxis": {
                "title": {"text": axis.title},
                "ticksuffix": axis.unit,
                "exponentformat": "SI",
                "nticks": 6,
                **({"range": padded(places, 0.12)} if places else {}),
                **(_log_axis(places) if axis.is_logarithmic else {}),
            },
            "yaxis": {
                "title": {"text": f"mean score{', lower is better' * is_lower}"},
                "range": padded((score for _, score in points.values()), 0.12),
            },
            "shapes": [
                _dashed(xref="paper", x0=0, x1=1, y0=points[m][1], y1=points[m][1])
                for m in free
            ],
            "annotations": [
                {
                    "xref": "paper",
                    "x": 1,
                    "xanchor": "right",
                    "y": points[m][1],
                    "yanchor": "bottom",
                    "showarrow": False,
                    "text": f"{plain(short(m))}, trains nothing",
                }
                for m in free
            ],
            "showlegend": False,
        },
        labels=[
            {"text": plain(short(m)), "x": scale(points[m][0]), "y": points[m][1]}
            for m in sorted(drawn, key=lambda m: (m not in front, -sign * points[m][1]))
        ],
    )


def _bars(
    summary: Summary, model: str, place: int, scored: list[tuple[Entry, Interval]]
) -> Figure:
    task = summary.tasks[place]
    sign = 1 if task.better == "higher" else -1
    scored = sorted(scored, key=lambda pair: sign * pair[1].mean)  # drawn from below
    seeds = [
        (height, entry.method, seed, 100 * score)
        for height, (entry, _) in enumerate(scored)
        if len(entry.by_seed) > 1
        for seed, score in sorted(entry.by_seed.items())
    ]
    data: list[dict[str, Any]] = [
        {
            "type": "bar",
            "orientation": "h",
            "y": list(range(len(scored))),
            "x": [100 * interval.mean for _, interval in scored],
            "marker": {
                "color": [marker_of(summary, entry.method)["color"] for entry, _ in scored],
                "opacity": 0.8,
            },
            "error_x": {
                "type": "data",
                "array": [100 * (interval.half_width or 0.0) for _, interval in scored],
                "thickness": 1.25,
                "width": 0,
            },
            "hoverinfo": "text",
            "hovertext": [
                f"{plain(entry.method)}: {numbers.interval(interval)}"
                for entry, interval in scored
            ],
            "textposition": "none",
        }
    ]
    if seeds:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "y": [height for height, *_ in seeds],
                "x": [score for *_, score in seeds],
                "marker": {"symbol": "circle", "size": 6, "line": {"width": 1.25}},
                "meta": "seeds",
                "hoverinfo": "text",
                "hovertext": [
                    f"{plain(method)}, seed {plain(seed)}: {numbers.points(score)}"
                    for _, method, seed, score in seeds
                ],
            }
        )
    return Figure(
        name=figure_name(summary, "bars", model, place),
        title=task.name,
        caption=_bars_caption(task, scored, has_seeds=bool(seeds)),
        data=data,
        layout={
            "xaxis": {
                "title": {"text": f"{plain(short(task.metric))} × 100"},
                "range": bar_range(scored, task),
                "nticks": 6,
            },
            "yaxis": {
                "automargin": True,
                "tickvals": list(range(len(scored))),
                "ticktext": [plain(short(entry.method)) for entry, _ in scored],
                "showgrid": False,
                "range": [-0.6, len(scored) - 0.4],
            },
            "shapes": [
                _dashed(yref="paper", y0=0, y1=1, x0=100 * b.value, x1=100 * b.value)
                for b in task.baselines
            ],
            "showlegend": False,
            "bargap": 0.35,
        },
        height_rem=6.0 + 1.7 * len(scored),
    )


def _bars_caption(
    task: TaskInfo, scored: list[tuple[Entry, Interval]], *, has_seeds: bool
) -> str:
    """What bars, lines, points and dashes stand for, and only those that are there."""
    parts = [f"{task.metric} × 100, {task.better} is better"]
    if any(interval.half_width is not None for _, interval in scored):
        edge = bar_range(scored, task)
        is_cut = any(
            not edge[0] <= 100 * end <= edge[1]
            for _, interval in scored
            for end in (interval.low, interval.high)
            if end is not None
        )
        parts.append("bar: mean over seeds; line: its 95 % interval")
        parts[-1] += ", cut at the edge" if is_cut else ""
    if has_seeds:
        parts.append("points: single seeds")
    parts += [f"dashed: {b.name}, {numbers.score(b.value)}" for b in task.baselines]
    partial = [entry.method for entry, _ in scored if not entry.complete]
    if partial:
        parts.append(f"not all seeds: {listed(partial)}")
    generated = " Generated by peftbench." if task.is_generated else ""
    return f"{'; '.join(parts)}.{generated}"


def bar_range(scored: list[tuple[Entry, Interval]], task: TaskInfo) -> tuple[float, float]:
    """Zero and all points, and as much of the intervals as leaves the bars readable.

    The intervals of two seeds can be many times as wide as all there is to see.
    """
    seen = [100 * score for entry, _ in scored for score in entry.by_seed.values()]
    seen += [100 * baseline.value for baseline in task.baselines]
    low, high = min(0.0, *seen), max(0.0, *seen)
    room = 0.25 * (high - low or 1.0)
    ends = [
        100 * end
        for _, interval in scored
        for end in (interval.low, interval.high)
        if end is not None
    ]
    right = min(max([high, *ends]), high + room) + 0.03 * (high - low or 1.0)
    return (max(min([low, *ends]), low - room) if low < 0 else 0.0, right)


def _curve_lines(summary: Summary, model: str, task: TaskInfo) -> Iterator[dict[str, Any]]:
    seeds = [str(seed) for seed in summary.seeds]
    for curve in summary.curves:
        if (curve.model, curve.task) != (model, task.name) or len(curve.validations) < 2:
            continue
        marker = marker_of(summary, curve.method)
        dash = marks.dash(seeds.index(curve.seed) if curve.seed in seeds else 0)
        yield {
            "type": "scatter",
            "mode": "lines+markers",
            "meta": {"method": curve.method},
            "x": [look.step for look in curve.validations],
            "y": [100 * look.score for look in curve.validations],
            "line": {"color": marker["color"], "width": 1.5, "dash": dash},
            "marker": {**marker, "size": 7},
            "hoverinfo": "text",
            "hovertext": [
                f"{plain(curve.method)}, seed {plain(curve.seed)}, step {look.step:,}: "
                f"{numbers.score(look.score)}, training loss {look.train_loss:.3g}"
                for look in curve.validations
            ],
        }


def padded(values: Iterable[float], share: float) -> tuple[float, float]:
    """The range of some values with room at both ends.

    >>> padded([10, 20], 0.1), padded([3], 0.1)
    ((9.0, 21.0), (2.9, 3.1))
    """
    found = list(values)
    low, high = min(found), max(found)
    room = share * (high - low or 1.0)
    return (low - room, high + room)


def _log_axis(places: list[float]) -> dict[str, Any]:
    """A tick for each power of ten where there are enough of them."""
    is_long = bool(places) and max(places) - min(places) > 1.5
    return {"type": "log", **({"dtick": 1} if is_long else {})}


def figure_name(summary: Summary, kind: str, model: str, task: int = 0) -> str:
    """Unique within a page."""
    return f"{kind}-{summary.models.index(model)}-{task}"


def marker_of(summary: Summary, method: str) -> dict[str, Any]:
    """Colour and symbol of a method, as Plotly wants them."""
    mark = marks.mark([known.label for known in summary.methods].index(method))
    return {"color": mark.colour, "symbol": mark.symbol}


def _dashed(**where: Any) -> dict[str, Any]:
    return {"type": "line", "line": {"dash": "dash", "color": _GREY, "width": 1}, **where}
