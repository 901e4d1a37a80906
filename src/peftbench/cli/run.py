"""`peftbench run`: compute what is missing, print the table, write the report."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from peftbench.cli import _options as options
from peftbench.cli._app import app
from peftbench.errors import InvalidSpec

if TYPE_CHECKING:
    from peftbench.api import Experiment
    from peftbench.planning.plan import Plan
    from peftbench.planning.wanted import Need
    from peftbench.store import PlannedCell

INTERRUPTED = 130
_STATUSES = ("failed", "diverged", "oom", "lost")


@app.command()
def run(
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
        int | None,
        typer.Option(
            min=1, help="Processes; default: one per core, or as many as suit the GPUs."
        ),
    ] = None,
    retry: Annotated[
        str | None,
        typer.Option(help="Run cells again: failed, diverged, oom, lost, all, or a cell."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget this benchmark's results; asks first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    costs: Annotated[bool, typer.Option(help="Measure costs before the runs.")] = True,
    robust: Annotated[
        bool, typer.Option("--robust", help="Score adapters on perturbed test sets too.")
    ] = False,
    unsafe_run_code: options.UnsafeRunCode = False,
) -> None:
    """Run a benchmark: only what its store does not hold yet.

    Exit codes: 0 all cells finished, 1 some failed, 2 wrong usage, 130 interrupted.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    benchmark, origin = options.benchmark(spec, model, methods, tasks, seeds, set_)
    if robust:
        benchmark = benchmark.model_copy(update={"robust": True})

    from peftbench.api import Experiment
    from peftbench.cli._print import Terminal
    from peftbench.cli._progress import progress
    from peftbench.planning.workers import default_workers
    from peftbench.report.table import counted

    console = Terminal()
    experiment = Experiment(benchmark, store=store, data_dir=data_dir)
    experiment.origin = origin
    plan = experiment.plan
    count = workers or default_workers(plan)
    try:
        if fresh:
            _forget_all(experiment, yes=yes)
        if retry:
            experiment.forget(_to_retry(experiment, retry))
        needs, trials = experiment.needs(), experiment.trials_left()
        before = f", after {counted(trials, 'trial')}" if trials else ""
        console.print(
            f"{benchmark.name}: {counts(len(plan.cells), needs)}{before}; "
            f"{count} worker{'s' * (count > 1)}; results in {experiment.folder}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        say_without_rows(plan, console)
        if note := _about_programs(plan, unsafe=unsafe_run_code):
            console.print(note, highlight=False, soft_wrap=True)
        with progress(len(needs), console) as listen:
            results = experiment.run(
                workers=count,
                measure_costs=costs,
                unsafe_run_code=unsafe_run_code,
                listen=listen,
            )
    except KeyboardInterrupt:
        _interrupted(console)
    finally:
        experiment.close()
    raise typer.Exit(show_results(results, console))


def counts(cells: int, needs: Mapping[str, Need]) -> str:
    """How many cells are done, and what the others need.

    >>> counts(4, {"a": "run", "b": "ask", "c": "grade"})
    '4 cells, 1 done, 3 to do (1 to run, 1 only to ask, 1 only to grade)'
    """
    said = f"{cells} cells, {cells - len(needs)} done, {len(needs)} to do"
    words: dict[Need, str] = {
        "run": "to run", "ask": "only to ask", "grade": "only to grade"
    }  # fmt: skip
    found = Counter(needs.values())
    if len(needs) > found["run"]:
        parts = (f"{found[need]} {word}" for need, word in words.items() if found[need])
        said += f" ({', '.join(parts)})"
    return said


def _interrupted(console: Any) -> NoReturn:
    again = " ".join(["peftbench", *(a for a in sys.argv[1:] if a != "--fresh")])
    console.print(
        "\nInterrupted. Finished cells are kept, and others go on from their "
        f"last checkpoint:\n  {again}",
        markup=False,
        soft_wrap=True,
    )
    raise typer.Exit(INTERRUPTED) from None


def _about_programs(plan: Any, *, unsafe: bool) -> str | None:
    """What to know before hours of training, where tasks are scored by running programs."""
    from peftbench import tasks
    from peftbench.evaluation import metrics
    from peftbench.evaluation.programs import Execution

    benchmark = plan.benchmark
    names = [
        task
        for task in map(tasks.use, benchmark.tasks)
        if metrics.get(tasks.get(task, benchmark.protocol).headline).runs_programs
    ]
    execution = Execution.here(unsafe=unsafe) if names else None
    if execution is None or (execution.runner and execution.runner.is_safe):
        return None
    which = ", ".join(names)
    if execution.runner:
        return f"Warning: programs that models write for {which} run without a sandbox."
    return f"Warning: {which} will have no headline score. {execution.reason}"


def show_results(results: Any, console: Any) -> int:
    """Print the tables and what failed, write the report; returns the exit code."""
    from peftbench.cli._print import print_table
    from peftbench.report.results import headline_table
    from peftbench.report.robustness import robustness_tables
    from peftbench.report.words import verdict

    summary = results.summary
    for model in summary.models:
        print_table(headline_table(summary, model), console)
        for sentence in verdict(summary, model):
            console.print(sentence, highlight=False)
        for table in robustness_tables(summary, model):
            print_table(table, console)
    for trouble in summary.troubles:
        seed = "" if trouble.seed == "-" else f" · seed {trouble.seed}"
        console.print(
            f"{trouble.status}: {trouble.model} · {trouble.method} · {trouble.task}{seed} "
            f"({trouble.cell[:12]}): {trouble.reason.splitlines()[0]}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    path = results.write_report()
    console.print(f"Report: {path}", highlight=False, soft_wrap=True)
    if summary.troubles:
        console.print(
            "Look at one with `peftbench show CELL`; run them again with "
            "`--retry failed` (or diverged, oom, lost, all).",
            markup=False,
        )
    return 1 if summary.troubles else 0


def say_without_rows(plan: Plan, console: Any) -> None:
    """Name the perturbed sets that are asked for and not there."""
    if plan.without_rows:
        console.print(
            f"no rows of the perturbed sets {', '.join(plan.without_rows)}: left out "
            "(docs/robustness.md says where they are from)",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _to_retry(experiment: Experiment, what: str) -> list[PlannedCell]:
    """The cells that `--retry` names."""
    from peftbench.errors import PeftbenchError

    failed = [
        (planned, record.status)
        for planned, record in experiment.ended()
        if record.status != "finished"
    ]
    if what == "all":
        return [planned for planned, _ in failed]
    if what in _STATUSES:
        return [planned for planned, status in failed if status == what]
    try:
        return [experiment.cell(what)]
    except PeftbenchError as error:
        raise InvalidSpec(
            f"--retry {what}: none of {', '.join(_STATUSES)} and all, nor a cell of this "
            f"benchmark. {error}"
        ) from error


def _forget_all(experiment: Experiment, *, yes: bool) -> None:
    ended = len(experiment.ended())
    if ended and not yes:
        typer.confirm(f"Forget {ended} results in {experiment.folder}?", abort=True)
    experiment.forget_all()
