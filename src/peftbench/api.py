"""The whole way from a spec to results, the same for Python and the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftbench.engine.plan import Plan, make_plan
from peftbench.errors import InvalidSpec
from peftbench.scoring import Summary, summarise, to_rows
from peftbench.scoring.summarise import ROW_FIELDS
from peftbench.spec import Benchmark, from_mapping, read_benchmark
from peftbench.store import PlannedCell, Store, StoredBenchmark, in_force
from peftbench.store._files import explained

if TYPE_CHECKING:
    import pandas as pd

    from peftbench.report import Format


#: Hears what happens: an event, a cell's id, and a detail (see `engine/local.py`).
Listener = Callable[[str, str, Any], None]


@dataclass(frozen=True)
class Results:
    """The results of one benchmark in one store."""

    summary: Summary
    store: Path

    def to_frame(self, *, all_metrics: bool = False) -> pd.DataFrame:
        """One row for every model, method, task and seed with a headline score, and with
        `all_metrics` further rows for the task's other metrics."""
        import pandas as pd

        frame = pd.DataFrame(to_rows(self.summary), columns=list(ROW_FIELDS))
        return frame if all_metrics else frame[frame["is_headline"]].reset_index(drop=True)

    def render(self, format: Format) -> str:  # noqa: A002 - the word of the command line
        """The report as "html", "md", "latex", "csv" or "json"."""
        from peftbench.report import render

        return render(self.summary, format)

    def write_report(self) -> Path:
        """Write `report.html` into the store's folder; returns its path."""
        path = self.store / "report.html"
        with explained(self.store):
            path.write_text(self.render("html"), "utf-8")
        return path


def as_benchmark(spec: str | Path | Mapping[str, Any] | Benchmark) -> tuple[Benchmark, str]:
    """A spec in any of its forms, and where it came from."""
    if isinstance(spec, Benchmark):
        return spec, "python"
    if isinstance(spec, Mapping):
        return from_mapping(spec), "python"
    path = Path(spec)
    return read_benchmark(spec), str(path.resolve()) if path.is_file() else f"suite {spec}"


def data_folder(data_dir: str | Path | None) -> Path | None:
    """The folder of rows: the argument, else PEFTBENCH_DATA_DIR, else none (the hub)."""
    chosen = data_dir or os.environ.get("PEFTBENCH_DATA_DIR")
    if not chosen:
        return None
    folder = Path(chosen)
    if not folder.is_dir():
        raise InvalidSpec(f"The data folder {str(folder)!r} does not exist.")
    return folder.resolve()


def remember(plan: Plan, store: Store, origin: str) -> None:
    """Write down in the store what was asked for."""
    spec = plan.benchmark.model_dump(mode="json", exclude_unset=True)
    store.add_benchmark(plan.benchmark.name, origin=origin, spec=spec, cells=plan.cells)


def run(
    spec: str | Path | Mapping[str, Any] | Benchmark,
    *,
    store: str | Path | None = None,
    data_dir: str | Path | None = None,
    workers: int | None = None,
    measure_costs: bool = True,
    unsafe_run_code: bool = False,
    listen: Listener = lambda _what, _cell, _detail: None,
) -> Results:
    """Run what the store does not hold yet, and return all results of the benchmark.

    Parameters
    ----------
    spec : a YAML file, the name of a shipped suite, a mapping, or a `Benchmark`
    store : folder of the results; by default `runs/<name of the benchmark>`
    data_dir : folder of task rows; by default PEFTBENCH_DATA_DIR, else the hub
    workers : processes; by default one per core, or one on a machine with a GPU
    unsafe_run_code : run programs that a model wrote also where there is no sandbox

    Raises `InvalidSpec`, `DataError`, `ModelError` or `StoreError` before anything runs.
    A cell that fails is part of the results and raises nothing.
    """
    from peftbench.engine.local import default_workers

    benchmark, origin = as_benchmark(spec)
    plan = make_plan(benchmark, data_folder(data_dir))
    opened = Store.open(Path(store or Path("runs") / benchmark.name))
    count = workers or default_workers()
    try:
        plan = tuned(plan, opened, workers=count, watch=lambda _cells: nullcontext(listen))
        remember(plan, opened, origin)
        return execute(
            plan,
            opened,
            workers=count,
            measure_costs=measure_costs,
            unsafe_run_code=unsafe_run_code,
            listen=listen,
        )
    finally:
        opened.close()


