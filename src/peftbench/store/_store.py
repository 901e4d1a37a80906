"""The store: a folder with a database of results and the files they point at.

`store.sqlite` holds records, plans, claims and costs. `cells/<id>/` holds a finished
cell's predictions and, if asked for, its adapter; `evaluations/<id>/` an adapter's
predictions on a perturbed test set. `checkpoints/<id>/` is the state of a cell being
computed. Only a row in `records` or `evaluations` makes a result: files come first, the row
last, in one transaction that also checks that the cell is still ours.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError

from peftbench.cost.costs import Cost
from peftbench.errors import StoreError
from peftbench.spec.cell import Cell, SettledBudget
from peftbench.spec.frozen import canonical_json
from peftbench.store import _tables as tables
from peftbench.store._checkpoints import Checkpoints
from peftbench.store._evaluations import Evaluated, Evaluations, insert
from peftbench.store._files import digests, explained, publish, sha256
from peftbench.store._predictions import predictions_file, read_predictions
from peftbench.store._rescored import Rescorings
from peftbench.store._worker import Worker
from peftbench.store.record import SCHEMA_VERSION, Record

if TYPE_CHECKING:
    import pyarrow as pa

_LOCK_ATTEMPTS = 200


class LeaseLost(StoreError):
    """Another worker has taken this cell over; what was computed here is dropped."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a benchmark, what the report calls its model and method, and the budget
    that its method's size was chosen by."""

    cell: Cell
    model: str
    label: str
    budget: SettledBudget | None = None


@dataclass(frozen=True)
class StoredBenchmark:
    """A benchmark that was run in this store."""

    name: str
    origin: str
    spec: Mapping[str, Any]
    created_at: str
    cells: tuple[PlannedCell, ...]


@dataclass(frozen=True)
class Lease:
    """The right to compute a cell, until it expires."""

    cell_id: str
    token: int
    crashes: int  # earlier claims of this cell that ended without a word


