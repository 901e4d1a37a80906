"""`peftbench pareto`: the methods that no other beats in two columns at once."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say
from peftbench.errors import InvalidSpec


@app.command()
def pareto(
    store: options.ExistingStore,
    benchmark: options.BenchmarkName = None,
    x: Annotated[str, typer.Option(help="A column.")] = "trainable_parameters",
    y: Annotated[str, typer.Option(help="Another column.")] = "mean_score",
    as_json: options.Json = False,
) -> None:
    """Show the Pareto front over two columns, and the hypervolume that it covers."""
    from peftbench.results import results
    from peftbench.scoring import pareto as fronts
    from peftbench.scoring.columns import column, reason, turned
    from peftbench.store import Store

    first, second = column(x), column(y)
    if first is second:
        raise InvalidSpec(f"A front needs two columns; both are {x}.")
    with Store.open(store, create=False) as opened:
        summary = results(opened, benchmark).summary
    first, second = turned(first, summary), turned(second, summary)
    found: list[dict[str, Any]] = []
    for model in summary.models:
        own = [s for s in summary.standings if s.model == model]
        points = fronts.points(own, first, second)
        reference = fronts.worst(list(points.values()), first, second) if points else None
        found.append(
            {
                "model": model,
                "x": x,
                "x_better": first.better,
                "y": y,
                "y_better": second.better,
                "front": list(fronts.front(points, first, second)),
                "points": points,
                "reference": reference,
                "hypervolume": reference
                and fronts.hypervolume(points.values(), first, second, reference),
                "reason": reason(x, summary) or reason(y, summary),
                "left_out": [s.method for s in own if s.method not in points],
            }
        )
    if as_json:
        say(json.dumps(found, indent=2))
    else:
        _print(found, first, second)


def _print(found: list[dict[str, Any]], x: Any, y: Any) -> None:
    from peftbench.cli._print import Terminal, plain_table
    from peftbench.report import numbers
    from peftbench.report.table import listed

    console = Terminal(highlight=False)
    for one in found:
        console.print(f"{y.title} against {x.title} on {one['model']}", style="bold")
        if not one["points"]:
            because = f": {one['reason']}" if one["reason"] else ""
            console.print(f"No method has both numbers{because}.")
            continue
        rows = [
            [
                method,
                numbers.si(a, x.unit).strip(),
                numbers.si(b, y.unit).strip(),
                "yes" if method in one["front"] else "",
            ]
            for method, (a, b) in sorted(one["points"].items(), key=lambda item: item[1])
        ]
        plain_table(console, ["method", x.title, y.title, "on the front"], rows)
        console.print(
            f"Hypervolume against the worst of both: {one['hypervolume']:.6g} "
            f"({x.title} × {y.title}).",
            markup=False,
        )
        if one["left_out"]:
            console.print(f"Without both numbers: {listed(one['left_out'])}.")