def tuned(
    plan: Plan,
    store: Store,
    *,
    workers: int,
    watch: Callable[[Sequence[PlannedCell]], AbstractContextManager[Listener]],
) -> Plan:
    """The plan with the settings that tuning chooses, where the spec asks for it; runs the
    trials that the store does not hold. `watch` gives a listener for each round of them."""
    from peftbench.engine.local import run_cells
    from peftbench.engine.tuning import tune

    def run_round(cells: Sequence[PlannedCell]) -> None:
        if cells:
            with watch(cells) as listen:
                part = replace(plan, cells=tuple(cells))
                run_cells(part, store, workers=workers, listen=listen)

    return tune(plan, store, run_round)


def execute(
    plan: Plan,
    store: Store,
    *,
    workers: int,
    measure_costs: bool = True,
    unsafe_run_code: bool = False,
    listen: Listener = lambda _what, _cell, _detail: None,
) -> Results:
    """Measure what is not measured, then run what is missing; costs first, alone."""
    from peftbench.engine import probe
    from peftbench.engine.local import run_cells
    from peftbench.engine.robustness import PerturbedSets, evaluate_kept

    PerturbedSets(plan).check()
    if measure_costs:
        probe.measure_costs(plan, store, lambda name: listen("measuring", name, None))
    run_cells(plan, store, workers=workers, listen=listen, unsafe_run_code=unsafe_run_code)
    evaluate_kept(plan, store, listen)
    return results(store, plan.benchmark.name)


def stored_benchmark(store: Store, name: str | None = None) -> StoredBenchmark:
    """One benchmark of a store; its newest by default."""
    benchmarks = store.benchmarks()
    found = [b for b in benchmarks if name in (None, b.name)]
    if not found:
        raise InvalidSpec(
            f"{store.folder} holds no benchmark{f' called {name!r}' if name else ''}; it has "
            f"{', '.join(b.name for b in benchmarks) or 'none'}."
        )
    return found[-1]


def _know_task_files(stored: StoredBenchmark) -> None:
    """Let tasks that were given by the path of a YAML file be described, if it is there."""
    from peftbench import tasks

    for name in stored.spec.get("tasks", ()):
        with suppress(InvalidSpec):
            tasks.use(name)


def results(
    store: Store, name: str | None = None, *, methods: Collection[str] | None = None
) -> Results:
    """The results of one benchmark of a store; its newest by default.

    `methods` are labels: only these are compared, as if there were no others.
    """
    chosen = stored_benchmark(store, name)
    _know_task_files(chosen)
    cells = [p for p in chosen.cells if methods is None or p.label in methods]
    records = store.records(planned.cell.id for planned in cells)
    newest = store.rescorings.newest(records)

    def row_scores(cell_id: str) -> list[float] | None:
        if cell_id in newest:
            again = store.rescorings.rows(newest[cell_id])
            return [score for score in again if score is not None]
        table = store.predictions(cell_id)
        return None if table is None else table.column("score").drop_null().to_pylist()

    summary = summarise(
        chosen.name,
        chosen.spec,
        cells,
        in_force(records, newest),
        [cost for cost in store.costs() if cost.basis == "measured"],
        row_scores,
        store.evaluations.in_force(records),
    )
    summary = summary.model_copy(update={"rescored_cells": len(newest)})
    return Results(summary, store.folder)
