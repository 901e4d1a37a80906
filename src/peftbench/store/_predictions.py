"""Predictions as Parquet: equal rows give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One test row: what the model wrote, how it was read, what it was worth."""

    row: int
    prompt_sha256: str
    prompt: str | None  # kept for the first few rows, to look at
    output: str
    answer: str | None  # None: unreadable
    target: str
    score: float | None  # its part of the headline metric (jackknife); None: see its group
    likelihood_answer: str | None  # the most likely label
    label_log_likelihoods: tuple[float, ...] | None  # nats, in the task's label order
    group: str | None = None  # these three as in `tasks.Example`
    references: tuple[str, ...] = ()
    extra: str = "{}"  # JSON
    samples: tuple[str, ...] = ()  # further outputs, drawn at random
    verdict: str | None = None  # on the answer as a program; None: not run
    sampled_verdicts: tuple[str, ...] = ()  # on those in the samples


def predictions_file(test: str = "") -> str:
    """Name of the file of the test split, or of a further test of the task.

    >>> predictions_file(), predictions_file("mismatched")
    ('predictions.parquet', 'predictions_mismatched.parquet')
    """
    return f"predictions_{test}.parquet" if test else "predictions.parquet"


def write_predictions(path: Path, rows: Sequence[Prediction]) -> None:
    """Write rows in the order given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("row", pa.int32()),
            ("prompt_sha256", pa.string()),
            ("prompt", pa.string()),
            ("output", pa.string()),
            ("answer", pa.string()),
            ("target", pa.string()),
            ("score", pa.float64()),
            ("likelihood_answer", pa.string()),
            ("label_log_likelihoods", pa.list_(pa.float64())),
            ("group", pa.string()),
            ("references", pa.list_(pa.string())),
            ("extra", pa.string()),
            ("samples", pa.list_(pa.string())),
            ("verdict", pa.string()),
            ("sampled_verdicts", pa.list_(pa.string())),
        ]
    )
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)
    pq.write_table(table, path, compression="zstd")


def read_predictions(path: Path) -> pa.Table:
    """The table that `write_predictions` wrote."""
    import pyarrow.parquet as pq

    return pq.read_table(path)
