"""`peftbench recommend`: the best method of a store under a budget, and how sure it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say

if TYPE_CHECKING:
    from peftbench.report.advice import Advice


@app.command()
def recommend(
    store: options.ExistingStore,
    benchmark: options.BenchmarkName = None,
    model: Annotated[str | None, typer.Option(help="Of several in the benchmark.")] = None,
    max_trainable: Annotated[
        float | None, typer.Option(min=0, help="Trainable parameters, such as 1e6.")
    ] = None,
    max_memory_gb: Annotated[
        float | None, typer.Option(min=0, help="Peak of a training step, 1e9 bytes.")
    ] = None,
    max_stored_mb: Annotated[
        float | None, typer.Option(min=0, help="The adapter on disk, 1e6 bytes.")
    ] = None,
    max_extra_tflops: Annotated[
        float | None, typer.Option(min=0, help="Of one inference input beyond the base.")
    ] = None,
    max_step_seconds: Annotated[
        float | None, typer.Option(min=0, help="One training step of the probe.")
    ] = None,
    prefer: Annotated[
        str, typer.Option(help="Which cost decides between methods that are tied.")
    ] = "trainable_parameters",
    as_json: options.Json = False,
) -> None:
    """Say which method to use within a budget, and what cannot be told apart from it."""
    from peftbench.results import advice
    from peftbench.store import Store

    budgets = _budgets(
        trainable_parameters=(max_trainable, 1),
        peak_memory_bytes=(max_memory_gb, 1e9),
        stored_bytes=(max_stored_mb, 1e6),
        extra_forward_flops=(max_extra_tflops, 1e12),
        step_seconds=(max_step_seconds, 1),
    )
    with Store.open(store, create=False) as opened:
        found = advice(opened, benchmark, model=model, prefer=prefer, budgets=budgets)
    if as_json:
        say(json.dumps(found.to_json(), indent=2))
    else:
        _print(found)
    if found.found is None:
        raise typer.Exit(1)


def _budgets(**bounds: tuple[float | None, float]) -> dict[str, float]:
    """The bounds that were given, in the units of the columns."""
    return {n: bound * unit for n, (bound, unit) in bounds.items() if bound is not None}


def _print(found: Advice) -> None:
    from peftbench.cli._print import Terminal, print_table

    console = Terminal(highlight=False)
    for sentence in found.sentences:
        console.print(sentence, soft_wrap=True)
    if found.table is not None:
        print_table(found.table, console)
