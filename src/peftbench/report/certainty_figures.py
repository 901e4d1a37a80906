"""Figures of how sure: critical differences, performance profiles, PSCP's heat map."""

from __future__ import annotations

from typing import Any

from peftbench.report import marks, numbers
from peftbench.report.figures import Figure, figure_name, marker_of, plain, short
from peftbench.scoring.sensitivity import rankings
from peftbench.scoring.summary import PROFILE_THRESHOLDS, CriticalDifference, Summary


def certainty_figures(summary: Summary, model: str) -> list[Figure]:
    """What there is to draw; two methods or more."""
    figures = (
        rank_diagram(summary, model),
        profiles(summary, model),
        sensitivity_map(summary, model),
    )
    return [figure for figure in figures if figure]


def rank_diagram(summary: Summary, model: str) -> Figure | None:
    """Average ranks with the cliques that Nemenyi's test does not tell apart."""
    tested = summary.rank_tests.get(model)
    if tested is None:
        return None
    # The best on top: heights count from below.
    ordered = sorted(tested.average_ranks, key=lambda m: -tested.average_ranks[m])
    ranks = [tested.average_ranks[method] for method in ordered]
    right = max(ranks)
    return Figure(
        name=figure_name(summary, "ranks", model),
        title="Average ranks and critical difference",
        caption=f"Left is better. Methods joined by a grey line are not told apart over "
        f"{len(summary.tasks)} tasks (Nemenyi, 5 %: average ranks within "
        f"{numbers.rank(tested.distance)}); few tasks tell few methods apart.",
        data=[
            *(
                _clique_line(tested, clique, ordered, right, place)
                for place, clique in enumerate(tested.nemenyi_cliques)
            ),
            {
                "type": "scatter",
                "mode": "markers",
                "x": ranks,
                "y": list(range(len(ordered))),
                "marker": {
                    "size": 11,
                    "color": [marker_of(summary, method)["color"] for method in ordered],
                    "symbol": [marker_of(summary, method)["symbol"] for method in ordered],
                },
                "cliponaxis": False,
                "hoverinfo": "text",
                "hovertext": [
                    f"{plain(m)}: average rank {numbers.rank(tested.average_ranks[m])}"
                    for m in ordered
                ],
            },
        ],
        layout={
            "xaxis": {"title": {"text": "average rank"}, "nticks": 8},
            "yaxis": {
                "automargin": True,
                "tickvals": list(range(len(ordered))),
                "ticktext": [plain(short(method)) for method in ordered],
                "range": [-0.6, len(ordered) - 0.4],
            },
            "showlegend": False,
        },
        height_rem=6.0 + 1.7 * len(ordered),
    )


def _clique_line(
    tested: CriticalDifference,
    clique: tuple[str, ...],
    ordered: list[str],
    right: float,
    place: int,
) -> dict[str, Any]:
    """A line beside the points of one clique, each a little further to the right."""
    heights = [ordered.index(method) for method in clique]
    step = 0.04 * (right - 1 or 1.0)
    at = max(tested.average_ranks[method] for method in clique) + step * (1 + place % 3)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [at, at],
        "y": [min(heights), max(heights)],
        "line": {"color": "#808080", "width": 4},
        "hoverinfo": "skip",
    }


def profiles(summary: Summary, model: str) -> Figure | None:
    """For each method the share of runs above a score."""
    own = [one for one in summary.aggregates if one.model == model]
    if len(own) < 2:
        return None
    return Figure(
        name=figure_name(summary, "profiles", model),
        title="Performance profiles",
        caption="Share of runs, every task counting the same, whose score corrected for chance "
        "(0: the better baseline, 100: perfect) lies above a threshold. A method whose line "
        "is nowhere below another's is at least as good at every level.",
        data=[
            {
                "type": "scatter",
                "mode": "lines",
                "meta": {"method": one.method},
                "name": plain(short(one.method)),
                "x": [100 * threshold for threshold in PROFILE_THRESHOLDS],
                "y": [100 * share for share in one.profile],
                "line": {
                    "color": marker_of(summary, one.method)["color"],
                    "dash": marks.dash(place // len(marks.COLOURS)),
                    "width": 1.75,
                    "shape": "hv",
                },
                "hoverinfo": "name+x+y",
            }
            for place, one in enumerate(own)
        ],
        layout={
            "xaxis": {"title": {"text": "score corrected for chance × 100"}, "nticks": 6},
            "yaxis": {"title": {"text": "% of runs above"}, "range": [-2, 102]},
            "showlegend": True,
            # Below the axis and its title, in rows of two names.
            "legend": {
                "orientation": "h",
                "yref": "container",
                "y": 0,
                "yanchor": "bottom",
            },
            "margin": {"b": 56 + 20 * ((len(own) + 1) // 2)},
        },
        height_rem=19.0 + 1.25 * ((len(own) + 1) // 2),
    )


def sensitivity_map(summary: Summary, model: str) -> Figure | None:
    """Rank by PSCP, method by opinion, as colours."""
    found = rankings([s for s in summary.standings if s.model == model])
    if not found or len(found[0].scores) < 2:
        return None
    published = found[0].ranks
    methods = sorted(published, key=lambda name: -published[name])  # drawn from below
    return Figure(
        name=figure_name(summary, "sensitivity", model),
        title="Rank by PSCP under other opinions",
        caption="Each column is an opinion of what is expensive, each number a method's rank "
        "under it; the lighter, the better. The same numbers stand in the table below.",
        data=[
            {
                "type": "heatmap",
                "x": [ranking.opinion.name for ranking in found],
                "y": [plain(short(method)) for method in methods],
                "z": [[ranking.ranks[m] for ranking in found] for m in methods],
                "text": [[f"{ranking.ranks[m]:g}" for ranking in found] for m in methods],
                "texttemplate": "%{text}",
                "colorscale": "Viridis",
                "reversescale": True,
                "showscale": False,
                "hoverinfo": "x+y+text",
            }
        ],
        layout={
            "xaxis": {"type": "category", "automargin": True},
            "yaxis": {"type": "category", "automargin": True},
            "showlegend": False,
        },
        height_rem=6.0 + 1.6 * len(methods),
    )
