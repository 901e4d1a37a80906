"""Rows of test sets as Parquet: equal rows give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftbench.errors import StoreError
from peftbench.evaluation.rows import Mark, Prediction
from peftbench.reading import Unreadable, parquet_batches

if TYPE_CHECKING:
    import pyarrow as pa

    from peftbench.store._results import Results

#: What a step that predicts has, and what one that grades adds.
PREDICTIONS, MARKS = "predictions.parquet", "marks.parquet"

_SCHEMAS = {
    PREDICTIONS: {
        "row": "int32",
        "prompt_sha256": "text",
        "prompt": "text",
        "output": "text",
        "target": "text",
        "likelihood_answer": "text",
        "label_log_likelihoods": "numbers",
        "group": "text",
        "references": "texts",
        "extra": "text",
        "samples": "texts",
    },
    MARKS: {
        "answer": "text",
        "score": "number",
        "likelihood_answer": "text",
        "verdict": "text",
        "sampled_verdicts": "texts",
    },
}

#: Columns of both together, as people read them.
_JOINED = (
    "row", "prompt_sha256", "prompt", "output", "answer", "target", "score",
    "likelihood_answer", "label_log_likelihoods", "group", "references", "extra", "samples",
    "verdict", "sampled_verdicts",
)  # fmt: skip


def write_predictions(folder: Path, rows: Sequence[Prediction]) -> None:
    """Write rows in the order given."""
    _write(folder, PREDICTIONS, [asdict(row) for row in rows])


def write_marks(folder: Path, rows: Sequence[Mark]) -> None:
    """Write marks in the order of the predictions that they belong to."""
    _write(folder, MARKS, [asdict(row) for row in rows])


def read_predictions(path: Path) -> list[Prediction]:
    """The rows that `write_predictions` wrote."""
    return [
        Prediction(**{**row, **_tuples(row, "references", "samples")})
        for row in _read(path)
    ]


def read_marks(path: Path) -> list[Mark]:
    """The marks that `write_marks` wrote."""
    return [Mark(**{**row, **_tuples(row, "sampled_verdicts")}) for row in _read(path)]


def joined(results: Results, step_id: str) -> pa.Table | None:
    """Predictions with their newest marks; None where the step wrote none."""
    import pyarrow as pa

    result = results.by_id([step_id]).get(step_id)
    path = results.file(result, PREDICTIONS) if result else None
    if path is None:
        return None
    table = _table(path)
    columns = {name: table.column(name) for name in table.column_names}
    graded = results.looking_at([step_id], "grade").get(step_id, [])
    marked = results.file(graded[-1], MARKS) if graded else None
    if marked is not None:
        marks = _table(marked)
        columns |= {name: marks.column(name) for name in marks.column_names}
    else:
        empty = [None] * table.num_rows
        columns |= {
            name: pa.array(empty, _type(kind))
            for name, kind in _SCHEMAS[MARKS].items()
            if name not in columns
        }
    return pa.table({name: columns[name] for name in _JOINED})


def row_scores(results: Results, step_id: str) -> list[float | None]:
    """What every row adds to the headline, by a step that grades; raises `StoreError` if
    the file was altered."""
    result = results.by_id([step_id]).get(step_id)
    path = results.file(result, MARKS) if result else None
    if path is None:
        return []
    found: list[float | None] = _table(path, ["score"])["score"].to_pylist()
    return found


def _write(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(column, _type(kind)) for column, kind in _SCHEMAS[name].items()])
    pq.write_table(
        pa.Table.from_pylist(list(rows), schema=schema), folder / name, compression="zstd"
    )


def _read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _table(path).to_pylist()
    return rows


def _table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        batches = list(parquet_batches(path, columns))
    except (pa.ArrowException, Unreadable) as error:
        raise StoreError(f"{path} is no file of a store ({error}).") from error
    wanted = [
        field for field in pq.read_schema(path) if not columns or field.name in columns
    ]
    return pa.Table.from_batches(batches, pa.schema(wanted))


def _tuples(row: dict[str, Any], *names: str) -> dict[str, Any]:
    found = {name: tuple(row[name] or ()) for name in names}
    if row.get("label_log_likelihoods") is not None:
        found["label_log_likelihoods"] = tuple(row["label_log_likelihoods"])
    return found


def _type(kind: str) -> pa.DataType:
    import pyarrow as pa

    return {
        "int32": pa.int32(),
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "number": pa.float64(),
        "numbers": pa.list_(pa.float64()),
    }[kind]


assert set(_SCHEMAS[PREDICTIONS]) == {field.name for field in fields(Prediction)}
assert set(_SCHEMAS[MARKS]) == {field.name for field in fields(Mark)}
