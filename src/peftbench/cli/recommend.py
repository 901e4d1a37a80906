"""`peftbench recommend`: the best method of a store under a budget, and how sure it is."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.errors import InvalidSpec


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
    from peftbench import api
    from peftbench.scoring.columns import column
    from peftbench.scoring.recommend import judge
    from peftbench.scoring.recommend import recommend as choose
    from peftbench.store import Store

    budgets = _budgets(
        trainable_parameters=(max_trainable, 1),
        peak_memory_bytes=(max_memory_gb, 1e9),
        stored_bytes=(max_stored_mb, 1e6),
        extra_forward_flops=(max_extra_tflops, 1e12),
        step_seconds=(max_step_seconds, 1),
    )
    if column(prefer).better != "lower":
        raise InvalidSpec(
            f"--prefer {prefer} is no cost; choose one that is better when lower."
        )
    prefer = prefer.replace("-", "_")
    opened = Store.open(store, create=False)
    try:
        whole = api.results(opened, benchmark).summary
        chosen_model = _one_model(model, whole.models)
        if whole.no_mean:
            raise InvalidSpec(
                f"There is no mean score to choose by: {whole.no_mean}. Put tasks of one "
                "direction into a benchmark of their own."
            )
        standings = [s for s in whole.standings if s.model == chosen_model]
        verdicts = judge(standings, budgets)
        feasible = {v.method for v in verdicts if v.is_feasible}
        # Ties are with the best of those that fit, so they are tested among these alone.
        among = api.results(opened, whole.name, methods=feasible).summary
    finally:
        opened.close()
    found = choose(among, chosen_model, prefer=prefer) if feasible else None
    own = [s for s in among.standings if s.model == chosen_model]
    if as_json:
        print(json.dumps(_as_json(found, own, verdicts, budgets), indent=2))
    else:
        _print(found, own, verdicts, budgets, prefer)
    if found is None:
        raise typer.Exit(1)


def _budgets(**bounds: tuple[float | None, float]) -> dict[str, float]:
    """The bounds that were given, in the units of the columns."""
    return {n: bound * unit for n, (bound, unit) in bounds.items() if bound is not None}


def _one_model(asked: str | None, models: tuple[str, ...]) -> str:
    if asked is None and len(models) == 1:
        return models[0]
    if asked in models:
        return str(asked)
    given = f"no model {asked!r}" if asked else "several models"
    raise InvalidSpec(
        f"This benchmark has {given}; choose one with --model: {', '.join(models)}."
    )


def _print(
    found: Any, standings: Any, verdicts: Any, budgets: dict[str, float], prefer: str
) -> None:
    from rich.console import Console

    from peftbench.cli._print import print_table
    from peftbench.report.advice import candidates, sentences

    console = Console(highlight=False)
    for sentence in sentences(found, verdicts, budgets, prefer):
        console.print(sentence, markup=False, soft_wrap=True)
    if found is not None:
        print_table(candidates(standings, found, budgets), console)


def _as_json(
    found: Any, standings: Any, verdicts: Any, budgets: dict[str, float]
) -> dict[str, Any]:
    tied = [s.method for s in found.tied] if found else []
    return {
        "budgets": budgets,
        "chosen": found.chosen.method if found else None,
        "leader": found.leader.method if found else None,
        "tied_with_leader": tied,
        "better": found.better if found else None,
        "is_tested": bool(found and found.is_tested),
        "candidates": [
            {
                "method": s.method,
                "mean_score": s.mean_score,
                "low": s.mean_interval and s.mean_interval.low,
                "high": s.mean_interval and s.mean_interval.high,
            }
            for s in standings
        ],
        "left_out": [
            {"method": v.method, "over": list(v.over), "unknown": list(v.unknown)}
            for v in verdicts
            if not v.is_feasible
        ],
    }
