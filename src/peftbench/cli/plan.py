"""`peftbench plan`: the grid, what is done, and what the rest will take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say
from peftbench.errors import StoreError

if TYPE_CHECKING:
    from peftbench.api import Experiment
    from peftbench.evidence import Evidence
    from peftbench.planning.forecast import Forecast
    from peftbench.planning.plan import Plan
    from peftbench.planning.wanted import Need
    from peftbench.store import Record


@app.command()
def plan(
    spec: options.Spec = None,
    model: options.Models = None,
    methods: options.Methods = None,
    tasks: options.Tasks = None,
    seeds: options.Seeds = "1,2,3",
    set_: options.Overrides = None,
    store: options.StoreOption = None,
    data_dir: options.DataDir = None,
    _plugins: options.Plugins = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that this is told for.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=100,
            help="Say what it takes to tell methods so many points apart.",
        ),
    ] = None,
    memory_gb: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Memory of the machine; default this one's, GPU or RAM."
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Read memory off a step without data: seconds for each method."
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show what `run` would do with the same arguments, without loading a model."""
    from peftbench.api import Experiment
    from peftbench.planning.fit import machine_memory_bytes
    from peftbench.planning.forecast import forecast
    from peftbench.planning.workers import default_workers, share_of_memory

    benchmark, _ = options.benchmark(spec, model, methods, tasks, seeds, set_)
    experiment = Experiment(benchmark, store=store, data_dir=data_dir)
    if store is not None and store.exists() and not experiment.has_store:
        raise StoreError(
            f"{store} is not a store: it has no store.sqlite. `peftbench run` makes one."
        )
    with experiment:
        experiment.check_inputs()
        made, needs = experiment.settled, experiment.needs()
        records = {one.cell.id: record for one, record in experiment.ended()}
        trials = experiment.trials_left()
        shown = [] if margin is None else _evidence(made, experiment, margin)
    count = workers or default_workers(made)
    memory = int(memory_gb * 1e9) if memory_gb is not None else machine_memory_bytes()
    forecasts = forecast(
        made,
        records.values(),
        memory_limit=memory and share_of_memory(memory, count),
        exact=exact,
    )
    if as_json:
        found = _as_json(made, records, needs, forecasts, count)
        say(json.dumps(found | {"evidence": [asdict(one) for one in shown]}, indent=2))
        return
    _print(made, records, needs, forecasts, count, trials)
    if margin is not None:
        _print_evidence(shown, margin)


def _evidence(made: Plan, experiment: Experiment, margin: float) -> Sequence[Evidence]:
    """What the plan can show, from the results that the store has already."""
    from peftbench.evidence import evidence

    return evidence(made, experiment.store if experiment.has_store else None, margin / 100)


def _print_evidence(shown: Sequence[Evidence], margin: float) -> None:
    from peftbench.cli._print import Terminal, plain_table
    from peftbench.report import numbers

    def count(value: int | None) -> str:
        return "no number" if value is None else f"{value:,}"

    rows = [
        [
            one.model,
            one.task,
            str(one.seeds),
            count(one.rows) if one.rows else "unknown",
            *(
                [
                    numbers.score(one.needed.detectable)
                    if one.needed.detectable is not None
                    else "none",
                    count(one.needed.seeds),
                    count(one.needed.rows),
                ]
                if one.needed
                else [numbers.NOTHING] * 3
            ),
            one.basis,
        ]
        for one in shown
    ]
    console = Terminal(highlight=False)
    console.print(
        f"\nTo tell two methods {margin:g} points apart in four of five benchmarks:"
    )
    titles = ["model", "task", "seeds", "test rows", "this plan finds", "seeds needed",
              "or rows needed", "variances"]  # fmt: skip
    plain_table(console, titles, rows)
    console.print(
        "This plan finds: the smallest true difference, in points, that a paired test at 5 % "
        "finds so often. Seeds needed with these rows; rows needed with these seeds (no number "
        "of rows makes up for seeds that differ). Variances are measured where the store has "
        "results of two methods with two seeds, by the pair that differs most; else assumed "
        "(docs/numbers.md).",
        markup=False,
    )


