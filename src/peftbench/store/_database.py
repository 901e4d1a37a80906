"""The database of a store: transactions that wait for their turn, and one clock for all."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError

from peftbench.errors import StoreError
from peftbench.store import _tables as tables
from peftbench.store._files import explained

T = TypeVar("T")

#: Version of the tables and results that this code writes.
SCHEMA_VERSION = 2
#: How long a transaction waits for those of other processes.
PATIENCE_SECONDS = 300.0
#: Names in one question to the database; SQLite takes some thousands.
_MANY = 500


class Database:
    """Tables of one store, in SQLite or another database that SQLAlchemy reaches.

    `folder` is what messages call the store, and where the file of SQLite lies.
    """

    def __init__(self, folder: Path, engine: sa.Engine, file: Path | None = None) -> None:
        self.folder = folder
        self.engine = engine
        self._file = file
        self._inode = file.stat().st_ino if file else None

    @classmethod
    def sqlite(cls, folder: Path, *, read_only: bool = False) -> Database:
        """The database in `folder/store.sqlite`; made there unless `read_only`."""
        file = folder / "store.sqlite"
        mode = "ro" if read_only else "rw"  # never "rwc": a lost file would come back empty
        if read_only and not Path(f"{file}-wal").exists():
            mode += "&immutable=1"  # else SQLite wants to write a file of its own beside it
        # A file's name is no URL: it may hold "?", "#" or "%".
        uri = f"file:{quote(str(file.absolute()))}?mode={mode}"

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
            )
            if not read_only:
                _insist(lambda: connection.execute("PRAGMA journal_mode = WAL"))
                connection.execute("PRAGMA synchronous = FULL")
            return connection

        engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.QueuePool)
        if not read_only:
            with explained(folder):
                file.touch()
        return cls(folder, engine, file)

    @property
    def now(self) -> sa.ColumnElement[float]:
        """Seconds since 1970 by the database's clock, to be used in its statements."""
        if self.engine.dialect.name == "sqlite":
            return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Float)
        return sa.literal_column("extract(epoch from clock_timestamp())", sa.Float)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read by. Raises `StoreError` where the database cannot be read."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            raise self._refused(error, "read") from error

    def writing(self, work: Callable[[sa.Connection], T]) -> T:
        """Do `work` in a transaction that holds the write lock from its beginning: of two
        processes that read, decide and write, the second reads what the first has written.

        Other processes are waited for. Raises `StoreError` where nothing can be written.
        """
        self.check_place()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self.engine.connect() as connection:
                    self._begin(connection)
                    try:
                        found = work(connection)
                    except BaseException:
                        connection.rollback()
                        raise
                    connection.commit()
                    return found
            except DatabaseError as error:
                if "locked" not in str(error.orig) or time.monotonic() > deadline:
                    raise self._refused(error, "written") from error
                time.sleep(random.uniform(0.01, 0.1))

    def check_version(self, *, read_only: bool) -> None:
        """Make the tables where there are none; raises `StoreError` for another version."""
        version = self._version()
        if version is None and not read_only:
            self.writing(self._make)
            version = self._version()
        if version == SCHEMA_VERSION:
            return
        if version is None:
            raise StoreError(f"{self.folder} is not a store: its database has no tables.")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.folder} was written by a newer peftbench (schema {version}; this one "
                f"knows up to {SCHEMA_VERSION}). Upgrade peftbench, or choose another --store."
            )
        raise StoreError(
            f"{self.folder} was written by an older peftbench (schema {version}; this "
            f"one reads {SCHEMA_VERSION}). `peftbench store upgrade --store {self.folder}` "
            "writes a new store beside it, with every number, and leaves this one as it is."
        )

    def _version(self) -> int | None:
        """The schema's version; None where there are no tables yet."""
        with self.reading() as connection:
            names = sa.inspect(connection).get_table_names()
            if tables.about.name not in names:
                return 1 if "facts" in names else None
            table = tables.about
            found = connection.execute(
                sa.select(table.c.value).where(table.c.name == "schema_version")
            ).scalar()
            return None if found is None else int(found)

    def _make(self, connection: sa.Connection) -> None:
        names = sa.inspect(connection).get_table_names()
        if tables.about.name in names or "facts" in names:
            return
        tables.metadata.create_all(connection)
        rows = [
            {"name": "schema_version", "value": str(SCHEMA_VERSION)},
            {"name": "token", "value": "0"},
        ]
        connection.execute(sa.insert(tables.about), rows)

    def _begin(self, connection: sa.Connection) -> None:
        if self.engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _refused(self, error: DatabaseError, doing: str) -> Exception:
        """What to say where the database refuses; an error of another kind is ours."""
        if type(error) is OperationalError:
            return StoreError(
                f"The database of {self.folder} cannot be {doing} ({error.orig}). What was "
                "stored before stays as it is. Is the disk full, the folder read-only, or "
                "another process holding it? Then run the same command again to go on."
            )
        if type(error) is DatabaseError:
            return StoreError(
                f"{self._file or self.folder} is damaged or not a database ({error.orig}). "
                "Restore it from a copy, or choose another --store."
            )
        return error

    def check_place(self) -> None:
        """A file that was moved away would take rows that nobody ever finds."""
        if self._file is None:
            return
        try:
            same = self._file.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise StoreError(
                f"The store {self.folder} was moved or deleted while it was used. Put it "
                "back, or give the place where it is now, and run the same command again."
            )


def in_parts(names: Iterable[str]) -> Iterator[Sequence[str]]:
    """Distinct names, so many at a time as one question to the database may have."""
    distinct = list(dict.fromkeys(names))
    for start in range(0, len(distinct), _MANY):
        yield distinct[start : start + _MANY]


def _insist(work: Callable[[], Any]) -> None:
    """Going over to the write-ahead log does not wait for other processes by itself."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            work()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
