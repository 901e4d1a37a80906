"""One self-contained page: opens from disk, loads nothing, says all in its tables."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from peftbench.report import (
    certainty,
    certainty_figures,
    costs,
    figures,
    marks,
    others,
    results,
    robustness,
    searches,
    setup,
    words,
)
from peftbench.scoring.summary import Summary
from peftbench.visible import visible


def to_html(summary: Summary) -> str:
    """The page as text; every word from outside is escaped."""
    sections = [_model_section(summary, model) for model in summary.models]
    drawn = [
        figure.as_json()
        for section in sections
        for group in section["plots"]
        for figure in group["figures"]
    ]
    page = _environment().get_template("page.html.j2")
    return page.render(
        summary=summary,
        style=Markup(_text("page.css")),
        script=Markup(_text("page.js")),
        plotly=Markup(_plotly()) if drawn else "",
        figures=Markup(_json(drawn)),
        what_was_run=words.what_was_run(summary),
        how_sure=words.how_sure(summary),
        sections=sections,
        troubles=setup.trouble_table(summary) if summary.troubles else None,
        methods=setup.method_table(summary),
        tasks=setup.task_table(summary),
        machines=[
            *(setup.machine_facts(manifest) for manifest in summary.manifests),
            *(others.provenance_facts(found) for found in summary.provenances),
        ],
        spec=setup.spec_yaml(summary),
    )


#: Groups of plots with a line for each method, or several; one key stands above them all.
_OF_LINES = ("Score against trials", "Learning curves")


def _model_section(summary: Summary, model: str) -> dict[str, Any]:
    """What is shown of one base model; what has nothing to show is left out."""
    tables = costs.cost_tables(summary, model)
    pscp = [table for table in tables if table.name.startswith("pscp")]
    plots = (
        ("Score against cost", figures.trade_offs(summary, model)),
        ("How sure is the ranking?", certainty_figures.certainty_figures(summary, model)),
        ("Scores by task", figures.task_bars(summary, model)),
        ("Score against trials", searches.search_figures(summary, model)),
        ("Learning curves", figures.learning_curves(summary, model)),
    )
    return {
        "model": model,
        "anchor": f"model-{summary.models.index(model)}",
        "verdict": words.verdict(summary, model),
        "headline": results.headline_table(summary, model),
        "pscp": pscp,
        "costs": [table for table in tables if table not in pscp],
        "certainty": certainty.certainty_tables(summary, model),
        "robustness": robustness.robustness_tables(summary, model),
        "plots": [
            {
                "title": title,
                "figures": found,
                "key": _key(summary, found) if title in _OF_LINES else [],
            }
            for title, found in plots
            if found
        ],
    }


def _key(summary: Summary, found: list[figures.Figure]) -> list[tuple[str, marks.Mark]]:
    """The methods that the lines of these figures belong to, with their marks."""
    shown = {line["meta"]["method"] for figure in found for line in figure.data}
    return [
        (method.label, marks.mark(place))
        for place, method in enumerate(summary.methods)
        if method.label in shown
    ]


def _json(value: object) -> str:
    """JSON that no text can break out of a script element with."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@lru_cache
def _plotly() -> str:
    """The whole library: the Python package brings no smaller bundle."""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source


def _text(name: str) -> str:
    return (resources.files("peftbench.report") / "templates" / name).read_text("utf-8")


@lru_cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        # Not of `Markup`, which is ours: the code of the plots holds such characters.
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
