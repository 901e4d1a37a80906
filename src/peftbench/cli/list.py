"""`peftbench list`: what there is to name in a spec."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app


class Kind(StrEnum):
    """What can be listed."""

    models = "models"
    tasks = "tasks"
    methods = "methods"
    metrics = "metrics"
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
    """List models, tasks, methods, metrics, suites or publications."""
    rows = _ROWS[kind]()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from rich.console import Console

    from peftbench.cli._print import plain_table

    titles = list(rows[0]) if rows else ["name"]
    console = Console()
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

    found = ((name, tasks.get(name)) for name in tasks.names())
    return [
        {
            "name": name,
            "description": task.description,
            "source": "generated" if task.is_generated else str(task.hub_id),
            "rows": [f"{split} {rows:,}" for split, rows in task.sizes.items()],
            "metrics": list(task.metrics),
            "licence": task.license,
        }
        for name, task in found
    ]


def _methods() -> list[dict[str, object]]:
    from peftbench import methods
    from peftbench.errors import PeftbenchError
    from peftbench.methods._card import REFERENCES, card

    rows: list[dict[str, object]] = []
    [reference, *_] = REFERENCES
    for name in methods.names():
        try:
            found = card(name)
        except PeftbenchError as error:  # a broken plug-in is shown, and hides no other
            rows.append({"name": name, **dict.fromkeys(_METHOD_FACTS, "–")})
            rows[-1]["paper"] = str(error)
            continue
        count = found.trainable[reference]
        facts = (
            found.family,
            found.placement,
            found.identity_at_start,
            found.mergeable,
            found.needs_backward_through_base,
            found.budget_knob or "–",
            "–" if count is None else count,
            found.paper,
        )
        rows.append({"name": name, **dict(zip(_METHOD_FACTS, facts, strict=True))})
    return rows


_METHOD_FACTS = (
    "family",
    "placement",
    "identity",
    "merges",
    "backward",
    "knob",
    "Llama-3-8B",
    "paper",
)


def _metrics() -> list[dict[str, object]]:
    from peftbench.evaluation import metrics

    found = ((name, metrics.get(name)) for name in metrics.names())
    return [{"name": name, "unit": m.unit, "better": m.better} for name, m in found]


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
    Kind.suites: _suites,
    Kind.publications: _publications,
}