def _as_json(
    plan: Plan,
    records: Mapping[str, Record],
    needs: Mapping[str, Need],
    forecasts: Mapping[str, Forecast],
    workers: int,
) -> dict[str, Any]:
    return {
        "benchmark": plan.benchmark.model_dump(mode="json"),
        "workers": workers,
        "cells": [
            {
                "id": planned.cell.id,
                "model": planned.model,
                "method": planned.label,
                "task": planned.cell.task.name,
                "seed": planned.cell.seed,
                "status": records[planned.cell.id].status
                if planned.cell.id in records
                else "to do",
                "needs": needs.get(planned.cell.id),
                "parameters": planned.cell.method.parameters,
                "budget": planned.budget and planned.budget.model_dump(mode="json"),
                "training": planned.cell.training
                and planned.cell.training.model_dump(mode="json"),
                "predicted_seconds": forecasts[planned.cell.id].seconds,
                "predicted_seconds_basis": forecasts[planned.cell.id].basis,
                "predicted_memory_bytes": forecasts[planned.cell.id].memory_bytes,
                "does_not_fit": _misfit(forecasts[planned.cell.id]),
            }
            for planned in plan.cells
        ],
    }


def _print(
    plan: Plan,
    records: Mapping[str, Record],
    needs: Mapping[str, Need],
    forecasts: Mapping[str, Forecast],
    workers: int,
    trials: int,
) -> None:
    from peftbench.cli._print import Terminal, plain_table
    from peftbench.cli.run import counts
    from peftbench.report import numbers

    console = Terminal()
    groups: dict[tuple[str, str], list[Any]] = {}
    for planned in plan.cells:
        groups.setdefault((planned.model, planned.label), []).append(planned.cell)
    rows = []
    for (model, label), cells in groups.items():
        ended = [c for c in cells if c.id not in needs]
        done = sum(c.id in records and records[c.id].status == "finished" for c in ended)
        to_run = [forecasts[c.id] for c in cells if needs.get(c.id) == "run"]
        memory = max((forecasts[c.id].memory_bytes or 0 for c in cells), default=0)
        training = cells[0].training
        rows.append(
            [
                model,
                label,
                f"{training.learning_rate:g}" if training else numbers.NOTHING,
                str(len(cells)),
                str(done),
                str(len(ended) - done),
                str(len(cells) - len(ended)),
                _duration([f.seconds for f in to_run]),
                numbers.si(memory, "B") if memory else numbers.NOTHING,
            ]
        )
    titles = [
        "model",
        "method",
        "learning rate",
        "cells",
        "done",
        "failed",
        "to do",
        "time",
        "memory",
    ]
    console.print(f"{plan.benchmark.name}: {', '.join(plan.benchmark.tasks)}")
    plain_table(console, titles, rows)
    to_run = [forecasts[p.cell.id] for p in plan.cells if needs.get(p.cell.id) == "run"]
    known = [f.seconds / workers for f in to_run if f.seconds is not None]
    unknown = len(to_run) - len(known)
    console.print(
        f"{counts(len(plan.cells), needs)}: {_duration(known or [0.0])} with "
        f"{workers} worker{'s' * (workers > 1)}"
        + (f"; the time of {unknown} cannot be told" * (unknown > 0))
        + (", without what is only asked or graded" * (len(to_run) < len(needs)))
        + ". Time and memory (of one worker) are predictions: from cells of this store "
        "where there are any, else from the number of tokens and a matrix product timed now.",
        markup=False,
        highlight=False,
    )
    _print_misfits(plan, needs, forecasts, console)
    if plan.benchmark.tuning:
        said = _tuning(plan, forecasts, workers, trials)
        console.print(said, highlight=False)
    _print_budgets(plan, console)
    _print_settings(plan, console)


def _misfit(forecast: Forecast) -> dict[str, Any] | None:
    return None if forecast.misfit is None else asdict(forecast.misfit)


