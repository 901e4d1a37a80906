"""Figures as plain Plotly JSON: data and layout, no colours of the page.

Methods keep their colour and marker in every figure. The colours are those of Okabe and
Ito (2008), which colour-blind people can tell apart, without yellow and black, which
vanish on one of the two backgrounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from peftbench.report import numbers
from peftbench.report.results import standings
from peftbench.scoring.ranks import pareto_front
from peftbench.scoring.summary import Entry, Standing, Summary, TaskInfo
from peftbench.store.record import Cost

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7F7F7F")
SYMBOLS = (
    "circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down",
    "pentagon", "star", "hexagon", "triangle-left", "bowtie", "hourglass",
)  # fmt: skip
#: Neighbours on the cost axis have their names on different sides.
_LABEL_SIDES = ("top center", "bottom center", "middle right", "middle left")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One plot, with what a reader who cannot see it is told."""

    name: str
    """Unique within a page; letters, digits and hyphens."""
    title: str
    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """What `Plotly.newPlot` takes."""
        return {"name": self.name, "data": self.data, "layout": self.layout}


@dataclass(frozen=True)
class _CostAxis:
    name: str
    title: str
    unit: str
    value: Callable[[Cost], float]
    is_logarithmic: bool


_COST_AXES = (
    _CostAxis(
        "parameters", "Trainable parameters", "", lambda c: c.trainable_parameters, True
    ),
    _CostAxis(
        "memory",
        "Peak memory of a training step",
        "B",
        lambda c: c.peak_memory.total,
        False,
    ),
    _CostAxis(
        "flops", "FLOPs per token, forward", "", lambda c: c.forward_flops_per_token, False
    ),
)


def trade_offs(summary: Summary, model: str) -> list[Figure]:
    """Mean score against each cost, with the Pareto front."""
    rated = [s for s in standings(summary, model) if s.cost and s.mean_score is not None]
    if len(rated) < 2:
        return []
    return [_trade_off(summary, model, axis, rated) for axis in _COST_AXES]


def task_bars(summary: Summary, model: str) -> list[Figure]:
    """For each task the methods' scores with intervals, and a point for every seed."""
    figures = []
    for place, task in enumerate(summary.tasks):
        found = [
            entry
            for method in summary.methods
            if (entry := summary.entry(model, method.label, task.name)) and entry.interval
        ]
        if found:
            figures.append(_bars(summary, model, place, task, found))
    return figures


def learning_curves(summary: Summary, model: str) -> list[Figure]:
    """For each task the validation score over the steps, one line for every run."""
    figures = []
    for place, task in enumerate(summary.tasks):
        lines = list(_curve_lines(summary, model, task))
        if lines:
            figures.append(
                Figure(
                    name=_name(summary, "curves", model, place),
                    title=f"Learning curves on {task.name}",
                    caption=f"Validation score ({task.metric}) after each number of optimiser "
                    "steps, one line for every run. Click a name to hide it, twice to see it "
                    "alone. The state with the best validation score is the one that is "
                    "tested.",
                    data=lines,
                    layout={
                        "xaxis": {
                            "title": {"text": "optimiser steps"},
                            "rangemode": "tozero",
                        },
                        "yaxis": {"title": {"text": f"validation {task.metric} × 100"}},
                        "showlegend": True,
                    },
                )
            )
    return figures


def _trade_off(
    summary: Summary, model: str, axis: _CostAxis, rated: list[Standing]
) -> Figure:
    points = {
        s.method: (axis.value(s.cost), s.mean_score)
        for s in rated
        if s.cost and s.mean_score is not None
    }
    front = pareto_front(points)
    free = [m for m, (cost, _) in points.items() if axis.is_logarithmic and cost <= 0]
    drawn = {m: point for m, point in points.items() if m not in free}
    corners = [points[m] for m in front if m in drawn]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Pareto front",
            "x": [cost for cost, _ in corners],
            "y": [score for _, score in corners],
            "line": {"shape": "hv", "dash": "dot", "color": "#7F7F7F", "width": 1.5},
            "hoverinfo": "skip",
        }
    ]
    data += [
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": method,
            "x": [cost],
            "y": [score],
            "text": [method],
            "textposition": _LABEL_SIDES[place % len(_LABEL_SIDES)],
            "cliponaxis": False,
            "marker": {**_marker(summary, method), "size": 11},
            "hovertemplate": f"{_plain(method)}<br>{numbers.points(score)}, "
            f"{numbers.si(cost, axis.unit)}<extra></extra>",
            "showlegend": False,
        }
        for place, (method, (cost, score)) in enumerate(
            sorted(drawn.items(), key=lambda item: item[1])
        )
    ]
    shapes, notes = [], []
    for method in free:
        level = points[method][1]
        shapes.append(_line({"yref": "y", "y0": level, "y1": level, "x0": 0, "x1": 1,
                             "xref": "paper"}))  # fmt: skip
        notes.append(
            {"xref": "paper", "x": 0, "y": level, "text": f"{_plain(method)} (trains nothing)",
             "showarrow": False, "xanchor": "left", "yanchor": "bottom"}
        )  # fmt: skip
    return Figure(
        name=_name(summary, axis.name, model),
        title=f"Score against {axis.title[0].lower()}{axis.title[1:]}".replace(
            "fLOPs", "FLOPs"
        ),
        caption=f"Up and left is better. On the Pareto front (dotted): {', '.join(front)}; "
        "no other method is both better and cheaper in this cost.",
        data=data,
        layout={
            "xaxis": {
                "title": {"text": axis.title},
                "ticksuffix": axis.unit,
                **({"type": "log", "dtick": 1} if axis.is_logarithmic else {}),
                "exponentformat": "SI",
            },
            "yaxis": {"title": {"text": "mean score"}},
            "shapes": shapes,
            "annotations": notes,
            "showlegend": False,
        },
    )


