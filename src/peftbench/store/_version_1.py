"""A store of schema version 1, as it lies on disk: read, checked, and never touched.

Its unit was the cell with one record. `records` holds them, `rescored` newer scores of them,
`evaluations` and `rescored_evaluations` those on perturbed sets; files lie in `cells/<id>/`,
`evaluations/<id>/` and `rescored/<cell>/<scorer>/`. The classes of that time are gone: what
is read here is JSON.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftbench.errors import StoreError
from peftbench.evaluation.rows import Mark, Prediction
from peftbench.spec.frozen import digest
from peftbench.spec.steps import TEST
from peftbench.store._files import explained, sha256

Json = Mapping[str, Any]

ROWS = "rows.parquet"
#: Fields of a cell that are no part of its id where they are absent.
_OPTIONAL = ("sampling", "trial", "tuned", "origin")


@dataclass(frozen=True)
class Kept:
    """Something that was stored, and its files."""

    value: Json
    folder: Path
    files: Mapping[str, str]
    """SHA-256 by path."""

    @property
    def altered(self) -> list[Path]:
        """Files that are not what was written."""
        return [
            self.folder / name
            for name, known in self.files.items()
            if not (self.folder / name).is_file() or sha256(self.folder / name) != known
        ]


@dataclass(frozen=True)
class Rows:
    """A file of rows, read when they are written anew."""

    path: Path
    scores: Path | None
    """File of what each row is worth; None where nobody kept that."""

    @classmethod
    def of(cls, kept: Kept, test: str) -> Rows | None:
        """Those of a test set; None where there are none."""
        name = "predictions.parquet" if test == TEST else f"predictions_{test}.parquet"
        path = kept.folder / name
        return cls(path, path) if name in kept.files else None

    @property
    def count(self) -> int:
        """How many there are."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self.path).num_rows)

    def predictions(self) -> list[Prediction]:
        """What was written. Of a perturbed set the likeliest label is as the set has it."""
        found = []
        for row in self._rows():
            likely = row["label_log_likelihoods"]
            found.append(
                Prediction(
                    row=row["row"],
                    prompt_sha256=row["prompt_sha256"],
                    prompt=row["prompt"],
                    output=row["output"],
                    target=row["target"],
                    likelihood_answer=row["likelihood_answer"],
                    label_log_likelihoods=None if likely is None else tuple(likely),
                    group=row.get("group"),  # this and the next came later
                    references=tuple(row.get("references") or ()),
                    extra=row.get("extra") or "{}",
                    samples=tuple(row.get("samples") or ()),
                )
            )
        return found

    def marks(self) -> list[Mark]:
        """How that was read, and what it was worth."""
        import pyarrow.parquet as pq

        rows = self._rows()
        scores = [None] * len(rows)
        if self.scores is not None:
            scores = pq.read_table(self.scores, columns=["score"])["score"].to_pylist()
        return [
            Mark(
                answer=row["answer"],
                score=score,
                likelihood_answer=row["likelihood_answer"],
                verdict=row.get("verdict"),
                sampled_verdicts=tuple(row.get("sampled_verdicts") or ()),
            )
            for row, score in zip(rows, scores, strict=True)
        ]

    def _rows(self) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        found: list[dict[str, Any]] = pq.read_table(self.path).to_pylist()
        return found


@dataclass(frozen=True)
class Version1:
    """All that such a store holds, but for claims and checkpoints."""

    benchmarks: tuple[Json, ...]
    """Name, origin, spec, created_at, and cells as [cell, model, label, budget]."""
    records: Mapping[str, Kept]
    """By cell id."""
    evaluations: Mapping[str, Kept]
    rescored: tuple[Kept, ...]
    """Oldest first."""
    rescored_evaluations: tuple[Json, ...]
    """Oldest first."""
    costs: tuple[Json, ...]
    interrupted: frozenset[str]
    """Ids of cells without a record that have a checkpoint."""

    @classmethod
    def read(cls, folder: Path) -> Version1:
        """Raises `StoreError` where there is no such store."""
        if not (folder / "store.sqlite").is_file():
            raise StoreError(f"{folder} is not a store: it has no store.sqlite.")
        try:
            return cls._read(folder, _tables(folder))
        except (sqlite3.DatabaseError, KeyError, ValueError) as error:
            raise StoreError(
                f"{folder / 'store.sqlite'} is damaged or not a database ({error}). Restore "
                "it from a copy."
            ) from error

    @classmethod
    def _read(cls, folder: Path, tables: Mapping[str, list[Json]]) -> Version1:
        records = {
            row["cell_id"]: Kept(
                _parsed(row["record"]),
                folder / "cells" / row["cell_id"],
                json.loads(row["files"]),
            )
            for row in tables["records"]
        }
        checkpoints = (path.name for path in (folder / "checkpoints").glob("*/"))
        return cls(
            benchmarks=tuple(
                {**row, "spec": json.loads(row["spec"]), "cells": json.loads(row["cells"])}
                for row in tables["benchmarks"]
            ),
            records=records,
            evaluations={
                row["id"]: Kept(
                    _parsed(row["evaluation"]),
                    folder / "evaluations" / row["id"],
                    json.loads(row["files"]),
                )
                for row in tables["evaluations"]
            },
            rescored=tuple(
                Kept(
                    _parsed(row["rescored"]),
                    folder / "rescored" / row["cell_id"] / row["scorer"],
                    {ROWS: row["rows"]},
                )
                for row in sorted(tables["rescored"], key=lambda row: int(row["id"]))
            ),
            rescored_evaluations=tuple(
                _parsed(row["rescored"])
                for row in sorted(
                    tables["rescored_evaluations"], key=lambda row: int(row["id"])
                )
            ),
            costs=tuple(_parsed(row["cost"]) for row in tables["costs"]),
            interrupted=frozenset(checkpoints) - set(records),
        )


def cell_id(cell: Json) -> str:
    """The id that a cell had."""
    return digest(
        {
            name: value
            for name, value in cell.items()
            if value is not None or name not in _OPTIONAL
        }
    )


def further_tests(kept: Kept) -> list[str]:
    """Names of a task's further tests that a cell has predictions on."""
    return [
        name.removeprefix("predictions_").removesuffix(".parquet")
        for name in kept.files
        if name.startswith("predictions_")
    ]


def _parsed(text: str) -> Json:
    """A result; empty where it cannot be read, which costs it alone."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _tables(folder: Path) -> dict[str, list[Json]]:
    """All rows of all tables. They are read from a copy: opening a database is writing
    beside it."""
    with explained(folder), tempfile.TemporaryDirectory() as copied:
        for path in folder.glob("store.sqlite*"):
            shutil.copyfile(path, Path(copied) / path.name)
        with closing(sqlite3.connect(Path(copied) / "store.sqlite")) as connection:
            connection.row_factory = sqlite3.Row
            named = "select name from sqlite_master where type = 'table'"
            names = [str(row["name"]) for row in connection.execute(named)]
            found: dict[str, list[Json]] = defaultdict(list)  # some tables came later
            for name in names:
                rows = connection.execute(f'select * from "{name}"')
                found[name] = [dict(row) for row in rows]
    versions = {row["name"]: row["value"] for row in found["facts"]}
    if versions.get("schema_version") != "1":
        raise StoreError(
            f"{folder} is no store of schema version 1: there is nothing to upgrade."
        )
    return found
