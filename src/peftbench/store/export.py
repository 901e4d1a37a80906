"""A store as plain files: JSON lines for records, Parquet for tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftbench.errors import StoreError
from peftbench.store._files import explained
from peftbench.store._results import Result
from peftbench.store._store import Store, StoredBenchmark
from peftbench.store.planned import PlannedCell
from peftbench.store.record import Record

if TYPE_CHECKING:
    import pyarrow as pa


def export(store: Store, folder: Path, benchmark: str | None = None) -> tuple[Path, ...]:
    """Write all results (or one benchmark's) to `folder`; returns the files' paths.

    records.jsonl        one record per line, put together from the steps of a cell
    costs.jsonl          one measured cost per line
    scores.parquet       one row per benchmark, cell, test set and metric
    predictions.parquet  one row per finished cell, test set and test row
    steps.jsonl          every step and what came of it, trials and earlier grades too
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [n for n in store.benchmark_names() if benchmark in (None, n)]
    if not names:
        raise StoreError(
            f"{store.folder} holds no benchmark{f' called {benchmark!r}' if benchmark else ''}."
        )
    chosen = [one for one in map(store.benchmark, names) if one is not None]
    cells = {one.cell.id: one for found in chosen for one in found.cells}
    records = store.records(cells.values())
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        written = [
            _lines(
                folder / "records.jsonl",
                [one.model_dump_json() for one in records.values()],
            ),
            _lines(
                folder / "costs.jsonl",
                [one.outcome.model_dump_json() for one in costs_of(store, cells.values())],
            ),
            folder / "scores.parquet",
        ]
        rows = [
            row
            for found in chosen
            for one in found.cells
            if one.cell.id in records
            for row in _scores(found.name, one, records[one.cell.id])
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=_score_schema()), written[-1])
        tables = [
            table
            for one in cells.values()
            if one.cell.id in records
            for table in _predictions(store, one)
        ]
        if tables:
            written.append(folder / "predictions.parquet")
            pq.write_table(pa.concat_tables(tables), written[-1], compression="zstd")
        steps = [
            json.dumps(
                {
                    "id": one.step.id,
                    "kind": one.step.kind,
                    "step": one.step.model_dump(mode="json"),
                    "outcome": one.outcome.model_dump(mode="json"),
                    "files": one.digests,
                }
            )
            for one in selected(store, chosen)
        ]
        written.append(_lines(folder / "steps.jsonl", steps))
    return tuple(written)


def selected(store: Store, benchmarks: Sequence[StoredBenchmark]) -> list[Result]:
    """All that the store has of these benchmarks, what is looked at before what looks."""
    results = store.results
    cells = [one for found in benchmarks for one in found.cells]
    trials = [step for one in cells for trial in one.trials for step in trial.runs]
    trains = [one.cell.train.id for one in cells if one.cell.train]
    predicts = [predict.id for one in cells for predict in one.predicts]
    found = results.by_id([*trains, *trials, *predicts])
    graded = results.looking_at(predicts, "grade")
    grades = [one for own in graded.values() for one in own]
    everything = [*found.values(), *grades, *costs_of(store, cells)]
    return sorted(everything, key=lambda result: result.number)


def costs_of(store: Store, cells: Iterable[PlannedCell]) -> list[Result]:
    """What was measured on the base models of these cells."""
    return store.results.costs_on({one.cell.model.base for one in cells})


def _lines(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def _scores(name: str, planned: PlannedCell, record: Record) -> Iterator[dict[str, Any]]:
    cell = planned.cell
    common = {
        "benchmark": name,
        "cell": cell.id,
        "model": planned.model,
        "method": planned.label,
        "task": cell.task.name,
        "seed": cell.seed,
        "protocol": cell.protocol,
        "kind": record.kind,
        "status": record.status,
        "trainable_parameters": record.trainable_parameters,
        "stored_bytes": record.stored_bytes,
        "error": record.error,
    }
    if not record.scores:
        yield common
    for score in record.scores:
        yield common | {
            "test_set": score.test_set,
            "metric": score.metric,
            "unit": score.unit,
            "better": score.better,
            "is_headline": score == record.headline,
            "value": score.value,
            "standard_error": score.standard_error,
            "examples": score.examples,
        }


def _score_schema() -> pa.Schema:
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    return pa.schema(
        [
            ("benchmark", text), ("cell", text), ("model", text), ("method", text),
            ("task", text), ("seed", whole), ("protocol", text), ("kind", text), ("status", text),
            ("test_set", text), ("metric", text), ("unit", text), ("better", text),
            ("is_headline", pa.bool_()), ("value", real),
            ("standard_error", real), ("examples", whole),
            ("trainable_parameters", whole), ("stored_bytes", whole), ("error", text),
        ]
    )  # fmt: skip


def _predictions(store: Store, planned: PlannedCell) -> Iterator[pa.Table]:
    """The rows of a cell on each of its test sets, and whose they are."""
    import pyarrow as pa

    cell = planned.cell
    for predict in planned.predicts:
        table = store.predictions(predict.id)
        if table is None:
            continue
        whose = {
            "cell": (cell.id, pa.string()),
            "model": (planned.model, pa.string()),
            "method": (planned.label, pa.string()),
            "task": (cell.task.name, pa.string()),
            "seed": (cell.seed, pa.int64()),
            "test_set": (predict.test_set.name, pa.string()),
        }
        for place, (name, (value, kind)) in enumerate(whose.items()):
            column = pa.array([value] * table.num_rows, kind)
            table = table.add_column(place, name, column)
        yield table