def _print_misfits(
    plan: Plan,
    to_do: Mapping[str, Need],
    forecasts: Mapping[str, Forecast],
    console: Any,
) -> None:
    """What will not fit, and the cheapest change that makes it fit."""
    from peftbench.report import numbers

    told = {}
    for planned in plan.cells:
        found = forecasts[planned.cell.id].misfit
        if found is None or planned.cell.id not in to_do:
            continue
        where = f"{planned.label} on {planned.model}, {planned.cell.task.name}"
        needs = (
            f"needs about {numbers.si(found.needed_bytes, 'B')}, and a worker has "
            f"{numbers.si(found.limit_bytes, 'B')}"
        )
        advice = (
            f"cheapest change: {' and '.join(found.change)} "
            f"({numbers.si(found.becomes_bytes, 'B')})"
            if found.change
            else "no setting makes it fit: take a smaller model, fewer workers or more memory"
        )
        told[where] = f"{needs}; {advice}."
    if told:
        console.print("\nWill not fit:", style="bold")
    for where, what in told.items():
        console.print(f"  {where}: {what}", highlight=False)


def _print_budgets(plan: Plan, console: Any) -> None:
    """What every budget came to, on every model."""
    from peftbench.report.setup import budget_text

    found = {(p.model, p.label): p.budget for p in plan.cells if p.budget}
    if found:
        console.print("\nBudgets:")
    for (model, label), budget in found.items():
        line = f"  {label} on {model}: {budget_text(budget)}"
        console.print(line, highlight=False)


def _tuning(
    plan: Plan, forecasts: Mapping[str, Forecast], workers: int, trials: int
) -> str:
    """How many runs on the validation part come before, and what they take at most."""
    from peftbench.report.table import counted
    from peftbench.search.tuning import studies

    assert plan.benchmark.tuning is not None
    found = studies(plan)
    each = plan.benchmark.tuning.trials
    if trials == 0:
        return f"Tuned: every search has had its {counted(each, 'trial')}."
    share = trials / (each * len(found))
    templates = [planned.cell.id for study in found for planned in study.templates]
    runs = [forecasts[cell_id].seconds for cell_id in templates]
    seconds = [None if s is None else s * each * share / workers for s in runs]
    return (
        f"Tuning comes first: {counted(trials, 'trial')}, "
        f"{round(share * each * len(templates))} runs that are scored on the validation part "
        f"alone, at most {_duration(seconds)}; the settings shown are the best so far, or the "
        "defaults that a search starts from."
    )


def _print_settings(plan: Plan, console: Any) -> None:
    """Every training setting, and which methods want another."""
    from peftbench.spec import Training, TrainingSection

    shared = TrainingSection().over(plan.benchmark.training.model_dump(exclude_unset=True))
    console.print("\nTraining settings (what a method wants otherwise stands behind it):")
    for name in Training.model_fields:
        value = getattr(shared, name)
        found = {
            getattr(one.cell.training, name) for one in plan.cells if one.cell.training
        }
        if value == "auto" and len(found) == 1:
            (value,) = found
        other: dict[str, list[str]] = {}
        for planned in plan.cells:
            if planned.cell.training is None:
                continue
            own = getattr(planned.cell.training, name)
            if own != value and planned.label not in other.setdefault(f"{own}", []):
                other[f"{own}"].append(planned.label)
        exceptions = "; ".join(f"{v} for {', '.join(ls)}" for v, ls in other.items())
        line = f"  {name}: {value}" + (f"  ({exceptions})" if exceptions else "")
        console.print(line, highlight=False)
    limits = plan.benchmark.limits.model_dump()
    shown = ", ".join(f"{k} {'all' if v is None else v}" for k, v in limits.items())
    console.print(f"  examples: {shown}", highlight=False)


def _duration(seconds: Sequence[float | None]) -> str:
    """Hours, minutes or seconds of all together; – where some are not known."""
    if any(value is None for value in seconds):
        return "–"
    total = sum(value or 0.0 for value in seconds)
    if total >= 5400:
        return f"{total / 3600:.1f} h"
    return f"{total / 60:.0f} min" if total >= 90 else f"{total:.0f} s"
