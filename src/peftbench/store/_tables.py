"""The tables of a store. Only rows in `results` are results; `files` names what they have."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

#: What is known of the store itself: its schema version, and the last token given out.
about = Table(
    "about", metadata, Column("name", String, primary_key=True), Column("value", String)
)

#: Views: what was asked for under a name, the newest plan of each.
benchmarks = Table(
    "benchmarks",
    metadata,
    Column("name", String, primary_key=True),
    Column("origin", String, nullable=False),
    Column("spec", Text, nullable=False),
    Column("created_at", String, nullable=False),
    Column("cells", Text, nullable=False),  # JSON: see `PlannedCell`
)

#: What came of every step, written once.
results = Table(
    "results",
    metadata,
    Column("number", Integer, primary_key=True),  # rises: the order of commits
    Column("step_id", String(64), nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("of", String(64), nullable=False, index=True),  # see `looked_at`
    Column("status", String, nullable=False),
    Column("step", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("folder", String, nullable=False),  # of its files; "" where it has none
    Column("sha256", String(64), nullable=False),  # over step and outcome
)

#: The files of results.
files = Table(
    "files",
    metadata,
    Column("step_id", String(64), primary_key=True),
    Column("path", String, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("is_freed", Boolean, nullable=False),  # removed on purpose; it can be made again
)

#: Other numbers that somebody else has for a step. Shown, and never taken over.
contradictions = Table(
    "contradictions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("step_id", String(64), nullable=False, index=True),
    Column("origin", String, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("files", Text, nullable=False),  # JSON: path to SHA-256
)

#: Who works, or worked last, on what. Tokens rise with every claim of any unit.
claims = Table(
    "claims",
    metadata,
    Column("unit", String(64), primary_key=True),
    Column("token", Integer, nullable=False),
    Column("holder", String, nullable=False),  # "" where nobody works on it
    Column("expires_at", Float, nullable=False),  # by the database's clock
    Column("crashes", Integer, nullable=False),  # holders that died while others lived
    Column("step", Integer, nullable=False),  # how far its training is
    Column("steps", Integer, nullable=False),
    Column(
        "fence", Integer, nullable=False
    ),  # what has a lower token is from before a forget
)
_is_held = claims.c.holder != ""
Index("claims_held", claims.c.unit, sqlite_where=_is_held, postgresql_where=_is_held)

#: Work of runs that go on, in the order it is to be done.
wanted = Table(
    "wanted",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("run", String, nullable=False),
    Column("place", Integer, nullable=False),
    Column("unit", String(64), nullable=False),
    Column("work", Text, nullable=False),  # JSON: see `Work`
    Column("is_done", Boolean, nullable=False),
    Index("wanted_in_order", "run", "is_done", "place", "number"),
    Index("wanted_units", "run", "unit"),
)

#: Runs that go on: as long as one is open, more work may come.
runs = Table(
    "runs",
    metadata,
    Column("run", String, primary_key=True),
    Column("is_open", Boolean, nullable=False),
    Column("expires_at", Float, nullable=False),
)

#: What happened in runs, for whoever wants to watch.
events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("run", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("what", String, nullable=False),
    Column("unit", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Index("events_in_order", "run", "number"),
)
