"""How settings were chosen: a table of searches, and score against trials."""

from __future__ import annotations

import json
from typing import Any

from peftbench.report import marks, numbers
from peftbench.report.figures import Figure, figure_name, marker_of, plain, short
from peftbench.report.table import Cell, Column, Row, Table, empty
from peftbench.scoring.summary import Search, Summary


def search_table(summary: Summary, model: str) -> Table | None:
    """What tuning tried and chose; None where nothing was tuned."""
    own = [search for search in summary.searches if search.model == model]
    if not own:
        return None
    return Table(
        name=f"searches-{summary.models.index(model)}",
        title=f"Tuning on {model}",
        caption="Headline on the validation part times 100, one seed; the test split was not "
        "looked at. Default: of the first trial, which has the method's own settings. Expected: "
        "the best to expect of so many trials, drawn from those made (arXiv:1909.03004): a "
        "method that needs many trials to win shows it here. Failed trials have no score.",
        columns=(
            Column(title="Task", is_number=False, sorts_first="ascending"),
            Column(title="Method", is_number=False, sorts_first="ascending"),
            Column(title="Trials", note="failed, pruned"),
            Column(title="Default"),
            Column(title="Expected", note="of half the trials"),
            Column(title="Best"),
            Column(title="Chosen", is_number=False, note="settings"),
        ),
        rows=tuple(_row(search) for search in own),
    )


def search_figures(summary: Summary, model: str) -> list[Figure]:
    """For each task the validation score to expect of the best of n trials."""
    figures = []
    for place, task in enumerate(summary.tasks):
        own = [
            search
            for search in summary.searches
            if (search.model, search.task) == (model, task.name) and search.expected_best
        ]
        if own:
            figures.append(
                Figure(
                    name=figure_name(summary, "searches", model, place),
                    title=task.name,
                    caption=f"Best validation {task.metric} × 100 to expect of so many trials. "
                    "Where lines cross, the better method depends on how much is tuned.",
                    data=[_line(summary, search) for search in own],
                    layout={
                        "xaxis": {"title": {"text": "trials"}, "nticks": 8},
                        "yaxis": {"title": {"text": f"{plain(short(task.metric))} × 100"}},
                        "showlegend": False,
                    },
                )
            )
    return figures


def _row(search: Search) -> Row:
    failed = sum(trial.score is None for trial in search.trials)
    pruned = sum(trial.is_pruned for trial in search.trials)
    chosen = next(t for t in search.trials if t.number == search.chosen)
    half = search.expected_best[(len(search.expected_best) - 1) // 2 :][:1]
    settings = ", ".join(f"{n} {_setting(v)}" for n, v in chosen.settings.items())
    return Row(
        header=search.task,
        cells=(
            Cell(text=search.method),
            Cell(
                text=str(len(search.trials)),
                value=len(search.trials),
                note=f"{failed}, {pruned}" if failed or pruned else "",
            ),
            _score(search.trials[0].score),
            _score(half[0] if half else None),
            _score(chosen.score),
            Cell(text=settings + (" (default)" if search.chosen == 0 else "")),
        ),
    )


def _score(value: float | None) -> Cell:
    return (
        empty("failed") if value is None else Cell(text=numbers.score(value), value=value)
    )


def _setting(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value)


def _line(summary: Summary, search: Search) -> dict[str, Any]:
    place = [method.label for method in summary.methods].index(search.method)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "meta": {"method": search.method},
        "name": plain(short(search.method)),
        "x": list(range(1, len(search.expected_best) + 1)),
        "y": [100 * score for score in search.expected_best],
        "line": {
            "color": marker_of(summary, search.method)["color"],
            "dash": marks.dash(place // len(marks.COLOURS)),
            "width": 1.75,
        },
        "marker": {**marker_of(summary, search.method), "size": 6},
        "hoverinfo": "name+x+y",
    }
