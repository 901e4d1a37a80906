"""`peftbench robustness`: kept adapters on perturbed test sets, after the fact."""

from __future__ import annotations

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.cli._say import say


@app.command()
def robustness(
    store: options.ExistingStore,
    benchmark: options.BenchmarkName = None,
    data_dir: options.DataDir = None,
) -> None:
    """Score the kept adapters of a finished benchmark on perturbed test sets.

    Nothing is trained: `run --robust` also trains adapters again that were not kept. Exit
    codes: 0 every finished cell is scored, 1 some have no adapter kept, 2 wrong usage.
    """
    from peftbench.api import Experiment
    from peftbench.cli._print import Terminal, print_table
    from peftbench.cli._progress import progress
    from peftbench.cli.run import say_without_rows
    from peftbench.report.robustness import robustness_tables

    console = Terminal()
    with Experiment.open(store, benchmark, data_dir=data_dir) as experiment:
        experiment.with_robustness()
        say_without_rows(experiment.plan, console)
        with progress(0, console) as listen:
            unscored = experiment.look_again(listen=listen)
        results = experiment.results()
    for model in results.summary.models:
        for table in robustness_tables(results.summary, model):
            print_table(table, console)
    say(f"Report: {results.write_report()}")
    if unscored:
        lines = "".join(f"\n  {one.name} ({one.cell.short_id})" for one in unscored)
        console.print(
            f"Not scored on every perturbed set, because no adapter was kept:{lines}\n"
            "`peftbench run ... --robust` trains these adapters again.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    raise typer.Exit(1 if unscored else 0)