class Store:
    """Results, written once. Safe for many processes at a time."""

    def __init__(self, folder: Path, engine: sa.Engine) -> None:
        self.folder = folder
        self._engine = engine

    @classmethod
    def open(cls, folder: Path, *, create: bool = True) -> Self:
        """Open a store; raises `StoreError` where that is not possible."""
        database = folder / "store.sqlite"
        if not create and not database.is_file():
            raise StoreError(
                f"{folder} is not a store: it has no store.sqlite. `peftbench run` makes one."
            )
        try:
            with explained(folder):
                folder.mkdir(parents=True, exist_ok=True)
        except (NotADirectoryError, FileExistsError) as error:
            raise StoreError(f"{folder} is a file; a store is a folder.") from error
        engine = sa.create_engine(f"sqlite:///{database}", connect_args={"timeout": 60})
        sa.event.listen(engine, "connect", _configure)
        store = cls(folder, engine)
        try:
            store._check_version()
        except DatabaseError as error:
            raise StoreError(
                f"{database} is damaged or not a database ({error.orig}). Restore it from a "
                "copy, or choose another --store."
            ) from error
        return store

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    # What was asked for

    def add_benchmark(
        self,
        name: str,
        *,
        origin: str,
        spec: Mapping[str, Any],
        cells: Sequence[PlannedCell],
    ) -> None:
        """Remember which cells a spec stands for. An edited spec replaces its old plan;
        a different spec from elsewhere under the same name is refused."""
        row = {
            "name": name,
            "origin": origin,
            "spec": canonical_json(spec),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cells": json.dumps([_planned_as_json(one) for one in cells]),
        }
        table = tables.benchmarks
        with self._writing() as connection:
            old = connection.execute(sa.select(table).where(table.c.name == name)).first()
            if old and old.origin != origin and old.spec != row["spec"]:
                raise StoreError(
                    f"Two specs are called {name!r}: {old.origin} and {origin}. Rename one, "
                    "or give each its own --store."
                )
            connection.execute(sa.delete(table).where(table.c.name == name))
            connection.execute(sa.insert(table).values(row))

    def benchmarks(self) -> list[StoredBenchmark]:
        """All benchmarks of this store, oldest first."""
        table = tables.benchmarks
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.created_at)).all()
        return [
            StoredBenchmark(
                row.name,
                row.origin,
                json.loads(row.spec),
                row.created_at,
                tuple(_planned_from_json(*one) for one in json.loads(row.cells)),
            )
            for row in rows
        ]

    # Claims

    def claim(
        self, cell_ids: Sequence[str], worker: Worker, *, lease_seconds: float
    ) -> Lease | None:
        """The right to compute the first of these cells that nobody has finished or works
        on; None where there is none. A lease that has expired, or whose process is gone
        from this machine, is taken over."""
        table, now = tables.claims, time.time()
        with self._writing() as connection:
            done = self._finished(connection, cell_ids)
            held = {
                row.cell_id: row
                for row in connection.execute(sa.select(table)).all()
                if row.cell_id not in done
            }
            for cell_id in cell_ids:
                if cell_id in done:
                    continue
                old = held.get(cell_id)
                if old and old.holder and not _is_over(old, now):
                    continue
                crashes = (old.crashes + bool(old.holder)) if old else 0
                row = {
                    "token": old.token + 1 if old else 1,
                    "holder": str(worker),
                    "expires_at": now + lease_seconds,
                    "crashes": crashes,
                }
                if old is None:
                    connection.execute(sa.insert(table).values(cell_id=cell_id, **row))
                else:
                    connection.execute(
                        sa.update(table).where(table.c.cell_id == cell_id).values(row)
                    )
                return Lease(cell_id, int(str(row["token"])), crashes)
        return None

    def heartbeat(self, lease: Lease, *, lease_seconds: float) -> None:
        """Renew a lease; raises `LeaseLost` if another worker has taken the cell."""
        self._update_claim(lease, expires_at=time.time() + lease_seconds)

    def release(self, lease: Lease) -> None:
        """Give a cell back unfinished, on purpose; its checkpoint stays."""
        with suppress(LeaseLost):
            self._update_claim(lease, holder="")

    def is_held(self, cell_ids: Iterable[str]) -> bool:
        """Whether a live worker holds one of these cells."""
        wanted, now, table = set(cell_ids), time.time(), tables.claims
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(table).where(table.c.holder != "")).all()
            done = self._finished(connection, wanted)
        return any(row.cell_id in wanted - done and not _is_over(row, now) for row in rows)

    # Results

    def staging(self, lease: Lease) -> Path:
        """An empty folder for the files of a cell that is about to be committed."""
        parent = self.folder / "staging"
        for left_behind in parent.glob(f"{lease.cell_id}-*"):
            shutil.rmtree(left_behind, ignore_errors=True)
        folder = parent / f"{lease.cell_id}-{lease.token}"
        with explained(self.folder):
            folder.mkdir(parents=True)
        return folder

    def commit(
        self,
        lease: Lease,
        record: Record,
        files: Path | None = None,
        evaluated: Sequence[Evaluated] = (),
    ) -> None:
        """Make a result of it, and of what else was evaluated with it: files first, then
        the rows, only if the lease is ours."""
        with explained(self.folder):
            listed: dict[str, str] = {}
            self._update_claim(lease)
            if files is not None:
                listed = digests(files)
                publish(files, self._cell_folder(record.cell.id))
            further = self.evaluations.publish(evaluated)
            row = {
                "cell_id": record.cell.id,
                "status": record.status,
                "record": canonical_json(record.model_dump(mode="json")),
                "files": json.dumps(listed),
            }
            with self._writing() as connection:
                self._update_claim(lease, connection, holder="")
                connection.execute(sa.insert(tables.records).values(row))
                insert(connection, further)
            self.checkpoints(record.cell.id).clear()

    def records(self, cell_ids: Iterable[str] | None = None) -> dict[str, Record]:
        """Records by cell id; all of them, or those of the cells named."""
        wanted = None if cell_ids is None else set(cell_ids)
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(tables.records)).all()
        return {
            row.cell_id: Record.model_validate_json(row.record)
            for row in rows
            if wanted is None or row.cell_id in wanted
        }

    def record(self, prefix: str) -> Record:
        """The record of the one cell whose id starts with `prefix`."""
        table = tables.records
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(table).where(table.c.cell_id.startswith(prefix, autoescape=True))
            ).all()
        if len(rows) != 1:
            found = "no result" if not rows else f"{len(rows)} results; give more digits"
            raise StoreError(f"Cell {prefix!r}: {found} in {self.folder}.")
        return Record.model_validate_json(rows[0].record)

    def predictions(self, cell_id: str, test: str = "") -> pa.Table | None:
        """A finished cell's predictions on the test split, or on the further `test` of its
        task; None if there are none. Raises `StoreError` if the file was altered."""
        name = predictions_file(test)
        table = tables.records
        with self._engine.connect() as connection:
            row = connection.execute(
                sa.select(table.c.files).where(table.c.cell_id == cell_id)
            ).first()
        listed = json.loads(row.files) if row else {}
        if name not in listed:
            return None
        path = self._cell_folder(cell_id) / name
        if not path.is_file() or sha256(path) != listed[name]:
            raise StoreError(
                f"{path} is missing or was altered after it was written. Run the cell again: "
                f"`peftbench run ... --retry {cell_id[:12]}`."
            )
        return read_predictions(path)

    def forget(self, cell_ids: Iterable[str]) -> None:
        """Remove results, files and checkpoints of these cells, so that they run again."""
        for cell_id in cell_ids:
            self.rescorings.forget(cell_id)
            self.evaluations.forget(cell_id)
            with self._writing() as connection:
                for table in (tables.records, tables.claims):
                    connection.execute(sa.delete(table).where(table.c.cell_id == cell_id))
            shutil.rmtree(self._cell_folder(cell_id), ignore_errors=True)
            self.checkpoints(cell_id).clear()

    def tidy(self, cell_ids: Iterable[str]) -> None:
        """Remove what a kill right after a commit left of finished cells."""
        with self._engine.connect() as connection:
            done = self._finished(connection, cell_ids)
        for cell_id in done:
            self.checkpoints(cell_id).clear()
            for left_behind in (self.folder / "staging").glob(f"{cell_id}-*"):
                shutil.rmtree(left_behind, ignore_errors=True)

    def checkpoints(self, cell_id: str, lease: Lease | None = None) -> Checkpoints:
        """The checkpoints of a cell that is being computed, by the holder of `lease`.

        A cell that gets further starts with a clean slate of crashes: what is preempted
        ten times is not what crashes ten times at one place.
        """
        folder = self.folder / "checkpoints" / cell_id
        if lease is None:
            return Checkpoints(folder)
        return Checkpoints(folder, on_save=lambda: self._update_claim(lease, crashes=0))

    @property
    def rescorings(self) -> Rescorings:
        """New scores of cells that were scored again."""
        return Rescorings(self)

    @property
    def evaluations(self) -> Evaluations:
        """Adapters of finished cells on perturbed test sets."""
        return Evaluations(self)

    # Costs

    def put_cost(self, cost: Cost) -> None:
        """Keep a measurement; a newer one of the same question replaces it."""
        with self._writing() as connection:
            connection.execute(sa.delete(tables.costs).where(tables.costs.c.id == cost.id))
            connection.execute(
                sa.insert(tables.costs).values(id=cost.id, cost=cost.model_dump_json())
            )

    def costs(self) -> list[Cost]:
        """All measurements."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(tables.costs)).all()
        return [Cost.model_validate_json(row.cost) for row in rows]

    # Inside

    def _cell_folder(self, cell_id: str) -> Path:
        return self.folder / "cells" / cell_id

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction that holds the write lock from its beginning: of two processes
        that read, decide and write, the second reads what the first has written."""
        try:
            with self._engine.connect() as connection, connection.begin():
                if self._engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        except OperationalError as error:
            raise StoreError(
                f"The database of {self.folder} cannot be written ({error.orig}). All earlier "
                "results are intact. Is the disk full, the folder read-only, or another "
                "process holding it? Then run the same command again to go on."
            ) from error

    def _finished(self, connection: sa.Connection, cell_ids: Iterable[str]) -> set[str]:
        wanted = set(cell_ids)
        rows = connection.execute(sa.select(tables.records.c.cell_id)).all()
        return {row.cell_id for row in rows} & wanted

    def _update_claim(
        self, lease: Lease, connection: sa.Connection | None = None, **values: Any
    ) -> None:
        """Change a claim if it is still ours: compare and set on the token."""
        if connection is None:
            with self._writing() as own:
                return self._update_claim(lease, own, **values)
        table = tables.claims
        changed = connection.execute(
            sa.update(table)
            .where(table.c.cell_id == lease.cell_id, table.c.token == lease.token)
            .values(token=lease.token, **values)
        )
        if changed.rowcount != 1:
            raise LeaseLost(
                f"Cell {lease.cell_id[:12]} was taken over by another worker: this one had "
                "not been heard of for too long. Nothing is lost; the other one goes on."
            )
        return None

    def _check_version(self) -> None:
        table = tables.facts
        with self._writing() as connection:
            tables.metadata.create_all(connection)
            row = connection.execute(
                sa.select(table.c.value).where(table.c.name == "schema_version")
            ).first()
            if row is None:
                connection.execute(
                    sa.insert(table).values(
                        name="schema_version", value=str(SCHEMA_VERSION)
                    )
                )
            elif int(row.value) > SCHEMA_VERSION:
                raise StoreError(
                    f"{self.folder} was written by a newer peftbench (schema {row.value}; "
                    f"this one knows up to {SCHEMA_VERSION}). Upgrade peftbench, or choose "
                    "another --store."
                )


def _is_over(claim: Any, now: float) -> bool:
    return bool(claim.expires_at < now or Worker.parse(claim.holder).is_gone())


def _planned_as_json(planned: PlannedCell) -> list[Any]:
    budget = planned.budget.model_dump(mode="json") if planned.budget else None
    return [planned.cell.model_dump(mode="json"), planned.model, planned.label, budget]


def _planned_from_json(
    cell: Any, model: str, label: str, budget: Any = None
) -> PlannedCell:
    settled = SettledBudget.model_validate(budget) if budget else None
    return PlannedCell(Cell.model_validate(cell), model, label, settled)


def _configure(connection: Any, _record: Any) -> None:
    """Transactions are ours to begin; several processes may write at a time."""
    connection.isolation_level = None
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # Going over to the write-ahead log does not wait for other processes.
            if "locked" not in str(error) or attempt + 1 == _LOCK_ATTEMPTS:
                raise
            time.sleep(0.05)
    connection.execute("PRAGMA synchronous = FULL")
