"""`peftbench list`: what there is to name in a spec."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say
from peftbench.errors import PeftbenchError

if TYPE_CHECKING:
    from peftbench.catalogue import Catalogue


class Kind(StrEnum):
    """What can be listed."""

    models = "models"
    tasks = "tasks"
    methods = "methods"
    metrics = "metrics"
    perturbations = "perturbations"
    suites = "suites"
    publications = "publications"


#: Columns of a table that is not read on a terminal.
_UNFOLDED = 4000


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    _plugins: options.Plugins = None,
    as_json: options.Json = False,
) -> None:
    """List models, tasks, methods, metrics, perturbed test sets, suites or publications."""
    rows = _ROWS[kind]()
    if as_json:
        say(json.dumps(rows, indent=2))
        return
    from peftbench.cli._print import Terminal, plain_table

    titles = list(rows[0]) if rows else ["name"]
    console = Terminal()
    if not console.is_terminal:
        console.width = _UNFOLDED  # whoever searches the lines wants them whole
    plain_table(console, titles, [[_text(row[title]) for title in titles] for row in rows])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _models() -> list[dict[str, object]]:
    from peftbench.models import Shapes, describe, names, shipped
    from peftbench.spec import ModelChoice

    rows: list[dict[str, object]] = []
    for name in (*names(), *shipped()):
        shapes = Shapes.from_config(describe(ModelChoice(name=name)).config)
        rows.append(
            {
                "name": name,
                "type": shapes.model_type,
                "parameters": shapes.parameters,
                "weights": "here" if name in names() else "on the hub; its config is here",
            }
        )
    rows.append(
        {
            "name": "<folder or hub id>",
            "type": "any causal LM",
            "parameters": "–",
            "weights": "there",
        }
    )
    return rows


def _tasks() -> list[dict[str, object]]:
    from peftbench import tasks

    def facts(name: str) -> dict[str, object]:
        task = tasks.get(name)
        return {
            "description": task.description,
            "source": "generated" if task.is_generated else str(task.hub_id),
            "rows": [f"{split} {rows:,}" for split, rows in task.sizes.items()],
            "metrics": list(task.metrics),
            "licence": task.license,
        }

    return _described(tasks.CATALOGUE, facts)


def _methods() -> list[dict[str, object]]:
    from peftbench import methods
    from peftbench.methods._card import REFERENCES, card

    [reference, *_] = REFERENCES

    def facts(name: str) -> dict[str, object]:
        found = card(name)
        count = found.trainable[reference]
        return {
            "family": found.family,
            "placement": found.placement,
            "identity": found.identity_at_start,
            "merges": found.mergeable,
            "backward": found.needs_backward_through_base,
            "knob": found.budget_knob or "–",
            "Llama-3-8B": "–" if count is None else count,
            "paper": found.paper,
        }

    return _described(methods.CATALOGUE, facts)


def _metrics() -> list[dict[str, object]]:
    from peftbench.evaluation import metrics

    def facts(name: str) -> dict[str, object]:
        metric = metrics.get(name)
        return {"unit": metric.unit, "better": metric.better}

    return _described(metrics.CATALOGUE, facts)


def _perturbations() -> list[dict[str, object]]:
    from peftbench.tasks import perturbations

    def facts(name: str) -> dict[str, object]:
        one = perturbations.get(name)
        return {
            "description": one.description,
            "tasks": list(one.readings),
            "source": one.hub_id or one.upstream,
            "licence": one.license,
        }

    return _described(perturbations.CATALOGUE, facts)


def _described(
    catalogue: Catalogue[Any], facts: Callable[[str], dict[str, object]]
) -> list[dict[str, object]]:
    """A row for every name. A broken plug-in has its error for one, and hides no other."""
    found: dict[str, dict[str, object]] = {}
    errors: dict[str, Exception] = {}
    for name in catalogue.names():
        try:
            found[name] = facts(name)
        except (PeftbenchError, AttributeError, TypeError) as error:
            errors[name] = error
    titles = list(next(iter(found.values()), {"error": None}))
    for name, broken in errors.items():
        found[name] = {**dict.fromkeys(titles, "–"), titles[-1]: str(broken)}
    return [{"name": name, **found[name]} for name in sorted(found)]


def _suites() -> list[dict[str, object]]:
    from peftbench.spec import read_benchmark, suite_names

    suites = (read_benchmark(name) for name in suite_names())
    return [{"name": suite.name, "description": suite.description} for suite in suites]


def _publications() -> list[dict[str, object]]:
    from peftbench.published import names, read

    found = ((name, read(name)) for name in names())
    return [
        {"name": f"published/{name}", "title": p.title, "source": p.source}
        for name, p in found
    ]


_ROWS = {
    Kind.models: _models,
    Kind.tasks: _tasks,
    Kind.methods: _methods,
    Kind.metrics: _metrics,
    Kind.perturbations: _perturbations,
    Kind.suites: _suites,
    Kind.publications: _publications,
}
