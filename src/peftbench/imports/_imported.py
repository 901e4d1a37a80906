"""One imported run, and how imported runs get into a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from peftbench.evaluation.rows import Mark, Prediction
from peftbench.spec import Grade
from peftbench.store import (
    Graded,
    PlannedCell,
    Predicted,
    Store,
    Trained,
    write_marks,
    write_predictions,
)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A run of another tool: what the report calls it, what came of it, its rows if any."""

    planned: PlannedCell
    trained: Trained
    predictions: Sequence[Prediction] = ()
    marks: Sequence[Mark] = ()  # of `predictions`, by `graded`
    graded: tuple[Grade, Graded] | None  # None: the run failed


@dataclass(frozen=True)
class Outcome:
    """What `keep` did."""

    benchmark: str
    added: int
    known: int  # were in the store already, from the same files


def keep(
    store: Store, benchmark: str, spec: Mapping[str, str], runs: Sequence[Imported]
) -> Outcome:
    """Put imported runs into a store, as a benchmark of their own.

    What comes from files that were imported before is not written again. Runs of another
    import of the same name stay in the benchmark, unless they bear the same names as new
    ones: then the new ones are shown.
    """
    cells = [run.planned for run in runs]
    known = store.records(cells)
    for run in runs:
        if run.planned.cell.id not in known:
            _commit(store, run)
    names = {_name(planned) for planned in cells}
    earlier = store.benchmark(benchmark)
    kept = [one for one in (earlier.cells if earlier else ()) if _name(one) not in names]
    store.add_benchmark(
        benchmark, origin=f"import of {benchmark}", spec=spec, cells=[*kept, *cells]
    )
    return Outcome(benchmark, len(runs) - len(known), len(known))


def _name(planned: PlannedCell) -> tuple[str, str, str, int | None]:
    return planned.model, planned.label, planned.cell.task.name, planned.cell.seed


def _commit(store: Store, run: Imported) -> None:
    """All that came of a run; its grade last, which makes a record of it."""
    results, cell = store.results, run.planned.cell
    assert cell.train is not None
    results.commit(None, cell.train, run.trained)
    if run.graded is None:
        return
    predict, (grade, graded) = cell.predict(), run.graded
    files = marks = None
    if run.predictions:
        files = results.staging(predict.id, results.new_token())
        write_predictions(files, run.predictions)
        marks = results.staging(grade.id, results.new_token())
        write_marks(marks, run.marks)
    results.commit(None, predict, Predicted(examples=len(run.predictions)), files)
    results.commit(None, grade, graded, marks)
