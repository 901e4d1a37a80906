"""The tables of a store. Only rows in `records` and `evaluations` are results."""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text

metadata = MetaData()

#: Facts about the store itself: its schema version.
facts = Table(
    "facts", metadata, Column("name", String, primary_key=True), Column("value", String)
)

#: What was asked for, newest plan per name.
benchmarks = Table(
    "benchmarks",
    metadata,
    Column("name", String, primary_key=True),
    Column("origin", String, nullable=False),
    Column("spec", Text, nullable=False),
    Column("created_at", String, nullable=False),
    Column("cells", Text, nullable=False),  # JSON: cell, model, label, budget
)

#: Results: written once, with the digests of their files.
records = Table(
    "records",
    metadata,
    Column("cell_id", String(64), primary_key=True),
    Column("status", String, nullable=False),
    Column("record", Text, nullable=False),
    Column("files", Text, nullable=False),  # JSON: path to SHA-256
)

#: New scores of finished cells, from their predictions; the newest of a cell is shown.
rescored = Table(
    "rescored",
    metadata,
    Column("id", Integer, primary_key=True),  # rises: the order of scoring
    Column("cell_id", String(64), nullable=False, index=True),
    Column("scorer", String(64), nullable=False),
    Column("rescored", Text, nullable=False),
    Column("rows", String(64), nullable=False),  # SHA-256 of the file with row scores
)

#: Adapters of finished cells on perturbed test sets: results too, and written once.
evaluations = Table(
    "evaluations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("cell_id", String(64), nullable=False, index=True),
    Column("evaluation", Text, nullable=False),
    Column("files", Text, nullable=False),  # JSON: path to SHA-256
)

#: New comparisons for evaluations, from their predictions; the newest of each is shown.
rescored_evaluations = Table(
    "rescored_evaluations",
    metadata,
    Column("id", Integer, primary_key=True),  # rises: the order of scoring
    Column("evaluation_id", String(64), nullable=False, index=True),
    Column("cell_id", String(64), nullable=False, index=True),
    Column("scorer", String(64), nullable=False),
    Column("rescored", Text, nullable=False),
)

#: Who works, or worked last, on what. The token rises with every claim.
claims = Table(
    "claims",
    metadata,
    Column("cell_id", String(64), primary_key=True),
    Column("token", Integer, nullable=False),
    Column("holder", String, nullable=False),  # "" where nobody works on it
    Column("expires_at", Float, nullable=False),  # seconds since 1970
    Column("crashes", Integer, nullable=False),  # claims that ended without a word
)

#: Measured costs, newest per question.
costs = Table(
    "costs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("cost", Text, nullable=False),
)
