"""Results that were scored again. The records stay as they are; the newest is shown.

A row of the table `rescored` holds the new scores of one cell, and names the scorer: a digest
of the code that reads answers and computes metrics. What every test row adds to the
headline lies in `rescored/<cell id>/<scorer>.parquet`, written before the row.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from peftbench.errors import StoreError
from peftbench.evaluation.scores import Baseline, Score
from peftbench.spec.frozen import Frozen, canonical_json
from peftbench.store import _tables as tables
from peftbench.store._files import explained, publish, sha256
from peftbench.store.record import Record

if TYPE_CHECKING:
    from peftbench.store._store import Store

_ROWS = "rows.parquet"


class Rescored(Frozen):
    """New scores of one cell, from its stored predictions."""

    cell_id: str
    scorer: str
    """SHA-256 of the code that reads answers and computes metrics."""
    peftbench_version: str
    task_version: int
    rescored_at: str
    scores: tuple[Score, ...]
    baselines: tuple[Baseline, ...]
    ran_programs_unsafely: bool = False
    """Whether programs were run for this without a sandbox."""

    def applied_to(self, record: Record) -> Record:
        """The record as reports show it: with these scores."""
        told = {(score.test_set, score.metric) for score in self.scores}
        unsafe = record.manifest.ran_programs_unsafely or self.ran_programs_unsafely
        return record.model_copy(
            update={
                "scores": self.scores,
                "baselines": self.baselines,
                "unavailable": tuple(
                    one
                    for one in record.unavailable
                    if (one.test_set, one.metric) not in told
                ),
                "manifest": record.manifest.model_copy(
                    update={"ran_programs_unsafely": unsafe}
                ),
            }
        )


class Rescorings:
    """Those of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, rescored: Rescored, rows: Sequence[float | None]) -> None:
        """Keep new scores; those of the same scorer are kept once."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        temporary = self._store.folder / "staging" / f"rescored-{rescored.cell_id}"
        shutil.rmtree(temporary, ignore_errors=True)
        with explained(self._store.folder):
            temporary.mkdir(parents=True)
            column = pa.array(rows, pa.float64())
            pq.write_table(pa.table({"score": column}), temporary / _ROWS)
            digest = sha256(temporary / _ROWS)
            publish(temporary, self._folder(rescored))
            row = {
                "cell_id": rescored.cell_id,
                "scorer": rescored.scorer,
                "rescored": canonical_json(rescored.model_dump(mode="json")),
                "rows": digest,
            }
            with self._store._writing() as connection:
                table = tables.rescored
                connection.execute(
                    sa.delete(table).where(
                        table.c.cell_id == rescored.cell_id,
                        table.c.scorer == rescored.scorer,
                    )
                )
                connection.execute(sa.insert(table).values(row))

    def by_cell(self, cell_ids: Iterable[str]) -> dict[str, tuple[Rescored, ...]]:
        """All new scores of these cells, oldest first."""
        wanted, table = set(cell_ids), tables.rescored
        found: dict[str, tuple[Rescored, ...]] = {}
        with self._store._engine.connect() as connection:
            for row in connection.execute(sa.select(table).order_by(table.c.id)):
                if row.cell_id in wanted:
                    one = Rescored.model_validate_json(row.rescored)
                    found[row.cell_id] = (*found.get(row.cell_id, ()), one)
        return found

    def newest(self, cell_ids: Iterable[str]) -> dict[str, Rescored]:
        """What reports show of these cells, where it is not the record's own scores."""
        return {cell: all_[-1] for cell, all_ in self.by_cell(cell_ids).items()}

    def rows(self, rescored: Rescored) -> list[float | None]:
        """What every test row adds to the headline; raises `StoreError` if it was altered."""
        import pyarrow.parquet as pq

        table = tables.rescored
        with self._store._engine.connect() as connection:
            digest = connection.execute(
                sa.select(table.c.rows).where(
                    table.c.cell_id == rescored.cell_id, table.c.scorer == rescored.scorer
                )
            ).scalar_one()
        path = self._folder(rescored) / _ROWS
        if not path.is_file() or sha256(path) != digest:
            raise StoreError(
                f"{path} is missing or was altered after it was written. Run "
                f"`peftbench rescore --store {self._store.folder}` again."
            )
        found: list[float | None] = pq.read_table(path).column("score").to_pylist()
        return found

    def forget(self, cell_id: str) -> None:
        """Remove all new scores of a cell."""
        with self._store._writing() as connection:
            table = tables.rescored
            connection.execute(sa.delete(table).where(table.c.cell_id == cell_id))
        shutil.rmtree(self._store.folder / "rescored" / cell_id, ignore_errors=True)

    def _folder(self, rescored: Rescored) -> Path:
        return self._store.folder / "rescored" / rescored.cell_id / rescored.scorer


def in_force(
    records: Mapping[str, Record], newest: Mapping[str, Rescored]
) -> dict[str, Record]:
    """Records with the newest scores of each."""
    return {
        cell: newest[cell].applied_to(record) if cell in newest else record
        for cell, record in records.items()
    }
