"""One object for a benchmark and its store, the same for Python and the command line."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from peftbench import tasks
from peftbench.catalogue import plug_in
from peftbench.errors import InvalidSpec, ModelError
from peftbench.models import ModelSource, resolve
from peftbench.news import Listen, Narrator, News, unheard
from peftbench.planning.plan import Plan, make_plan
from peftbench.planning.wanted import Need, needs, wanted
from peftbench.results import Results, advice, results, stored_benchmark
from peftbench.spec import Benchmark, Protocol, Trial, from_mapping, read_benchmark
from peftbench.spec.read import is_task_file
from peftbench.store import PlannedCell, Record, Store, StoredBenchmark, Work
from peftbench.store._files import explained
from peftbench.tasks._frames import FrameTask, task_from_frame

if TYPE_CHECKING:
    import pandas as pd

    from peftbench.engine.regrade import Regraded
    from peftbench.report.advice import Advice
    from peftbench.search.tuning import TuningSource

__all__ = [
    "Experiment",
    "News",
    "Results",
    "data_folder",
    "find_cell",
    "results",
    "run",
    "stored_benchmark",
    "task_from_frame",
]

Spec = str | Path | Mapping[str, Any] | Benchmark


class Experiment:
    """A benchmark over a store: planned, run, and looked at.

    Parameters
    ----------
    spec : a YAML file, the name of a shipped suite, a mapping, or a `Benchmark`; among the
        `tasks` of a mapping may be what `task_from_frame` returns
    store : folder of the results; by default `runs/<name of the benchmark>`
    data_dir : folder of task rows; by default PEFTBENCH_DATA_DIR, else the hub
    plugins : Python or YAML files with methods, tasks or metrics of your own

    Opening one computes nothing. `plan` and `run` raise `InvalidSpec`, `DataError`,
    `ModelError` or `StoreError` before anything is loaded; a cell that fails is part of the
    results and raises nothing.
    """

    def __init__(
        self,
        spec: Spec | StoredBenchmark,
        *,
        store: str | Path | None = None,
        data_dir: str | Path | None = None,
        plugins: Iterable[str | Path] = (),
    ) -> None:
        plug_in([Path(file) for file in plugins])
        self.data_dir = data_folder(data_dir)
        self._frames: tuple[FrameTask, ...] = ()
        self._stored = spec if isinstance(spec, StoredBenchmark) else None
        if isinstance(spec, StoredBenchmark):
            self.name, self.origin = spec.name, spec.origin
        else:
            if isinstance(spec, Mapping):
                spec = self._with_frames(spec, store)
            self.benchmark, self.origin = as_benchmark(spec)
            self.name = self.benchmark.name
        self.folder = Path(store or Path("runs") / self.name)

    @classmethod
    def open(
        cls,
        store: str | Path,
        benchmark: str | None = None,
        *,
        data_dir: str | Path | None = None,
        plugins: Iterable[str | Path] = (),
    ) -> Self:
        """A benchmark of a store, by default its newest, as it was run or imported."""
        with Store.open(Path(store), create=False) as opened:
            stored = stored_benchmark(opened, benchmark)
        return cls(stored, store=store, data_dir=data_dir, plugins=plugins)

    @cached_property
    def benchmark(self) -> Benchmark:
        """What was asked for; raises `InvalidSpec` where that was an import."""
        assert self._stored is not None, "else it is there from the beginning"
        return from_mapping(self._stored.spec, f"the benchmark {self.name}")

    @cached_property
    def plan(self) -> Plan:
        """All cells and what they need, with nothing loaded; of an opened one, as it was run."""
        with explained(self.folder):
            for one in self._frames:
                one.write(self.folder)
        if self._stored is not None:
            return self._plan_as_run(self._stored)
        return make_plan(self.benchmark, self.data_dir)

    @cached_property
    def store(self) -> Store:
        """The store; made if it is not there and nothing was opened."""
        return Store.open(self.folder, create=self._stored is None)

    # Running

    def missing(self) -> list[Work]:
        """What the store does not have yet, one piece for each adapter."""
        return wanted(
            self.settled.cells,
            self.store.results,
            keep_adapters=self.benchmark.keep_adapters,
        )

    def needs(self) -> dict[str, Need]:
        """What the cells that are not done need, by id: all of a "run", or, where there is an
        adapter, to "ask" it or to "grade" its answers."""
        return needs(self._cells(), self.store.results if self.has_store else None)

    def run(
        self,
        *,
        workers: int | None = None,
        measure_costs: bool = True,
        unsafe_run_code: bool = False,
        listen: Listen = unheard,
        checkpoint_seconds: float = 30.0,
    ) -> Results:
        """Compute what the store does not hold yet, and return all results.

        workers : processes; by default one per core, or on every GPU as many as find room there
        unsafe_run_code : run programs that a model wrote also where there is no sandbox
        """
        from peftbench.planning.costs import unmeasured

        if (
            self._stored is not None
        ):  # from here on it is what was asked, and not what was run
            _ = self.benchmark
            self._stored = None
            vars(self).pop("plan", None)
        plan = self.plan
        self._use_tasks()
        self.check_inputs()
        tuning = self._search()
        costs = unmeasured(plan.cells, plan.models, self.store.results)
        self._remember(tuning.settled() if tuning else plan)
        try:
            self._work_through(
                [] if tuning else self.missing(),
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
        if self._stored is not None:
            self._stored = replace(self._stored, cells=cells)

    def look_again(self, *, listen: Listen = unheard) -> list[PlannedCell]:
        """Ask and grade what is missing of finished cells, training nothing; returns the
        cells whose adapters are not kept, so that they could not be asked."""
        able, unable = [], []
        trained = self.store.results.by_id(
            one.cell.train.id for one in self.plan.cells if one.cell.train
        )
        found = needs(self.plan.cells, self.store.results)
        for one in self.plan.cells:
            train = one.cell.train
            if found.get(one.cell.id) in ("ask", "grade"):
                able.append(one)
            elif one.cell.id in found and train is not None and train.id in trained:
                unable.append(one)
        self._use_tasks()
        self.check_inputs()
        self._remember(self.plan)
        works = wanted(able, self.store.results, keep_adapters=True)
        self._work_through(works, workers=1, listen=listen)
        return unable

    def rescore(self, *, unsafe_run_code: bool = False) -> list[Regraded]:
        """Grade all stored predictions again by today's code, without a model; what comes
        out otherwise is stored beside the earlier grades, and shown from now on."""
        from peftbench.engine.regrade import regrade

        self._use_tasks()
        return regrade(self._cells(), self.store.results, unsafe_run_code=unsafe_run_code)

    def forget(self, cells: Iterable[PlannedCell | str]) -> None:
        """Remove the results of these cells, or of those of these names, so that they are
        made again."""
        named = [cells] if isinstance(cells, str) else cells
        found = [self.cell(one) if isinstance(one, str) else one for one in named]
        self.store.results.forget(
            step.id
            for one in found
            for step in ([one.cell.train] if one.cell.train else one.predicts)
        )

    def forget_all(self) -> int:
        """Remove all results of the benchmark, also those of trials and of the plan as it was
        run before; returns how many cells had ended."""
        stored = self.store.benchmark(self.name)
        cells = {
            one.cell.id: one for one in (*self._cells(), *(stored.cells if stored else ()))
        }
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

    # Looking

    @property
    def has_store(self) -> bool:
        """Whether there is a store yet: looking at an experiment makes none."""
        return (self.folder / "store.sqlite").is_file()

    @property
    def settled(self) -> Plan:
        """The plan with the settings that a search has found up to now."""
        search = self._search() if self.has_store else None
        return search.settled() if search else self.plan

    def trials_left(self) -> int:
        """How many trials of its searches are still to come."""
        from peftbench.search.tuning import studies

        if self._stored is not None or self.benchmark.tuning is None:
            return 0
        if search := self._search() if self.has_store else None:
            return search.trials_left()
        return self.benchmark.tuning.trials * len(studies(self.plan))

    def results(self, *, methods: Collection[str] | None = None) -> Results:
        """What the store has of the benchmark.

        `methods` are labels: only these are compared, as if there were no others.
        """
        return results(self.store, self.name, methods=methods)

    def costs(self) -> pd.DataFrame:
        """What every method costs, as the meter measured it."""
        return self.results().costs()

    def advice(
        self,
        *,
        model: str | None = None,
        prefer: str = "trainable_parameters",
        **budgets: float,
    ) -> Advice:
        """Which method to use within budgets, and how sure that is.

        Budgets are upper bounds of what `costs` shows: `trainable_parameters=1e6`,
        `peak_memory_bytes=24e9`. Of methods that are tied, `prefer` is the cost that decides.
        """
        return advice(self.store, self.name, model=model, prefer=prefer, budgets=budgets)

    def cells(self) -> pd.DataFrame:
        """One row for every cell: what it is, how it ended, and its headline score."""
        import pandas as pd

        cells = self._cells()
        records = self._records(cells)
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
        return pd.DataFrame(rows).astype({"seed": "Int64", "score": "float64"})

    def cell(self, name: str) -> PlannedCell:
        """The cell whose id begins so, or that is called "lora/sst2/1" (method, task, seed;
        with the model in front where there are several). Raises `InvalidSpec`."""
        return find_cell(self._cells(), name)

    def record(self, name: str) -> Record:
        """All that is known of one cell; raises `InvalidSpec` where it has not ended."""
        planned = self.cell(name)
        record = self._records([planned]).get(planned.cell.id)
        if record is None:
            raise InvalidSpec(f"The cell {planned.name} has not been run yet.")
        return record

    def ended(self) -> list[tuple[PlannedCell, Record]]:
        """The cells that have ended, with their records."""
        cells = self._cells()
        records = self._records(cells)
        return [(one, records[one.cell.id]) for one in cells if one.cell.id in records]

    def predictions(self, name: str, test_set: str = "test") -> pd.DataFrame:
        """What one cell wrote on a test set, row by row, and whose it is."""
        planned = self.cell(name)
        predict = next(
            (one for one in planned.predicts if one.test_set.name == test_set), None
        )
        if predict is None:
            known = ", ".join(one.name for one in planned.test_sets)
            raise InvalidSpec(
                f"{planned.name} has no test set {test_set!r}; it has {known}."
            )
        table = self.store.predictions(predict.id) if self.has_store else None
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

    def check_inputs(self) -> None:
        """Read rows of your own, perturbed sets and tokenizers of what is to be run, so that
        what is wrong with them is told before it is."""
        from peftbench.planning.ready import check_own_rows, check_tokenizer
        from peftbench.tasks.perturbations._load import load_perturbed

        found = self.needs()
        to_ask = [one for one in self._cells() if found.get(one.cell.id) in ("run", "ask")]
        check_own_rows(to_ask, self.data_dir)
        asked: dict[tuple[str, bool], dict[tuple[str, Protocol], None]] = {}
        for one in to_ask:
            model = one.cell.model
            named = asked.setdefault((model.identity, bool(model.chat_template)), {})
            named[one.cell.task.name, one.cell.protocol] = None
        for (identity, chat_template), named in asked.items():
            source = self.plan.models[identity]
            check_tokenizer(source, chat_template=chat_template, named=named)
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
        cells = self._cells()
        done = len(self._records(cells))
        return (
            f"Experiment({self.name!r}: {done} of {len(cells)} cells done in {self.folder})"
        )

    def _repr_html_(self) -> str:
        frame = self.cells().astype({"seed": "string"}).fillna("–")
        table: str = frame.to_html(index=False, float_format="{:.3f}".format)
        return f"<p>{self!r}</p>{table}"

    # Inside

    def _cells(self) -> Sequence[PlannedCell]:
        """As they were run, if it was opened; else as they are planned."""
        return self._stored.cells if self._stored else self.settled.cells

    def _records(self, cells: Sequence[PlannedCell]) -> Mapping[str, Record]:
        return self.store.records(cells) if self.has_store else {}

    def _search(self) -> TuningSource | None:
        """The search for settings; None where there is none, or it was run."""
        from peftbench.search.tuning import TuningSource

        if self._stored is not None or self.benchmark.tuning is None:
            return None
        return TuningSource(self.plan, self.store, self.benchmark.keep_adapters)

    def _work_through(
        self,
        works: Sequence[Work],
        *,
        tuning: TuningSource | None = None,
        costs: Sequence[Work] = (),
        workers: int | None = None,
        listen: Listen = unheard,
        unsafe_run_code: bool = False,
        checkpoint_seconds: float = 30.0,
    ) -> None:
        """Let workers on this machine do it: costs first, alone."""
        from peftbench.engine.local import Fixed, LocalEngine
        from peftbench.planning.workers import default_workers

        def cells() -> Sequence[PlannedCell]:
            return (tuning.settled() if tuning else self.plan).cells

        trials = tuning.names if tuning else {}
        names = {one.unit: self._name_of_cost(one) for one in costs}
        engine = LocalEngine(
            self.store,
            self.plan.models,
            self.plan.data_dir,
            workers or default_workers(self.plan),
            listen=Narrator(self.store, cells, trials, names, listen),
            unsafe_run_code=unsafe_run_code,
            checkpoint_seconds=checkpoint_seconds,
        )
        engine.work_through(Fixed(costs), tuning or Fixed(works))
        self.store.tidy()

    def _name_of_cost(self, work: Work) -> str:
        """The label of the method that is measured, and the model where there are several."""
        assert work.measure is not None
        method = work.measure.method
        label = next(
            (one.label for one in self.plan.cells if one.cell.method == method), method.name
        )
        return label if len(self.plan.models) == 1 else f"{label} on {work.model}"

    def _use_tasks(self) -> None:
        """Let tasks that files describe be looked up by their names from here on."""
        spec = self._stored.spec if self._stored else self.benchmark.model_dump()
        for name in spec.get("tasks", ()):
            if is_task_file(name) and Path(name).is_file():
                tasks.use(name)

    def _with_frames(
        self, spec: Mapping[str, Any], store: str | Path | None
    ) -> Mapping[str, Any]:
        """The spec with paths in place of frames, which are written when it is planned."""
        named = spec.get("tasks")
        if not isinstance(named, list | tuple):
            return spec
        folder = Path(store or Path("runs") / str(spec.get("name")))
        self._frames = tuple(one for one in named if isinstance(one, FrameTask))
        paths = [
            str(one.path(folder)) if isinstance(one, FrameTask) else one for one in named
        ]
        return {**spec, "tasks": paths}

    def _remember(self, plan: Plan) -> None:
        """Write down in the store what was asked for."""
        spec = plan.benchmark.model_dump(mode="json", exclude_unset=True)
        self.store.add_benchmark(self.name, origin=self.origin, spec=spec, cells=plan.cells)

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


def run(
    spec: Spec,
    *,
    store: str | Path | None = None,
    data_dir: str | Path | None = None,
    workers: int | None = None,
    measure_costs: bool = True,
    unsafe_run_code: bool = False,
    listen: Listen = unheard,
    plugins: Iterable[str | Path] = (),
) -> Results:
    """Run what the store does not hold yet, and return all results of the benchmark: see
    `Experiment`."""
    with Experiment(spec, store=store, data_dir=data_dir, plugins=plugins) as experiment:
        return experiment.run(
            workers=workers,
            measure_costs=measure_costs,
            unsafe_run_code=unsafe_run_code,
            listen=listen,
        )


def find_cell(cells: Sequence[PlannedCell], name: str) -> PlannedCell:
    """The cell of this id, the beginning of one, or "method/task/seed"."""
    by_name = [one for one in cells if name in names_of(one)]
    found = by_name or [one for one in cells if len(name) >= 4 and _begins(one, name)]
    distinct = {one.cell.id: one for one in found}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if not distinct:
        known = [one_name for one in cells for one_name in names_of(one)]
        close = get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise InvalidSpec(
            f"No cell {name!r}. {hint}Give the beginning of an id (at least four digits), or a "
            f"name: {' or '.join(known[:1]) or 'lora/sst2/1'}."
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
