"""One object for a benchmark and its store, the same for Python and the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from peftbench.catalogue import plug_in
from peftbench.errors import InvalidSpec, ModelError
from peftbench.models import ModelSource, resolve
from peftbench.planning.plan import Plan, make_plan
from peftbench.planning.wanted import wanted
from peftbench.scoring import Summary, summarise, to_rows
from peftbench.scoring.summarise import ROW_FIELDS
from peftbench.spec import Benchmark, Trial, from_mapping, read_benchmark
from peftbench.store import (
    Event,
    PlannedCell,
    Record,
    Store,
    StoredBenchmark,
    Trained,
    Work,
    row_scores,
)
from peftbench.store._files import explained

if TYPE_CHECKING:
    import pandas as pd

    from peftbench.engine.regrade import Regraded
    from peftbench.report import Format
    from peftbench.search.tuning import TuningSource

Spec = str | Path | Mapping[str, Any] | Benchmark


@dataclass(frozen=True)
class News:
    """Something that happened in a run."""

    what: Literal["started", "step", "measured", "ended", "dropped"]
    name: str
    """What it happened to, as people call it."""
    unit: str
    step: int = 0
    steps: int = 0
    said: str = ""
    """Of what ended: its score, or why there is none."""


Listen = Callable[[News], None]


@dataclass(frozen=True)
class Results:
    """The results of one benchmark in one store."""

    summary: Summary
    store: Path

    def to_frame(self, *, all_metrics: bool = False) -> pd.DataFrame:
        """One row for every model, method, task and seed with a headline score, and with
        `all_metrics` further rows for the task's other metrics and test sets."""
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

    def __repr__(self) -> str:
        """A table of scores, as in a terminal."""
        return self.render("md")

    def _repr_html_(self) -> str:
        """The table of scores, in a notebook."""
        frame = self.to_frame().pivot_table(
            index=["model", "method"], columns="task", values="score", sort=False
        )
        html: str = frame.to_html(float_format="{:.3f}".format)
        return html


