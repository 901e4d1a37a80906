"""Runs that go on: what is wanted, who may do it next, and what happened.

A run is opened by whoever plans it, and stays open as long as more work may come. Workers
anywhere claim the next piece; watchers anywhere read the events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from peftbench.store import _tables as tables
from peftbench.store._claims import Claims, Held, Lease
from peftbench.store._database import Database
from peftbench.store.work import Work

#: A run whose planner was not heard of for so long is over.
RUN_SECONDS = 120.0


@dataclass(frozen=True)
class Event:
    """Something that happened in a run."""

    number: int
    at: float  # seconds since 1970, by the database's clock
    what: str  # "started", "finished", "failed", "dropped", "measured", "broken", ...
    unit: str
    detail: str


@dataclass(frozen=True)
class Claimed:
    """A piece of work, and the right to do it."""

    number: int
    work: Work
    lease: Lease


@dataclass(frozen=True)
class Queue:
    """The work of one run in one store."""

    database: Database
    claims: Claims
    run: str

    def open(self) -> None:
        """Begin the run, and sweep away what runs that are long over left behind."""
        now = self.database.now

        def work(connection: sa.Connection) -> None:
            table = tables.runs
            connection.execute(sa.delete(table).where(table.c.expires_at < now))
            going_on = sa.select(table.c.run)
            for one in (tables.wanted, tables.events):
                connection.execute(sa.delete(one).where(one.c.run.not_in(going_on)))
            connection.execute(
                sa.insert(table).values(
                    run=self.run, is_open=True, expires_at=now + RUN_SECONDS
                )
            )

        self.database.writing(work)

    def keep_open(self) -> None:
        """Say that the planner lives."""
        self._update(expires_at=self.database.now + RUN_SECONDS)

    def close(self) -> None:
        """No more work will come: workers end when all is done."""
        self._update(is_open=False)

    def want(self, works: Sequence[Work], *, place: int = 0) -> None:
        """Add work, to be done after what has a lower place."""
        rows = [
            {
                "run": self.run,
                "place": place,
                "unit": one.unit,
                "work": one.model_dump_json(),
                "is_done": False,
            }
            for one in works
        ]
        if rows:
            self.database.writing(
                lambda connection: connection.execute(sa.insert(tables.wanted), rows)
            )

    def claim(self, holder: str, *, lease_seconds: float) -> Claimed | None:
        """The first piece that nobody works on; None where there is none now."""
        if self._next() is None:  # most questions of an idle worker need no lock
            return None

        def work(connection: sa.Connection) -> Claimed | None:
            row = connection.execute(self._free()).first()
            if row is None:
                return None
            lease = self.claims.take(connection, row.unit, holder, lease_seconds)
            assert lease is not None, "it was free in this very transaction"
            return Claimed(row.number, Work.model_validate_json(row.work), lease)

        return self.database.writing(work)

    def done(self, claimed: Claimed, what: str, detail: str = "") -> None:
        """Give a piece back as done, and tell what came of it."""

        def work(connection: sa.Connection) -> None:
            self.claims.update(connection, claimed.lease, holder="", crashes=0)
            table = tables.wanted
            connection.execute(
                sa.update(table)
                .where(table.c.number == claimed.number)
                .values(is_done=True)
            )
            self._tell(connection, what, claimed.work.unit, detail)

        self.database.writing(work)

    def is_over(self) -> bool:
        """Whether all is done and no more will come."""
        table, run = tables.wanted, tables.runs
        with self.database.reading() as connection:
            left = sa.select(table.c.number).where(
                table.c.run == self.run, table.c.is_done.is_(False)
            )
            if connection.execute(left.limit(1)).first() is not None:
                return False
            row = connection.execute(
                sa.select(
                    run.c.is_open, (run.c.expires_at < self.database.now).label("dead")
                ).where(run.c.run == self.run)
            ).first()
        return row is None or not row.is_open or bool(row.dead)

    def units_left(self, at_most: int | None = None) -> list[str]:
        """Units of what is not done yet, or some of them."""
        table = tables.wanted
        with self.database.reading() as connection:
            rows = connection.execute(
                sa.select(table.c.unit)
                .where(table.c.run == self.run, table.c.is_done.is_(False))
                .distinct()
                .limit(at_most)
            ).all()
        return [row.unit for row in rows]

    def held(self) -> list[Held]:
        """What live workers hold of this run's work."""
        table = tables.wanted
        is_ours = sa.exists().where(
            table.c.run == self.run, table.c.unit == tables.claims.c.unit
        )
        with self.database.reading() as connection:
            rows = connection.execute(self.claims.live(is_ours)).all()
        return [Held(row.unit, row.holder, row.step, row.steps) for row in rows]

    def tell(self, what: str, unit: str = "", detail: str = "") -> None:
        """Add an event."""
        self.database.writing(lambda connection: self._tell(connection, what, unit, detail))

    def events(self, after: int = 0) -> list[Event]:
        """Those that came after the one of this number, in order."""
        table = tables.events
        with self.database.reading() as connection:
            rows = connection.execute(
                sa.select(table)
                .where(table.c.run == self.run, table.c.number > after)
                .order_by(table.c.number)
            ).all()
        return [Event(r.number, r.at, r.what, r.unit, r.detail) for r in rows]

    def _next(self) -> Any:
        with self.database.reading() as connection:
            return connection.execute(self._free()).first()

    def _free(self) -> sa.Select[Any]:
        table, claims = tables.wanted, tables.claims
        is_free = sa.or_(
            claims.c.unit.is_(None),
            claims.c.holder == "",
            claims.c.expires_at < self.database.now,
        )
        return (
            sa.select(table.c.number, table.c.unit, table.c.work)
            .select_from(table.outerjoin(claims, claims.c.unit == table.c.unit))
            .where(table.c.run == self.run, table.c.is_done.is_(False), is_free)
            .order_by(table.c.place, table.c.number)
            .limit(1)
        )

    def _tell(self, connection: sa.Connection, what: str, unit: str, detail: str) -> None:
        connection.execute(
            sa.insert(tables.events).values(
                run=self.run, at=self.database.now, what=what, unit=unit, detail=detail
            )
        )

    def _update(self, **values: Any) -> None:
        table = tables.runs
        self.database.writing(
            lambda connection: connection.execute(
                sa.update(table).where(table.c.run == self.run).values(**values)
            )
        )
