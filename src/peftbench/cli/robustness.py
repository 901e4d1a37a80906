"""`peftbench robustness`: kept adapters on perturbed test sets, after the fact."""

from __future__ import annotations

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app


@app.command()
def robustness(
    store: options.ExistingStore,
    benchmark: options.BenchmarkName = None,
    data_dir: options.DataDir = None,
) -> None:
    """Score the kept adapters of a finished benchmark on perturbed test sets.

    Nothing is trained, and no record is changed. Exit codes: 0 every finished cell is
    scored, 1 some have no adapter kept, 2 wrong usage.
    """
    from rich.console import Console

    from peftbench import api
    from peftbench.cli._print import print_table
    from peftbench.cli._progress import progress
    from peftbench.cli.run import say_what_is_unscored, say_without_rows
    from peftbench.engine.robustness import evaluate_kept, outstanding, plan_of
    from peftbench.report.robustness import robustness_tables
    from peftbench.store import Store

    console = Console()
    opened = Store.open(store, create=False)
    try:
        stored = api.stored_benchmark(opened, benchmark)
        plan = plan_of(stored, api.data_folder(data_dir))
        say_without_rows(plan, console)
        cells = {planned.cell.id: planned for planned in plan.cells}
        with progress(cells, 0, console) as listen:
            evaluate_kept(plan, opened, listen)
        unscored = outstanding(plan, opened).must_run_again
        results = api.results(opened, stored.name)
    finally:
        opened.close()
    for model in results.summary.models:
        for table in robustness_tables(results.summary, model):
            print_table(table, console)
    print(f"Report: {results.write_report()}")
    say_what_is_unscored(unscored, console)
    raise typer.Exit(1 if unscored else 0)
