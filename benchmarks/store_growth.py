"""What a store costs that has grown: time and memory of everyday questions to it.

    python benchmarks/store_growth.py --records 1000 10000 100000

fills a store with so many made-up results of other benchmarks, and asks it about a small one
of the embedded model, each question in a fresh process. `wanted` is asked of 20,000 cells, a
third of which are done. Times are medians over several times of asking, without the first's
imports of libraries; memory is the peak of the process, in brackets before the question.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from peftbench.cost.costs import Cost
from peftbench.evaluation.rows import Mark
from peftbench.spec import AnyStep, Measure
from peftbench.store import (
    PlannedCell,
    Predicted,
    Store,
    write_marks,
    write_predictions,
)
from peftbench.store.outcomes import AnyOutcome
from peftbench.testing import results as made

_METHODS = ["lora", "ia3", "bitfit", "ln-tuning"]
_TASKS = ["generated_mood", "generated_sums"]
SMALL = {
    "name": "small",
    "models": ["tiny"],
    "methods": _METHODS,
    "tasks": _TASKS,
    "seeds": [1, 2, 3],
}
LARGE = SMALL | {"name": "large", "seeds": list(range(2500))}

#: Of one question: by the clock, and of the processor.
Seconds = tuple[float, float]
Question = Callable[[Path], list[Seconds]]


def main() -> None:
    """Print a table with a row for each size and question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="for the stores; default: temporary")
    arguments = parser.parse_args()
    print("| results | question | seconds | of CPU | peak MB |")
    print("|---:|---|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for records in arguments.records:
            store = Path(folder) / str(records)
            _fill(store, records)
            for question in (claim, commit, want, run, report, show, export):
                seconds, processor, before, peak = _ask(store, question)
                said = question.__doc__ or ""
                print(
                    f"| {records:,} | {said.rstrip('.')} | {seconds:.3g} | {processor:.3g} | "
                    f"{peak:.0f} ({before:.0f}) |",
                    flush=True,
                )


def claim(folder: Path) -> list[Seconds]:
    """claim a piece of work of 20,000."""
    with Store.open(folder) as store:
        queue = store.queue("claims")
        queue.open()
        one = made.work(made.planned())
        queue.want([one.model_copy(update={"unit": f"{n:064}"}) for n in range(20_000)])
        return [_timed(lambda: queue.claim("me", lease_seconds=60.0)) for _ in range(100)]


def commit(folder: Path) -> list[Seconds]:
    """commit a result without files."""
    with Store.open(folder) as store:
        steps = [made.cost(made.planned(label=f"new {n}")) for n in range(100)]
        return [
            _timed(lambda one=one: store.results.commit(None, one.step, one))
            for one in steps
        ]


def want(folder: Path) -> list[Seconds]:
    """what 20,000 cells want."""
    from peftbench.planning.wanted import wanted

    cells = _planned(LARGE)
    with Store.open(folder) as store:
        return [_timed(lambda: wanted(cells, store.results)) for _ in range(3)]


def run(folder: Path) -> list[Seconds]:
    """`run` of the small benchmark, with nothing to do."""
    from peftbench.api import Experiment

    with Experiment(SMALL, store=folder) as experiment:
        assert not experiment.missing()
        return [_timed(lambda: experiment.run(workers=1)) for _ in range(3)]


def report(folder: Path) -> list[Seconds]:
    """report of the small benchmark as HTML."""
    from peftbench import api

    def render() -> None:
        with Store.open(folder, create=False) as store:
            assert api.results(store, "small").render("html")

    return [_timed(render) for _ in range(3)]


def show(folder: Path) -> list[Seconds]:
    """one record of the small benchmark."""
    from peftbench.api import Experiment

    def show_one() -> None:
        with Experiment.open(folder, "small") as experiment:
            assert experiment.record("lora/generated_mood/1").headline

    return [_timed(show_one) for _ in range(5)]


def export(folder: Path) -> list[Seconds]:
    """export of the small benchmark."""
    from peftbench.store.export import export as write

    def write_all() -> None:
        with (
            Store.open(folder, create=False) as store,
            tempfile.TemporaryDirectory() as out,
        ):
            write(store, Path(out), "small")

    return [_timed(write_all) for _ in range(3)]


def _fill(folder: Path, records: int) -> None:
    """The small benchmark with its files, a third of the large one, and others."""
    from peftbench.planning.costs import measure_step
    from peftbench.planning.plan import make_plan
    from peftbench.spec import from_mapping

    plan = make_plan(from_mapping(SMALL))
    with Store.open(folder) as store:
        for one in plan.cells:
            for step, outcome in _steps(one):
                staged = store.results.staging(step.id, store.results.new_token())
                if step.kind == "train":
                    made.write_adapter(staged, one.name)
                elif step.kind == "predict":
                    write_predictions(staged, made.predictions())
                else:
                    write_marks(staged, [Mark(answer="yes", score=1.0)] * 2)
                store.results.commit(None, step, outcome, staged)
        for step in [measure_step(one, plan.models) for one in plan.cells]:
            store.results.commit(None, step, _cost(step))
        store.add_benchmark("small", origin="python", spec=SMALL, cells=plan.cells)
        _insert(store, (found for one in _planned(LARGE)[::3] for found in _steps(one)))
        _insert(store, _others(records))


def _others(records: int) -> Iterator[tuple[AnyStep, AnyOutcome]]:
    """Results of other benchmarks on ten models, one of 30 a measured cost."""
    for number in range(records):
        seed, kind = divmod(number, 3)
        one = made.planned(seed, label=f"method {seed % 100}", model=f"model {seed % 10}")
        wanted = made.work(one)
        assert wanted.train is not None
        look = wanted.looks[0]
        if number % 30 == 29:  # in place of a grade
            cost = made.cost(made.planned(label=f"method {number}", model=one.model))
            yield cost.step, cost
        elif kind == 0:
            yield wanted.train, made.trained()
        elif kind == 1:
            yield look.predict, _ANSWERS
        else:
            assert look.grade is not None
            yield look.grade, made.graded()


def _steps(one: PlannedCell) -> Iterator[tuple[AnyStep, AnyOutcome]]:
    """All results of a cell of the catalogue's tasks."""
    from peftbench.planning.wanted import grade_step

    assert one.cell.train is not None
    yield one.cell.train, made.trained()
    yield one.cell.predict(), _ANSWERS
    yield grade_step(one.cell, one.cell.predict()), made.graded()


def _insert(store: Store, found: Iterator[tuple[AnyStep, AnyOutcome]]) -> None:
    """Many results in one transaction, where a run would take days."""

    def work(connection: Any) -> None:
        for step, outcome in found:
            store.results._insert(connection, step, outcome, {}, "", "made up")

    store.database.writing(work)


def _planned(spec: Mapping[str, Any]) -> Sequence[PlannedCell]:
    from peftbench.planning.plan import make_plan
    from peftbench.spec import from_mapping

    return make_plan(from_mapping(spec)).cells


def _cost(step: Measure) -> Cost:
    cost = made.cost(made.planned())
    return cost.model_copy(
        update={
            "model_identity": step.base.identity,
            "dtype": step.base.dtype,
            "method": step.method,
            "probe": step.probe,
        }
    )


_ANSWERS = Predicted(examples=2, manifest=made.manifest())


def _timed(ask: Callable[[], object]) -> Seconds:
    start = time.perf_counter(), time.process_time()
    ask()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def _asked(connection: Connection, folder: Path, question: Question) -> None:
    before = _peak()
    times = zip(*question(folder), strict=True)
    connection.send((*(statistics.median(one) for one in times), before, _peak()))


def _peak() -> float:
    """Of this process in megabytes; `ru_maxrss` would be its parent's too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def _ask(folder: Path, question: Question) -> tuple[float, float, float, float]:
    """Seconds and megabytes before and after, in a process of its own."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_asked, args=(there, folder, question))
    process.start()
    there.close()
    found: tuple[float, float, float, float] = here.recv()
    process.join()
    return found


if __name__ == "__main__":
    main()
