"""Who works on what. A unit of work is what one worker does at a time: steps on one adapter.

A claim is a lease: its holder renews it, and loses it by the database's clock alone. Every
claim has a token of its own, higher than all before it in this store, and whoever
writes shows it: a holder that slept too long finds that its token counts for nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from peftbench.errors import StoreError
from peftbench.store import _tables as tables
from peftbench.store._database import Database, in_parts


class LeaseLost(StoreError):
    """Another worker has taken this work over; what was computed here is dropped."""


@dataclass(frozen=True)
class Lease:
    """The right to work on a unit, until it expires."""

    unit: str
    token: int
    crashes: int = 0  # earlier holders that died over it while others lived
    fence: int = 0  # what holders with lower tokens have left was forgotten


@dataclass(frozen=True)
class Held:
    """A unit that somebody works on, and how far its training is."""

    unit: str
    holder: str
    step: int
    steps: int


@dataclass(frozen=True)
class Claims:
    """The claims of one store."""

    database: Database

    def take(
        self, connection: sa.Connection, unit: str, holder: str, lease_seconds: float
    ) -> Lease | None:
        """Claim a unit; None where somebody else holds it."""
        table, now = tables.claims, self.database.now
        old = connection.execute(
            sa.select(table, (table.c.expires_at < now).label("is_over")).where(
                table.c.unit == unit
            )
        ).first()
        if old and old.holder and not old.is_over:
            return None
        row: dict[str, Any] = {
            "token": next_token(connection),
            "holder": holder,
            "expires_at": now + lease_seconds,
            "step": 0,
            "steps": 0,
        }
        if old is None:
            connection.execute(
                sa.insert(table).values(unit=unit, crashes=0, fence=0, **row)
            )
        else:
            connection.execute(sa.update(table).where(table.c.unit == unit).values(row))
        earlier = (old.crashes, old.fence) if old else (0, 0)
        return Lease(unit, row["token"], *earlier)

    def renew(
        self, lease: Lease, lease_seconds: float, progress: tuple[int, int] | None = None
    ) -> None:
        """Prolong a lease, and say how far training is; raises `LeaseLost`."""
        values: dict[str, Any] = {"expires_at": self.database.now + lease_seconds}
        if progress:
            values |= {"step": progress[0], "steps": progress[1]}
        self.database.writing(lambda connection: self.update(connection, lease, **values))

    def release(self, lease: Lease) -> None:
        """Give a unit back, finished or not."""
        self.database.writing(lambda connection: self.update(connection, lease, holder=""))

    def got_further(self, lease: Lease) -> None:
        """A unit that gets further starts with a clean slate of crashes: what is preempted
        ten times is not what crashes ten times at one place."""
        self.database.writing(lambda connection: self.update(connection, lease, crashes=0))

    def bury(self, holder: str, *, is_crash: bool) -> None:
        """End all leases of a worker that is known to be dead; `is_crash`: it died over what
        it worked on, while the process that started it lives."""
        table = tables.claims

        def work(connection: sa.Connection) -> None:
            connection.execute(
                sa.update(table)
                .where(table.c.holder == holder)
                .values(holder="", crashes=table.c.crashes + int(is_crash))
            )

        self.database.writing(work)

    def held(self, units: Collection[str]) -> list[Held]:
        """Those of the units that a live worker holds."""
        with self.database.reading() as connection:
            rows = [
                row
                for part in in_parts(units)
                for row in connection.execute(self.live(tables.claims.c.unit.in_(part)))
            ]
        return [Held(row.unit, row.holder, row.step, row.steps) for row in rows]

    def live(self, *which: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """Asks for the claims of those who work now."""
        table = tables.claims
        return sa.select(table).where(
            table.c.holder != "", table.c.expires_at >= self.database.now, *which
        )

    def update(self, connection: sa.Connection, lease: Lease, **values: Any) -> None:
        """Change a claim if it is still ours; raises `LeaseLost`."""
        table = tables.claims
        changed = connection.execute(
            sa.update(table)
            .where(
                table.c.unit == lease.unit,
                table.c.token == lease.token,
                table.c.holder != "",
            )
            .values(token=lease.token, **values)
        )
        if changed.rowcount != 1:
            raise LeaseLost(
                f"The work {lease.unit[:12]} was taken over by another worker, or forgotten: "
                "this one had not been heard of for too long, or somebody wants it done anew. "
                "What is stored stays as it is."
            )

    def fence(self, connection: sa.Connection, units: Iterable[str]) -> None:
        """Let no one who works on these units now write anything more about them."""
        table, token = tables.claims, next_token(connection)
        for part in in_parts(units):
            connection.execute(
                sa.update(table)
                .where(table.c.unit.in_(part))
                .values(token=token, holder="", crashes=0, fence=token)
            )


def next_token(connection: sa.Connection) -> int:
    """A number that this store has never given out."""
    table = tables.about
    connection.execute(
        sa.update(table)
        .where(table.c.name == "token")
        .values(value=sa.cast(sa.cast(table.c.value, sa.Integer) + 1, sa.String))
    )
    found = connection.execute(sa.select(table.c.value).where(table.c.name == "token"))
    return int(found.scalar_one())
