"""`peftbench compare`: two cells on the same rows, where they differ."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A cell's id or name: lora/sst2/1.")],
    second: Annotated[str, typer.Argument(help="Another cell on the same task.")],
    store: options.ExistingStore,
    benchmark: options.BenchmarkName = None,
    test_set: Annotated[str, typer.Option(help="Which rows.")] = "test",
    rows: Annotated[int, typer.Option(min=0, help="How many to print.")] = 10,
    as_json: options.Json = False,
) -> None:
    """Show the test rows that two cells answer differently, and who is right."""
    from peftbench.api import Experiment
    from peftbench.cli._print import Terminal

    with Experiment.open(store, benchmark) as experiment:
        names = [experiment.cell(name).name for name in (first, second)]
        total = len(experiment.predictions(first, test_set))
        found = experiment.compare(first, second, test_set)
    if as_json:
        say(found.to_json(orient="records", indent=2))
        return
    console = Terminal(highlight=False, soft_wrap=True)
    for row in found.head(rows).to_dict("records"):
        console.print(f"row {row['row']}, target {row['target']!r}", style="bold")
        if isinstance(row["prompt"], str):  # the first rows have theirs
            console.print(row["prompt"], style="dim")
        for name, side in zip(names, ("first", "second"), strict=True):
            answer, score = row[f"answer_{side}"], row[f"score_{side}"]
            read = repr(answer) if isinstance(answer, str) else "unreadable"
            counts = "" if score is None or math.isnan(score) else f", counts {score:.3g}"
            console.print(f"  {name}: {read}{counts}")
    if len(found) > rows:
        console.print(f"... and {len(found) - rows} more; --rows prints them.")
    console.print(f"{len(found)} of {total} rows are answered differently")
