"""Evaluations of a store's adapters on perturbed test sets, and the adapters kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from peftbench.errors import StoreError
from peftbench.spec.frozen import canonical_json
from peftbench.store import _tables as tables
from peftbench.store._files import digests, explained, publish, sha256
from peftbench.store._predictions import predictions_file, read_predictions
from peftbench.store.evaluation import Evaluation, RescoredEvaluation

if TYPE_CHECKING:
    import pyarrow as pa

    from peftbench.store._store import Store

ADAPTER = "adapter"


@dataclass(frozen=True)
class Evaluated:
    """An evaluation and the folder of its files, before they are committed."""

    evaluation: Evaluation
    files: Path


@dataclass(frozen=True)
class Evaluations:
    """The evaluations of one store. Like records, they are written once."""

    store: Store

    def by_cell(self, cell_ids: Iterable[str]) -> dict[str, list[Evaluation]]:
        """The evaluations of these cells, oldest first; no key for a cell without any."""
        wanted, table = set(cell_ids), tables.evaluations
        with self.store._engine.connect() as connection:
            rows = connection.execute(sa.select(table)).all()
        found: dict[str, list[Evaluation]] = {}
        for row in rows:
            if row.cell_id in wanted:
                evaluation = Evaluation.model_validate_json(row.evaluation)
                found.setdefault(row.cell_id, []).append(evaluation)
        for own in found.values():
            own.sort(key=lambda evaluation: evaluation.manifest.finished_at)
        return found

    def in_force(self, cell_ids: Iterable[str]) -> dict[str, list[Evaluation]]:
        """Those of `by_cell` as reports show them: with the newest scores of each."""
        found = self.by_cell(cell_ids)
        newest = {
            one.evaluation_id: one for own in self.rescored(found).values() for one in own
        }
        return {
            cell: [
                newest[one.id].applied_to(one) if one.id in newest else one for one in own
            ]
            for cell, own in found.items()
        }

    def rescored(self, cell_ids: Iterable[str]) -> dict[str, list[RescoredEvaluation]]:
        """All new scores of these cells' evaluations, oldest first."""
        wanted, table = set(cell_ids), tables.rescored_evaluations
        found: dict[str, list[RescoredEvaluation]] = {}
        with self.store._engine.connect() as connection:
            for row in connection.execute(sa.select(table).order_by(table.c.id)):
                if row.cell_id in wanted:
                    one = RescoredEvaluation.model_validate_json(row.rescored)
                    found.setdefault(row.cell_id, []).append(one)
        return found

    def add_rescored(self, rescored: RescoredEvaluation) -> None:
        """Keep new scores; those of the same scorer are kept once."""
        table = tables.rescored_evaluations
        same = (
            table.c.evaluation_id == rescored.evaluation_id,
            table.c.scorer == rescored.scorer,
        )
        row = {
            "evaluation_id": rescored.evaluation_id,
            "cell_id": rescored.cell_id,
            "scorer": rescored.scorer,
            "rescored": canonical_json(rescored.model_dump(mode="json")),
        }
        with self.store._writing() as connection:
            connection.execute(sa.delete(table).where(*same))
            connection.execute(sa.insert(table).values(row))

    def staging(self, cell_id: str) -> Path:
        """An empty folder for the files of a cell's evaluations."""
        folder = self.store.folder / "staging" / f"{cell_id}-robustness"
        with explained(self.store.folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return folder

    def add(self, evaluated: Sequence[Evaluated]) -> None:
        """Make results of them: files first, then the rows, all in one transaction."""
        known = self.by_cell({one.evaluation.cell_id for one in evaluated})
        ids = {evaluation.id for own in known.values() for evaluation in own}
        new = [one for one in evaluated if one.evaluation.id not in ids]
        with explained(self.store.folder):
            rows = self.publish(new)
            with self.store._writing() as connection:
                insert(connection, rows)
        for one in evaluated:
            shutil.rmtree(one.files.parent, ignore_errors=True)

    def publish(self, evaluated: Sequence[Evaluated]) -> list[dict[str, str]]:
        """Give the files their place; returns the rows that point at them."""
        rows = []
        for one in evaluated:
            row = {
                "id": one.evaluation.id,
                "cell_id": one.evaluation.cell_id,
                "evaluation": canonical_json(one.evaluation.model_dump(mode="json")),
                "files": json.dumps(digests(one.files)),
            }
            rows.append(row)
            publish(one.files, self._folder(one.evaluation.id))
        return rows

    def predictions(self, evaluation: Evaluation) -> pa.Table | None:
        """Its predictions; raises `StoreError` if the file was altered."""
        table, name = tables.evaluations, predictions_file()
        with self.store._engine.connect() as connection:
            row = connection.execute(
                sa.select(table.c.files).where(table.c.id == evaluation.id)
            ).first()
        listed = json.loads(row.files) if row else {}
        if name not in listed:
            return None
        path = self._folder(evaluation.id) / name
        if not path.is_file() or sha256(path) != listed[name]:
            raise StoreError(
                f"{path} is missing or was altered after it was written. Forget the cell and "
                f"run it again: `peftbench run ... --retry {evaluation.cell_id[:12]}`."
            )
        return read_predictions(path)

    def adapter(self, cell_id: str) -> Path | None:
        """The folder of a finished cell's kept adapter; None where none was kept. Raises
        `StoreError` if one of its files is not what was written."""
        table = tables.records
        with self.store._engine.connect() as connection:
            row = connection.execute(
                sa.select(table.c.files).where(table.c.cell_id == cell_id)
            ).first()
        listed = json.loads(row.files) if row else {}
        folder = self.store.folder / "cells" / cell_id
        names = [name for name in listed if name.startswith(f"{ADAPTER}/")]
        for name in names:
            path = folder / name
            if not path.is_file() or sha256(path) != listed[name]:
                raise StoreError(
                    f"{path} is missing or was altered after it was written: it is not the "
                    "adapter that was scored. Run the cell again: `peftbench run ... --retry "
                    f"{cell_id[:12]}`."
                )
        return folder / ADAPTER if names else None

    def forget(self, cell_id: str) -> None:
        """Remove the evaluations of one cell, which is about to run again."""
        table = tables.evaluations
        with self.store._writing() as connection:
            rows = connection.execute(
                sa.select(table.c.id).where(table.c.cell_id == cell_id)
            ).all()
            for one in (table, tables.rescored_evaluations):
                connection.execute(sa.delete(one).where(one.c.cell_id == cell_id))
        for row in rows:
            shutil.rmtree(self._folder(row.id), ignore_errors=True)

    def _folder(self, evaluation_id: str) -> Path:
        return self.store.folder / "evaluations" / evaluation_id


def insert(connection: sa.Connection, rows: Sequence[dict[str, str]]) -> None:
    """Add rows that are not there yet: of two processes with one answer the first stays."""
    table = tables.evaluations
    for row in rows:
        known = connection.execute(
            sa.select(table.c.id).where(table.c.id == row["id"])
        ).first()
        if known is None:
            connection.execute(sa.insert(table).values(row))