def _bars(
    summary: Summary, model: str, place: int, task: TaskInfo, entries: list[Entry]
) -> Figure:
    sign = 1 if task.better == "higher" else -1
    ordered = sorted(entries, key=lambda e: sign * (e.interval.mean if e.interval else 0.0))
    names = [_plain(entry.method) for entry in ordered]
    means = [100 * e.interval.mean for e in ordered if e.interval]
    halves = [100 * (e.interval.half_width or 0.0) for e in ordered if e.interval]
    seeds = [
        (_plain(entry.method), 100 * score, seed)
        for entry in ordered
        for seed, score in entry.by_seed.items()
    ]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "y": names,
            "x": means,
            "marker": {
                "color": [_colour(summary, e.method) for e in ordered],
                "opacity": 0.75,
            },
            "error_x": {"type": "data", "array": halves, "thickness": 1.5, "width": 4},
            "hovertemplate": "%{y}: %{x:.1f} ± %{error_x.array:.1f}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "y": [name for name, _, _ in seeds],
            "x": [score for _, score, _ in seeds],
            "customdata": [seed for _, _, seed in seeds],
            "marker": {"symbol": "line-ns-open", "size": 12, "line": {"width": 1.5}},
            "meta": "ink",
            "hovertemplate": "%{y}, seed %{customdata}: %{x:.1f}<extra></extra>",
        },
    ]
    shapes = [
        _line(
            {
                "xref": "x",
                "x0": 100 * b.value,
                "x1": 100 * b.value,
                "yref": "paper",
                "y0": 0,
                "y1": 1,
            }
        )
        for b in task.baselines
    ]
    baseline = "".join(
        f" Dashed: {b.name}, {numbers.score(b.value)}." for b in task.baselines
    )
    low, high = _range(means, [score for _, score, _ in seeds], task)
    return Figure(
        name=_name(summary, "bars", model, place),
        title=f"{task.name}{' (generated)' if task.is_generated else ''}",
        caption=f"{task.metric} × 100, {task.better} is better: mean over seeds with its 95 % "
        f"interval, cut at the edge where it is wider; a tick for every seed.{baseline}",
        data=data,
        layout={
            "xaxis": {"title": {"text": f"{task.metric} × 100"}, "range": [low, high]},
            "yaxis": {"automargin": True},
            "shapes": shapes,
            "showlegend": False,
            "bargap": 0.35,
        },
    )


def _range(means: list[float], seeds: list[float], task: TaskInfo) -> tuple[float, float]:
    """All points and the baselines, with some room; two seeds' intervals are far wider."""
    values = [*means, *seeds, *(100 * baseline.value for baseline in task.baselines), 0.0]
    low, high = min(values), max(values)
    room = 0.15 * (high - low or 1.0)
    return (low - room if low < 0 else 0.0, high + room)


def _curve_lines(summary: Summary, model: str, task: TaskInfo) -> Iterator[dict[str, Any]]:
    named: set[str] = set()
    for curve in summary.curves:
        if (curve.model, curve.task) != (model, task.name):
            continue
        yield {
            "type": "scatter",
            "mode": "lines+markers",
            "name": _plain(curve.method),
            "legendgroup": curve.method,
            "showlegend": curve.method not in named,
            "x": [look.step for look in curve.validations],
            "y": [100 * look.score for look in curve.validations],
            "customdata": [round(look.train_loss, 4) for look in curve.validations],
            "line": {"color": _colour(summary, curve.method), "width": 1.5},
            "marker": {**_marker(summary, curve.method), "size": 7},
            "hovertemplate": f"{_plain(curve.method)}, seed {_plain(curve.seed)}, step "
            "%{x}: %{y:.1f}, training loss %{customdata}<extra></extra>",
        }
        named.add(curve.method)


def _name(summary: Summary, kind: str, model: str, task: int = 0) -> str:
    return f"{kind}-{summary.models.index(model)}-{task}"


def _place(summary: Summary, method: str) -> int:
    return [known.label for known in summary.methods].index(method)


def _colour(summary: Summary, method: str) -> str:
    return COLOURS[_place(summary, method) % len(COLOURS)]


def _marker(summary: Summary, method: str) -> dict[str, Any]:
    place = _place(summary, method)
    return {"color": COLOURS[place % len(COLOURS)], "symbol": SYMBOLS[place % len(SYMBOLS)]}


def _line(where: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "line",
        "line": {"dash": "dash", "color": "#7F7F7F", "width": 1},
        **where,
    }


def _plain(text: str) -> str:
    """Plotly reads a few HTML tags in text; a label's are meant as they stand."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
