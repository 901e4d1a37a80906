"""The store: a folder with a ledger of results and the files they have.

`store.sqlite` is the ledger: results of steps, who works on what, what is wanted, and the
benchmarks, which are views. `files/<step id>-<token>/` holds what a step made, an adapter or
rows; `checkpoints/<step id>/` is the state of a run being computed. Only a row in `results`
makes a result: files come first, the row last, in one transaction that also checks that
the work is still ours.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa

from peftbench.errors import StoreError
from peftbench.spec.frozen import canonical_json
from peftbench.store import _tables as tables
from peftbench.store._checkpoints import Checkpoints
from peftbench.store._claims import Claims, Lease
from peftbench.store._database import Database
from peftbench.store._files import explained
from peftbench.store._queue import Queue
from peftbench.store._results import FILES, Results
from peftbench.store.planned import PlannedCell
from peftbench.store.record import Record, record_of, records_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class StoredBenchmark:
    """A benchmark that was run in this store."""

    name: str
    origin: str
    spec: Mapping[str, Any]
    created_at: str
    cells: tuple[PlannedCell, ...]


class Store:
    """Results, written once. Safe for many processes at a time."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder
        self.database = database
        self.claims = Claims(database)
        self.results = Results(database, self.claims)

    @classmethod
    def open(cls, folder: Path, *, create: bool = True) -> Self:
        """Open a store; raises `StoreError` where that is not possible.

        Without `create`, a store that cannot be written is opened to be read.
        """
        file = folder / "store.sqlite"
        if not create and not file.is_file():
            raise StoreError(
                f"{folder} is not a store: it has no store.sqlite. `peftbench run` makes one."
            )
        if create:
            try:
                with explained(folder):
                    folder.mkdir(parents=True, exist_ok=True)
            except (NotADirectoryError, FileExistsError) as error:
                raise StoreError(f"{folder} is a file; a store is a folder.") from error
        if not (file.is_file() and file.stat().st_size) and any((folder / FILES).glob("*")):
            raise StoreError(
                f"{file} is empty or gone, and the files of its results are still there: the "
                "database was lost. Restore it from a copy, or choose another --store."
            )
        read_only = not create and not (
            os.access(folder, os.W_OK) and os.access(file, os.W_OK)
        )
        database = Database.sqlite(folder, read_only=read_only)
        try:
            database.check_version(read_only=read_only)
        except BaseException:
            database.engine.dispose()
            raise
        return cls(folder, database)

    def close(self) -> None:
        """Let go of the database."""
        self.database.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def queue(self, run: str) -> Queue:
        """The work of one run."""
        return Queue(self.database, self.claims, run)

    # Benchmarks

    def add_benchmark(
        self,
        name: str,
        *,
        origin: str,
        spec: Mapping[str, Any],
        cells: Sequence[PlannedCell],
        created_at: str | None = None,
    ) -> None:
        """Remember which cells a spec stands for. An edited spec replaces its old plan;
        a different spec from elsewhere under the same name is refused. `created_at` is now,
        unless the benchmark comes from another store."""
        row = {
            "name": name,
            "origin": origin,
            "spec": canonical_json(spec),
            "created_at": created_at or datetime.now(UTC).isoformat(timespec="seconds"),
            "cells": json.dumps([one.model_dump(mode="json") for one in cells]),
        }
        table = tables.benchmarks

        def work(connection: sa.Connection) -> None:
            old = connection.execute(sa.select(table).where(table.c.name == name)).first()
            if old and old.origin != origin and old.spec != row["spec"]:
                raise StoreError(
                    f"Two specs are called {name!r}: {old.origin} and {origin}. Rename one, "
                    "or give each its own --store."
                )
            connection.execute(sa.delete(table).where(table.c.name == name))
            connection.execute(sa.insert(table).values(row))

        self.database.writing(work)

    def benchmark_names(self) -> list[str]:
        """The benchmarks of this store, oldest first."""
        table = tables.benchmarks
        with self.database.reading() as connection:
            rows = connection.execute(
                sa.select(table.c.name).order_by(table.c.created_at, table.c.name)
            )
            return list(rows.scalars())

    def benchmark(self, name: str) -> StoredBenchmark | None:
        """The benchmark of this name."""
        table = tables.benchmarks
        with self.database.reading() as connection:
            row = connection.execute(sa.select(table).where(table.c.name == name)).first()
        if row is None:
            return None
        cells = tuple(PlannedCell.model_validate(one) for one in json.loads(row.cells))
        return StoredBenchmark(
            row.name, row.origin, json.loads(row.spec), row.created_at, cells
        )

    def benchmarks(self) -> list[StoredBenchmark]:
        """All of them, oldest first."""
        found = (self.benchmark(name) for name in self.benchmark_names())
        return [one for one in found if one is not None]

    # Cells

    def records(self, planned: Iterable[PlannedCell]) -> dict[str, Record]:
        """The records of these cells that have ended, by cell id."""
        return records_of(self.results, planned)

    def record(self, planned: PlannedCell) -> Record | None:
        """The record of one cell; None where it has not ended."""
        return record_of(self.results, planned)

    def predictions(self, step_id: str) -> pa.Table | None:
        """The rows of a step that predicts, as they were graded last; None if there are none.
        Raises `StoreError` if a file was altered."""
        from peftbench.store._rows import joined

        return joined(self.results, step_id)

    def checkpoints(self, step_id: str, lease: Lease | None = None) -> Checkpoints:
        """The checkpoints of a run, for the holder of `lease`."""
        folder = self.folder / "checkpoints" / step_id
        if lease is None:
            return Checkpoints(folder)
        return Checkpoints(
            folder,
            token=lease.token,
            fence=lease.fence,
            on_save=lambda: self.claims.got_further(lease),
        )

    def tidy(self) -> None:
        """Remove what kills have left of steps that are done, and nobody does again."""
        folders = self.folder / "checkpoints", self.folder / "staging"
        left = [one for folder in folders if folder.is_dir() for one in folder.iterdir()]
        steps = {path: path.name.partition("-")[0] for path in left}
        done = self.results.status(steps.values())
        held = {one.unit for one in self.claims.held(steps.values())}
        for path, step_id in steps.items():
            if step_id in done and step_id not in held:
                shutil.rmtree(path, ignore_errors=True)