class Experiment:
    """A benchmark over a store: planned, run, and looked at.

    Parameters
    ----------
    spec : a YAML file, the name of a shipped suite, a mapping, or a `Benchmark`
    store : folder of the results; by default `runs/<name of the benchmark>`
    data_dir : folder of task rows; by default PEFTBENCH_DATA_DIR, else the hub
    plugins : Python or YAML files with methods, tasks or metrics of your own

    Opening one computes nothing. `plan` and `run` raise `InvalidSpec`, `DataError`,
    `ModelError` or `StoreError` before anything is loaded; a cell that fails is part of the
    results and raises nothing.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        store: str | Path | None = None,
        data_dir: str | Path | None = None,
        plugins: Iterable[str | Path] = (),
    ) -> None:
        plug_in([Path(file) for file in plugins])
        self.benchmark, self.origin = as_benchmark(spec)
        self.data_dir = data_folder(data_dir)
        self.folder = Path(store or Path("runs") / self.benchmark.name)
        self._stored: StoredBenchmark | None = None

    @classmethod
    def open(
        cls,
        store: str | Path,
        benchmark: str | None = None,
        *,
        data_dir: str | Path | None = None,
    ) -> Self:
        """A benchmark that was run in a store, by default its newest, as it was run."""
        with Store.open(Path(store), create=False) as opened:
            stored = stored_benchmark(opened, benchmark)
        found = cls(from_mapping(stored.spec), store=store, data_dir=data_dir)
        found.origin, found._stored = stored.origin, stored
        return found

    @cached_property
    def plan(self) -> Plan:
        """All cells and what they need, with nothing loaded."""
        if self._stored is not None:
            return self._plan_as_run(self._stored)
        return make_plan(self.benchmark, self.data_dir)

    @cached_property
    def store(self) -> Store:
        """The store, made if it is not there."""
        return Store.open(self.folder)

    def missing(self) -> list[Work]:
        """What the store does not have yet, one piece for each adapter."""
        return wanted(
            self.plan.cells,
            self.store.results,
            keep_adapters=self.benchmark.keep_adapters,
        )

    def run(
        self,
        *,
        workers: int | None = None,
        measure_costs: bool = True,
        unsafe_run_code: bool = False,
        listen: Listen = lambda _news: None,
        checkpoint_seconds: float = 30.0,
    ) -> Results:
        """Compute what the store does not hold yet, and return all results.

        workers : processes; by default one per core, or one on a machine with a GPU
        unsafe_run_code : run programs that a model wrote also where there is no sandbox
        """
        from peftbench.planning.costs import unmeasured
        from peftbench.search.tuning import TuningSource

        plan = self.plan
        self.check_rows()
        tuning: TuningSource | None = None
        if self.benchmark.tuning is not None:
            tuning = TuningSource(plan, self.store, self.benchmark.keep_adapters)
        works = self.missing() if tuning is None else []
        costs = unmeasured(plan.cells, plan.models, self.store.results)
        self._remember(tuning.settled() if tuning else plan)
        try:
            self._work_through(
                works,
                tuning=tuning,
                costs=costs if measure_costs else (),
                workers=workers,
                listen=listen,
                unsafe_run_code=unsafe_run_code,
                checkpoint_seconds=checkpoint_seconds,
            )
        finally:
            self._remember(tuning.settled() if tuning else plan)
        return self.results()

    def results(self, *, methods: Collection[str] | None = None) -> Results:
        """What the store has of the benchmark.

        `methods` are labels: only these are compared, as if there were no others.
        """
        return results(self.store, self.benchmark.name, methods=methods)

    def cells(self) -> pd.DataFrame:
        """One row for every cell: what it is, how it ended, and its headline score."""
        import pandas as pd

        cells = self._cells()
        records = self.store.records(cells)
        rows = []
        for one in cells:
            record = records.get(one.cell.id)
            headline = record.headline if record else None
            rows.append(
                {
                    "cell": one.cell.short_id,
                    "model": one.model,
                    "method": one.label,
                    "task": one.cell.task.name,
                    "seed": one.cell.seed,
                    "status": record.status if record else "missing",
                    "metric": headline.metric if headline else None,
                    "score": headline.value if headline else None,
                }
            )
        return pd.DataFrame(rows)

    def cell(self, name: str) -> PlannedCell:
        """The cell whose id begins so, or that is called "lora/sst2/1" (method, task, seed;
        with the model in front where there are several). Raises `InvalidSpec`."""
        return find_cell(self._cells(), name)

    def record(self, name: str) -> Record:
        """All that is known of one cell; raises `InvalidSpec` where it has not ended."""
        planned = self.cell(name)
        record = self.store.record(planned)
        if record is None:
            raise InvalidSpec(f"The cell {planned.name} has not been run yet.")
        return record

    def predictions(self, name: str, test_set: str = "test") -> pd.DataFrame:
        """What one cell wrote on a test set, row by row, and whose it is."""
        planned = self.cell(name)
        for predict in planned.predicts:
            if predict.test_set.name == test_set:
                table = self.store.predictions(predict.id)
                break
        else:
            known = ", ".join(one.name for one in planned.test_sets)
            raise InvalidSpec(
                f"{planned.name} has no test set {test_set!r}; it has {known}."
            )
        if table is None:
            raise InvalidSpec(f"{planned.name} has no predictions on {test_set} yet.")
        frame: pd.DataFrame = table.to_pandas()
        whose = {
            "model": planned.model,
            "method": planned.label,
            "task": planned.cell.task.name,
            "seed": planned.cell.seed,
            "test_set": test_set,
        }
        for place, (column, value) in enumerate(whose.items()):
            frame.insert(place, column, value)
        return frame

    def compare(self, first: str, second: str, test_set: str = "test") -> pd.DataFrame:
        """The rows that two cells answer differently, side by side."""
        one, other = (self.predictions(name, test_set) for name in (first, second))
        if list(one["prompt_sha256"]) != list(other["prompt_sha256"]):
            raise InvalidSpec(
                f"{first} and {second} were not asked the same rows: they differ in task, "
                "limits or prompt."
            )
        columns = ["output", "answer", "score"]
        both = one[["row", "prompt", "target", *columns]].merge(
            other[["row", *columns]], on="row", suffixes=("_first", "_second")
        )
        differs = both["answer_first"].fillna("") != both["answer_second"].fillna("")
        return both[differs].reset_index(drop=True)

    def costs(self) -> pd.DataFrame:
        """What every method costs, as the meter measured it."""
        import pandas as pd

        summary = self.results().summary
        rows = [
            {
                "model": standing.model,
                "method": standing.method,
                **standing.cost.model_dump(
                    exclude={"method", "model", "probe", "packages", "peak_memory"}
                ),
                "peak_memory_bytes": standing.cost.peak_memory.total,
            }
            for standing in summary.standings
            if standing.cost
        ]
        return pd.DataFrame(rows)

    def forget(self, cells: Iterable[PlannedCell]) -> None:
        """Remove the results of these cells, so that they are made again."""
        steps = [
            step.id
            for one in cells
            for step in ([one.cell.train] if one.cell.train else one.predicts)
        ]
        self.store.results.forget(steps)

    def forget_all(self) -> int:
        """Remove all results of the benchmark, also those of trials and of the plan as it was
        run before; returns how many cells had ended."""
        cells = {one.cell.id: one for one in (*self.plan.cells, *self._stored_cells())}
        ended = len(self.store.records(cells.values()))
        trials = [
            step for one in cells.values() for trial in one.trials for step in trial.runs
        ]
        runs = self.store.results.by_id(trials)
        steps = [one.step for one in runs.values()]
        of_trials = [step.train.id for step in steps if isinstance(step, Trial)]
        self.store.results.forget([*trials, *of_trials])
        self.forget(cells.values())
        return ended

    def with_robustness(self) -> None:
        """Want all perturbed sets that there are now, for the cells as they are."""
        from peftbench.planning.perturbed import perturbed_sets

        asked = self.benchmark.model_copy(update={"robust": True})
        sets, without = perturbed_sets(asked, self.data_dir)
        plan = self.plan
        cells = tuple(
            one.model_copy(update={"perturbed": sets.get(one.cell.task.name, ())})
            for one in plan.cells
        )
        self.benchmark = asked
        self.plan = replace(plan, benchmark=asked, cells=cells, without_rows=without)

    def look_again(self, *, listen: Listen = lambda _news: None) -> list[PlannedCell]:
        """Ask and grade what is missing of finished cells, training nothing; returns the
        cells whose adapters are not kept, so that they could not be asked."""
        able, unable = [], []
        trained = self.store.results.by_id(
            one.cell.train.id for one in self.plan.cells if one.cell.train
        )
        missing = {one.unit for one in self.missing()}
        for one in self.plan.cells:
            train = one.cell.train
            if (train.id if train else one.cell.id) not in missing:
                continue
            kept = train is None or (train.id in trained and trained[train.id].has_adapter)
            if kept:
                able.append(one)
            elif train is not None and train.id in trained:
                unable.append(one)
        self.check_rows()
        self._remember(self.plan)
        works = wanted(able, self.store.results, keep_adapters=True)
        self._work_through(works, workers=1, listen=listen)
        return unable

    def rescore(self, *, unsafe_run_code: bool = False) -> list[Regraded]:
        """Grade all stored predictions again by today's code, without a model; what comes
        out otherwise is stored beside the earlier grades, and shown from now on."""
        from peftbench.engine.regrade import regrade

        return regrade(self._cells(), self.store.results, unsafe_run_code=unsafe_run_code)

    def ended(self) -> list[tuple[PlannedCell, Record]]:
        """The planned cells that have ended, with their records."""
        records = self.store.records(self.plan.cells)
        return [
            (one, records[one.cell.id]) for one in self.plan.cells if one.cell.id in records
        ]

    def check_rows(self) -> None:
        """Load the perturbed sets, so that broken rows are found before anything runs."""
        from peftbench.tasks.perturbations._load import load_perturbed

        for task, name in dict.fromkeys(
            (one.cell.task.name, test_set.name)
            for one in self.plan.cells
            for test_set in one.perturbed
        ):
            limit = self.benchmark.limits.test
            load_perturbed(name, task, data_dir=self.data_dir, limit=limit)

    def close(self) -> None:
        """Let go of the store."""
        if "store" in vars(self):
            self.store.close()
            del self.store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        asked = self.benchmark
        cells = self._cells()
        done = len(self.store.records(cells))
        return (
            f"Experiment({asked.name!r}: {len(asked.models)} models, {len(asked.methods)} "
            f"methods, {len(asked.tasks)} tasks, {len(asked.seeds)} seeds; {done} of "
            f"{len(cells)} cells done in {self.folder})"
        )

    def _repr_html_(self) -> str:
        html: str = self.cells().to_html(index=False)
        return f"<p>{self.benchmark.name}: {self.folder}</p>{html}"

    def _cells(self) -> Sequence[PlannedCell]:
        """As they were run, where they were; else as they are planned."""
        return self._stored_cells() or self.plan.cells

    def _stored_cells(self) -> Sequence[PlannedCell]:
        stored = self.store.benchmark(self.benchmark.name)
        return stored.cells if stored else ()

    def _work_through(
        self,
        works: Sequence[Work],
        *,
        tuning: TuningSource | None = None,
        costs: Sequence[Work] = (),
        workers: int | None = None,
        listen: Listen = lambda _news: None,
        unsafe_run_code: bool = False,
        checkpoint_seconds: float = 30.0,
    ) -> None:
        """Let workers on this machine do it: costs first, alone."""
        from peftbench.engine.local import Fixed, LocalEngine, default_workers

        names = tuning.names if tuning else {}
        names |= {one.unit: name for one, name in self._named(costs)}

        def cells() -> Sequence[PlannedCell]:
            return (tuning.settled() if tuning else self.plan).cells

        engine = LocalEngine(
            self.store,
            self.plan.models,
            self.plan.data_dir,
            workers or default_workers(),
            listen=Narrator(self.store, cells, names, listen),
            unsafe_run_code=unsafe_run_code,
            checkpoint_seconds=checkpoint_seconds,
        )
        engine.work_through(Fixed(costs), tuning or Fixed(works))
        self.store.tidy()

    def _named(self, costs: Sequence[Work]) -> Iterator[tuple[Work, str]]:
        """Measurements, and the label of the method that each is of."""
        for one in costs:
            assert one.measure is not None
            yield (
                one,
                next(
                    (
                        p.label
                        for p in self.plan.cells
                        if p.cell.method == one.measure.method
                    ),
                    one.measure.method.name,
                ),
            )

    def _remember(self, plan: Plan) -> None:
        """Write down in the store what was asked for."""
        spec = plan.benchmark.model_dump(mode="json", exclude_unset=True)
        self.store.add_benchmark(
            plan.benchmark.name, origin=self.origin, spec=spec, cells=plan.cells
        )

    def _plan_as_run(self, stored: StoredBenchmark) -> Plan:
        """The stored cells over the base models that there are now; raises `ModelError` where
        one is not what it was."""
        sources: dict[str, ModelSource] = {
            source.identity: source for source in map(resolve, self.benchmark.models)
        }
        for planned in stored.cells:
            if planned.cell.model.identity not in sources:
                raise ModelError(
                    f"The base model {planned.model} is not the one that {stored.name} was "
                    f"run on: it was {planned.cell.model.identity}. Adapters fit that one "
                    "alone; put it back, or run the benchmark again."
                )
        return Plan(self.benchmark, stored.cells, sources, self.data_dir)


class Narrator:
    """Tells what happens in a run by the names that people know.

    `names` are those of what is no cell: measurements and trials, by unit.
    """

    def __init__(
        self,
        store: Store,
        cells: Callable[[], Iterable[PlannedCell]],
        names: Mapping[str, str],
        listen: Listen,
    ) -> None:
        self.store = store
        self.cells = cells
        self.names = names
        self.listen = listen
        self._known: dict[str, PlannedCell] = {}

    def __call__(self, event: Event) -> None:
        """Hear of an event of the ledger."""
        planned, unit = self._cell(event.unit), event.unit
        name = planned.name if planned else self.names.get(unit, unit[:12])
        if event.what == "step":
            step, _, steps = event.detail.partition("/")
            self.listen(News("step", name, unit, int(step), int(steps)))
        elif event.what in ("started", "dropped"):
            self.listen(News(event.what, name, unit))  # type: ignore[arg-type]
        elif event.what == "measured":
            said = f"not measured: {event.detail}" if event.detail else ""
            self.listen(News("measured", name, unit, said=said))
        else:
            said = self._of_cell(planned) if planned else self._of_trial(event)
            self.listen(News("ended", name, unit, said=said))

    def _cell(self, unit: str) -> PlannedCell | None:
        if unit not in self._known and unit not in self.names:
            for one in self.cells():
                self._known[one.cell.train.id if one.cell.train else one.cell.id] = one
        return self._known.get(unit)

    def _of_cell(self, planned: PlannedCell) -> str:
        from peftbench.report import numbers

        record = self.store.record(planned)
        if record is None:
            return "trained"
        if record.status != "finished":
            reason = (record.error or "").splitlines()
            return f"{record.status}: {reason[0] if reason else ''}"
        headline = record.headline
        score = (
            f"{headline.metric} {numbers.score(headline.value)}"
            if headline
            else "its headline is unavailable"
        )
        return f"{score} ({sum(record.seconds.values()):.1f} s)"

    def _of_trial(self, event: Event) -> str:
        from peftbench.report import numbers

        found = self.store.results.by_id([event.unit]).get(event.unit)
        run = found.outcome if found else None
        if not isinstance(run, Trained):
            return event.what
        if run.status != "finished":
            return f"{run.status}: {run.error}"
        best = next(one.score for one in run.validations if one.step == run.best_step)
        return f"validation {numbers.score(best)}"


def run(
    spec: Spec,
    *,
    store: str | Path | None = None,
    data_dir: str | Path | None = None,
    workers: int | None = None,
    measure_costs: bool = True,
    unsafe_run_code: bool = False,
    listen: Listen = lambda _news: None,
) -> Results:
    """Run what the store does not hold yet, and return all results of the benchmark: see
    `Experiment`."""
    with Experiment(spec, store=store, data_dir=data_dir) as experiment:
        return experiment.run(
            workers=workers,
            measure_costs=measure_costs,
            unsafe_run_code=unsafe_run_code,
            listen=listen,
        )


def results(
    store: Store, name: str | None = None, *, methods: Collection[str] | None = None
) -> Results:
    """The results of one benchmark of a store; its newest by default."""
    chosen = stored_benchmark(store, name)
    cells = [p for p in chosen.cells if methods is None or p.label in methods]
    records = store.records(cells)

    def rows(cell_id: str) -> list[float] | None:
        grade = records[cell_id].grade if cell_id in records else None
        found = row_scores(store.results, grade) if grade else []
        return [score for score in found if score is not None] or None

    summary = summarise(
        chosen.name,
        chosen.spec,
        cells,
        records,
        [one.outcome for one in store.results.of_kind("measure")],  # type: ignore[misc]
        rows,
    )
    regraded = sum(record.times_graded > 1 for record in records.values())
    return Results(summary.model_copy(update={"rescored_cells": regraded}), store.folder)


def stored_benchmark(store: Store, name: str | None = None) -> StoredBenchmark:
    """One benchmark of a store; its newest by default."""
    names = store.benchmark_names()
    found = store.benchmark(name or names[-1]) if names else None
    if found is None:
        raise InvalidSpec(
            f"{store.folder} holds no benchmark{f' called {name!r}' if name else ''}; it has "
            f"{', '.join(names) or 'none'}."
        )
    return found


def find_cell(cells: Sequence[PlannedCell], name: str) -> PlannedCell:
    """The cell of this id, the beginning of one, or "method/task/seed"."""
    by_name = [one for one in cells if name in names_of(one)]
    found = by_name or [one for one in cells if len(name) >= 4 and _begins(one, name)]
    distinct = {one.cell.id: one for one in found}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if not distinct:
        example = "/".join(names_of(cells[0])[0].split("/")) if cells else "lora/sst2/1"
        raise InvalidSpec(
            f"No cell {name!r}: give the beginning of an id (at least four digits), or a name "
            f"such as {example}."
        )
    listed = ", ".join(f"{one.cell.short_id} ({one.name})" for one in distinct.values())
    raise InvalidSpec(f"{name!r} stands for several cells: {listed}.")


def names_of(planned: PlannedCell) -> tuple[str, str]:
    """How a cell may be called: "lora/sst2/1", and with its model in front."""
    seed = "-" if planned.cell.seed is None else str(planned.cell.seed)
    short = f"{planned.label}/{planned.cell.task.name}/{seed}"
    return short, f"{planned.model}/{short}"


def as_benchmark(spec: Spec) -> tuple[Benchmark, str]:
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


def _begins(planned: PlannedCell, prefix: str) -> bool:
    """Whether the id of a cell, or of the step that trains it, begins so."""
    train = planned.cell.train
    return planned.cell.id.startswith(prefix) or bool(train and train.id.startswith(prefix))
