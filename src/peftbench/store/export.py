"""A store as plain files: JSON lines for records, Parquet for tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from peftbench.errors import StoreError
from peftbench.store._files import explained
from peftbench.store._rescored import in_force
from peftbench.store._store import PlannedCell, Store
from peftbench.store.record import Record

if TYPE_CHECKING:
    import pyarrow as pa


def export(store: Store, folder: Path, benchmark: str | None = None) -> tuple[Path, ...]:
    """Write all results (or one benchmark's) to `folder`; returns the files' paths.

    records.jsonl        one record per line, as stored, with model and method label
    costs.jsonl          one measured cost per line
    scores.parquet       one row per benchmark, cell and metric, as reports show it
    predictions.parquet  one row per finished cell and test row
    rescored.jsonl       new scores of cells that were scored again, if there are any
    evaluations.jsonl    adapters on perturbed test sets, if there are any
    rescored_evaluations.jsonl    new scores of those, if there are any
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    chosen = [b for b in store.benchmarks() if benchmark in (None, b.name)]
    if not chosen:
        raise StoreError(
            f"{store.folder} holds no benchmark{f' called {benchmark!r}' if benchmark else ''}."
        )
    records = store.records()
    newest = store.rescorings.newest(records)
    shown = in_force(records, newest)
    planned = [
        (b.name, cell) for b in chosen for cell in b.cells if cell.cell.id in records
    ]
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        files = tuple(
            folder / name
            for name in (
                "records.jsonl",
                "costs.jsonl",
                "scores.parquet",
                "predictions.parquet",
            )
        )
        distinct = {cell.cell.id: None for _, cell in planned}
        lines = [records[cell_id].model_dump_json() for cell_id in distinct]
        files[0].write_text("".join(f"{line}\n" for line in lines), "utf-8")
        costs = [cost.model_dump_json() for cost in store.costs()]
        files[1].write_text("".join(f"{line}\n" for line in costs), "utf-8")
        rows = [
            row
            for name, cell in planned
            for row in _scores(name, cell, shown[cell.cell.id])
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=_score_schema()), files[2])
        tables = list(_predictions(store, list(distinct)))
        if tables:
            pq.write_table(pa.concat_tables(tables), files[3], compression="zstd")
        further: dict[str, Mapping[str, Sequence[BaseModel]]] = {
            "rescored.jsonl": store.rescorings.by_cell(distinct),
            "evaluations.jsonl": store.evaluations.by_cell(distinct),
            "rescored_evaluations.jsonl": store.evaluations.rescored(distinct),
        }
        written = files if tables else files[:3]
        for name, by_cell in further.items():
            found = [one.model_dump_json() for own in by_cell.values() for one in own]
            if found:
                (folder / name).write_text("".join(f"{line}\n" for line in found), "utf-8")
                written = (*written, folder / name)
    return written


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


def _predictions(store: Store, cell_ids: list[str]) -> Iterator[pa.Table]:
    import pyarrow as pa

    for cell_id in cell_ids:
        table = store.predictions(cell_id)
        if table is not None:
            names = pa.array([cell_id] * table.num_rows, pa.string())
            yield table.add_column(0, "cell", names)
