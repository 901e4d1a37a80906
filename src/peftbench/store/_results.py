"""What came of steps, and its files: read, checked, written once, forgotten."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from peftbench.errors import StoreError
from peftbench.spec.frozen import canonical_json, digest
from peftbench.spec.steps import (
    KINDS,
    AnyStep,
    Base,
    Grade,
    Measure,
    Predict,
    Trial,
)
from peftbench.store import _tables as tables
from peftbench.store._claims import Claims, Lease, next_token
from peftbench.store._database import Database, in_parts
from peftbench.store._files import FileFacts, explained, facts_of, publish, sha256
from peftbench.store.outcomes import OUTCOMES, AnyOutcome, Outcome, Trained

FILES = "files"
STAGING = "staging"
ADAPTER = "adapter"


@dataclass(frozen=True)
class Result:
    """A step, what came of it, and what files it has."""

    number: int
    """Rises with every commit."""
    step: AnyStep
    outcome: AnyOutcome
    files: Mapping[str, FileFacts]
    """By path; those that were freed are still named."""
    folder: Path | None

    @property
    def status(self) -> str:
        """How the step ended. Costs that could not be measured are not stored."""
        return str(getattr(self.outcome, "status", "finished"))

    @property
    def has_adapter(self) -> bool:
        """Whether the files of its adapter are there."""
        own = self._adapter_files
        return bool(own) and not any(one.is_freed for one in own)

    @property
    def adapter_bytes(self) -> int:
        """Of its adapter's files, there or freed."""
        return sum(one.bytes for one in self._adapter_files)

    @property
    def _adapter_files(self) -> Sequence[FileFacts]:
        return [one for path, one in self.files.items() if path.startswith(f"{ADAPTER}/")]

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of every file."""
        return {path: one.sha256 for path, one in self.files.items()}


@dataclass(frozen=True)
class Contradiction:
    """Other numbers that were offered for a step whose result is stored."""

    step_id: str
    origin: str
    outcome: AnyOutcome
    files: Mapping[str, str]


@dataclass(frozen=True)
class Results:
    """The results of one store."""

    database: Database
    claims: Claims

    # Reading

    def by_id(self, step_ids: Iterable[str]) -> dict[str, Result]:
        """Those of these steps that there are."""
        return self._read(tables.results.c.step_id, step_ids)

    def looking_at(self, step_ids: Iterable[str], kind: str) -> dict[str, list[Result]]:
        """Results of one kind that look at these steps, by the step, oldest first."""
        found: dict[str, list[Result]] = {}
        rows = self._read(tables.results.c.of, step_ids, tables.results.c.kind == kind)
        for one in sorted(rows.values(), key=lambda result: result.number):
            found.setdefault(looked_at(one.step), []).append(one)
        return found

    def of_kind(self, kind: str) -> list[Result]:
        """All of one kind, oldest first."""
        rows = self._read(None, (), tables.results.c.kind == kind)
        return sorted(rows.values(), key=lambda result: result.number)

    def costs_on(self, bases: Iterable[Base]) -> list[Result]:
        """Measured costs of methods on these bases, oldest first."""
        keys = [_base_key(one) for one in bases]
        rows = self._read(tables.results.c.of, keys, tables.results.c.kind == Measure.kind)
        return sorted(rows.values(), key=lambda result: result.number)

    def beginning_with(self, prefix: str, kind: str) -> list[Result]:
        """Those whose step's id begins so."""
        starts = tables.results.c.step_id.startswith(prefix, autoescape=True)
        return list(self._read(None, (), tables.results.c.kind == kind, starts).values())

    def status(self, step_ids: Iterable[str]) -> dict[str, str]:
        """How these steps ended, without reading what came of them."""
        table, found = tables.results, {}
        with self.database.reading() as connection:
            for part in in_parts(step_ids):
                rows = connection.execute(
                    sa.select(table.c.step_id, table.c.status).where(
                        table.c.step_id.in_(part)
                    )
                )
                found.update({row.step_id: row.status for row in rows})
        return found

    def graded_metrics(
        self, predict_ids: Iterable[str]
    ) -> dict[str, list[tuple[str, ...]]]:
        """The metrics of every grade of these predictions, without reading what came of it."""
        table = tables.results
        found: dict[str, list[tuple[str, ...]]] = {}
        with self.database.reading() as connection:
            for part in in_parts(predict_ids):
                rows = connection.execute(
                    sa.select(table.c.of, table.c.step).where(
                        table.c.of.in_(part), table.c.kind == Grade.kind
                    )
                )
                for row in rows:
                    names = tuple(json.loads(row.step)["metrics"])
                    found.setdefault(row.of, []).append(names)
        return found

    def step_ids(self) -> list[str]:
        """Of all results, in the order of their commits."""
        table = tables.results
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(table.c.step_id).order_by(table.c.number))
            return [row.step_id for row in rows]

    def left_behind(self) -> list[Path]:
        """Folders that belong to no result and to nobody who is at work: kills left them."""
        with self.database.reading() as connection:
            return self._left_behind(connection)

    def sweep(self, folders: Iterable[Path]) -> None:
        """Remove folders that were left behind, if they still are."""
        chosen = set(folders)

        def work(connection: sa.Connection) -> None:  # nobody commits meanwhile
            for folder in chosen.intersection(self._left_behind(connection)):
                shutil.rmtree(folder, ignore_errors=True)

        self.database.writing(work)

    def new_token(self) -> int:
        """A token for who stages files without a lease."""
        return self.database.writing(next_token)

    def file(self, result: Result, name: str) -> Path | None:
        """The path of a file; None where the step has none of this name. Raises `StoreError`
        if it is not what was written."""
        known = result.files.get(name)
        if known is None:
            return None
        path = (result.folder or self.database.folder / FILES) / name
        if not path.is_file() or sha256(path) != known.sha256:
            what = "was freed" if known.is_freed else "is missing or was altered"
            raise StoreError(
                f"{path} {what} after it was written. Forget it and make it again: "
                f"`peftbench run ... --retry {result.step.id[:12]}`."
            )
        return path

    def adapter(self, result: Result) -> Path | None:
        """The folder of a step's adapter; None where it is not kept. Raises `StoreError` if
        one of its files is not what was written."""
        if not result.has_adapter:
            return None
        for name in result.files:
            if name.startswith(f"{ADAPTER}/"):
                self.file(result, name)
        return self._path(result, ADAPTER)

    def contradictions(self, step_ids: Iterable[str] | None = None) -> list[Contradiction]:
        """Other numbers for these steps, or for any."""
        table = tables.contradictions
        with self.database.reading() as connection:
            rows = connection.execute(
                sa.select(table, tables.results.c.kind).join(
                    tables.results, tables.results.c.step_id == table.c.step_id
                )
            ).all()
        wanted = None if step_ids is None else set(step_ids)
        return [
            Contradiction(
                row.step_id,
                row.origin,
                OUTCOMES[row.kind].model_validate_json(row.outcome),
                json.loads(row.files),
            )
            for row in rows
            if wanted is None or row.step_id in wanted
        ]

    # Writing

    def staging(self, step_id: str, token: int) -> Path:
        """An empty folder for the files of a step that is about to be committed; of this
        holder alone."""
        self.database.check_place()
        folder = self.database.folder / STAGING / f"{step_id}-{token}"
        with explained(self.database.folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return folder

    def commit(
        self,
        lease: Lease | None,
        step: AnyStep,
        outcome: AnyOutcome,
        staged: Path | None = None,
        *,
        freed: Mapping[str, FileFacts] = MappingProxyType({}),
        origin: str = "this store",
    ) -> bool:
        """Make a result of it: files first, then the row, only if the lease is ours. `freed`
        are files that it had elsewhere, and that are not kept any more.

        What is there already is never written over: equal numbers are dropped, and others are
        kept beside them as a contradiction. Returns whether it is the result now. Without a
        lease, as for imports and merges, the first to come wins.
        """
        folder, found = "", dict(freed)
        with explained(self.database.folder):
            if staged is not None:
                found |= facts_of(staged)
                folder = self._publish(staged)

            def work(connection: sa.Connection) -> bool:
                if lease is not None:
                    self.claims.update(connection, lease, crashes=0)
                return self._insert(connection, step, outcome, found, folder, origin)

            return self._writing(work, folder)

    def has_same_files(self, result: Result, staged: Path) -> bool:
        """Whether a staged folder holds what a result has."""
        return {
            path: one.sha256 for path, one in facts_of(staged).items()
        } == result.digests

    def discard(self, staged: Path) -> None:
        """Drop a staged folder."""
        shutil.rmtree(staged, ignore_errors=True)

    def restore(self, lease: Lease, result: Result, staged: Path, outcome: Trained) -> bool:
        """Put files back that were freed, made again in `staged` as `outcome` tells; False, and
        a contradiction on record, where they are not the same files. Of a run whose files were
        never kept, as by version 1, the validations have to be the same.
        """
        found, stored = facts_of(staged), result.outcome
        assert isinstance(stored, Trained)
        same = (
            {path: one.sha256 for path, one in found.items()} == result.digests
            if result.files
            else outcome.validations == stored.validations
        )
        if not same:
            digests = {path: one.sha256 for path, one in found.items()}
            self.contradict(result.step.id, outcome, digests, "made again")
            return False
        with explained(self.database.folder):
            folder = self._publish(staged)

            def work(connection: sa.Connection) -> bool:
                self.claims.update(connection, lease)
                table = tables.files
                connection.execute(
                    sa.delete(table).where(table.c.step_id == result.step.id)
                )
                self._insert_files(connection, result.step, found)
                connection.execute(
                    sa.update(tables.results)
                    .where(tables.results.c.step_id == result.step.id)
                    .values(folder=folder)
                )
                return True

            self._writing(work, folder)
        if result.folder is not None:
            self._drop(result.folder.name)
        return True

    def free(self, results: Sequence[Result]) -> None:
        """Remove the adapters of these results; they can be made again."""
        table = tables.files

        def work(connection: sa.Connection) -> None:
            for one in results:
                connection.execute(
                    sa.update(table)
                    .where(
                        table.c.step_id == one.step.id,
                        table.c.path.startswith(f"{ADAPTER}/"),
                    )
                    .values(is_freed=True)
                )

        self.database.writing(work)
        for one in results:
            shutil.rmtree(self._path(one, ADAPTER), ignore_errors=True)

    def forget(self, step_ids: Iterable[str]) -> None:
        """Remove results with their files, and all that looks at them, so that they are made
        again. Whoever works on them at this moment can write nothing more."""
        wanted, gone = list(step_ids), set[str]()
        folders: list[str] = []
        table = tables.results

        def work(connection: sa.Connection) -> None:
            gone.clear()
            folders.clear()
            gone.update(_closure(connection, wanted, table.c.of, table.c.step_id))
            # who works on a step has claimed it, or a step that it looks at
            units = _closure(connection, gone, table.c.step_id, table.c.of)
            self.claims.fence(connection, units)
            for part in in_parts(gone):
                asked = sa.select(table.c.folder).where(table.c.step_id.in_(part))
                folders.extend(connection.execute(asked).scalars())
                for one in (table, tables.files, tables.contradictions):
                    connection.execute(sa.delete(one).where(one.c.step_id.in_(part)))

        self.database.writing(work)
        for folder in folders:
            self._drop(folder)
        for step_id in gone:
            shutil.rmtree(
                self.database.folder / "checkpoints" / step_id, ignore_errors=True
            )

    def contradict(
        self,
        step_id: str,
        outcome: AnyOutcome,
        files: Mapping[str, str],
        origin: str,
    ) -> None:
        """Keep other numbers for a step beside its result; the same ones once, and never
        those that are the result's own."""

        def work(connection: sa.Connection) -> None:
            table = tables.results
            old = connection.execute(
                sa.select(table).where(table.c.step_id == step_id)
            ).first()
            if old is not None:
                self._compare(connection, old, outcome, files, origin)

        self.database.writing(work)

    # Inside

    def _publish(self, staged: Path) -> str:
        """Move a staged folder to where results have theirs; returns its name there. What is
        there already is never written over."""
        self.database.check_place()
        folder = self.database.folder / FILES / staged.name
        if folder.exists():
            step_id, _, _ = staged.name.partition("-")
            folder = folder.with_name(f"{step_id}-{self.new_token()}")
        publish(staged, folder)
        return folder.name

    def _writing(self, work: Callable[[sa.Connection], bool], folder: str) -> bool:
        """Do `work`; a published folder that is no result's afterwards is removed."""
        try:
            is_kept = self.database.writing(work)
        except BaseException:
            # A signal may come when all is written: then the folder is a result's.
            with suppress(StoreError):
                if not self._is_kept(folder):
                    self._drop(folder)
            raise
        if not is_kept:
            self._drop(folder)
        return is_kept

    def _is_kept(self, folder: str) -> bool:
        table = tables.results
        with self.database.reading() as connection:
            asked = sa.select(table.c.number).where(
                table.c.step_id == folder.partition("-")[0], table.c.folder == folder
            )
            return connection.execute(asked).first() is not None

    def _left_behind(self, connection: sa.Connection) -> list[Path]:
        table = tables.results
        asked = sa.select(table.c.folder).where(table.c.folder != "")
        known = set(connection.execute(asked).scalars())
        live = {str(row.token) for row in connection.execute(self.claims.live())}
        return [
            path
            for place in (FILES, STAGING)
            for path in sorted((self.database.folder / place).glob("*"))
            if path.name not in known and path.name.partition("-")[2] not in live
        ]

    def _insert(
        self,
        connection: sa.Connection,
        step: AnyStep,
        outcome: AnyOutcome,
        found: Mapping[str, FileFacts],
        folder: str,
        origin: str,
    ) -> bool:
        table = tables.results
        old = connection.execute(sa.select(table).where(table.c.step_id == step.id)).first()
        if old is not None:
            new = {path: one.sha256 for path, one in found.items()}
            self._compare(connection, old, outcome, new, origin)
            return False
        if isinstance(step, Grade) and not self._has(connection, step.predictions):
            raise StoreError(
                f"The answers {step.predictions[:12]} that were graded are not in "
                f"{self.database.folder}, or were forgotten: their grade is dropped. Run the "
                "same command again."
            )
        if folder and not (self.database.folder / FILES / folder).is_dir():
            raise StoreError(
                f"The files of {step.id[:12]} were removed from {self.database.folder} before "
                "they were its result. Run the same command again."
            )
        texts = step_text(step), outcome_text(outcome)
        connection.execute(
            sa.insert(table).values(
                step_id=step.id,
                kind=step.kind,
                of=looked_at(step),
                status=getattr(outcome, "status", "finished"),
                step=texts[0],
                outcome=texts[1],
                folder=folder,
                sha256=seal(*texts),
            )
        )
        self._insert_files(connection, step, found)
        return True

    def _has(self, connection: sa.Connection, step_id: str) -> bool:
        table = tables.results
        asked = sa.select(table.c.number).where(table.c.step_id == step_id)
        return connection.execute(asked).first() is not None

    def _insert_files(
        self, connection: sa.Connection, step: AnyStep, found: Mapping[str, FileFacts]
    ) -> None:
        rows = [
            {"step_id": step.id, "path": path, **vars(one)} for path, one in found.items()
        ]
        if rows:
            connection.execute(sa.insert(tables.files), rows)

    def _compare(
        self,
        connection: sa.Connection,
        old: Any,
        outcome: AnyOutcome,
        new: Mapping[str, str],
        origin: str,
    ) -> None:
        """Write down where `outcome` says other things than what is stored, and than what is
        known to contradict it."""
        kind = OUTCOMES[old.kind]
        stored = kind.model_validate_json(old.outcome)
        if not (isinstance(stored, Outcome) and isinstance(outcome, Outcome)):
            return  # costs are measured, and never twice alike
        if stored.status == "finished" and outcome.status != "finished":
            return  # that it failed elsewhere says nothing of the numbers
        table = tables.files
        rows = connection.execute(sa.select(table).where(table.c.step_id == old.step_id))
        digests = {row.path: row.sha256 for row in rows}
        both = digests.keys() & new.keys()
        if stored.numbers == outcome.numbers and all(digests[p] == new[p] for p in both):
            return
        table, listed = tables.contradictions, canonical_json(dict(new))
        for row in connection.execute(
            sa.select(table).where(table.c.step_id == old.step_id, table.c.files == listed)
        ):
            known = kind.model_validate_json(row.outcome)
            if isinstance(known, Outcome) and known.numbers == outcome.numbers:
                return
        connection.execute(
            sa.insert(table).values(
                step_id=old.step_id,
                origin=origin,
                outcome=outcome_text(outcome),
                files=listed,
            )
        )

    def _read(
        self,
        column: sa.Column[str] | None,
        ids: Iterable[str],
        *also: sa.ColumnElement[bool],
    ) -> dict[str, Result]:
        table = tables.results
        rows: list[Any] = []
        listed: list[Any] = []
        with self.database.reading() as connection:
            parts: Iterator[Any] = in_parts(ids) if column is not None else iter([None])
            for part in parts:
                asked = sa.select(table).where(*also)
                if column is not None:
                    asked = asked.where(column.in_(part))
                rows += connection.execute(asked).all()
            for part in in_parts(row.step_id for row in rows):
                listed += connection.execute(
                    sa.select(tables.files).where(tables.files.c.step_id.in_(part))
                ).all()
        files: dict[str, dict[str, FileFacts]] = {}
        for row in listed:
            one = FileFacts(row.sha256, row.bytes, row.is_freed)
            files.setdefault(row.step_id, {})[row.path] = one
        return {row.step_id: self._result(row, files.get(row.step_id, {})) for row in rows}

    def _result(self, row: Any, files: Mapping[str, FileFacts]) -> Result:
        where = f"The result {row.step_id[:12]} in {self.database.folder}"
        if row.sha256 != seal(row.step, row.outcome):
            raise StoreError(
                f"{where} was altered after it was written: its digest does not fit. Forget it "
                f"and make it again: `peftbench run ... --retry {row.step_id[:12]}`."
            )
        try:
            step = KINDS[row.kind].model_validate_json(row.step)
            outcome = OUTCOMES[row.kind].model_validate_json(row.outcome)
        except (KeyError, ValueError) as error:
            raise StoreError(f"{where} cannot be read: {error}") from error
        said = step.id, looked_at(step), getattr(outcome, "status", "finished")
        if said != (row.step_id, row.of, row.status):
            raise StoreError(
                f"{where} is filed under what is not its step's or outcome's (id "
                f"{step.id[:12]}, status {said[2]}): the database was edited. Restore it from "
                "a copy."
            )
        folder = self.database.folder / FILES / row.folder if row.folder else None
        return Result(row.number, step, outcome, files, folder)

    def _path(self, result: Result, name: str) -> Path:
        assert result.folder is not None, "a result with files has a folder"
        return result.folder / name

    def _drop(self, folder: str) -> None:
        if folder:
            shutil.rmtree(self.database.folder / FILES / folder, ignore_errors=True)


def looked_at(step: AnyStep) -> str:
    """Id of the step whose outcome this one takes, of a measurement the digest of its base;
    "" where there is none."""
    if isinstance(step, Grade):
        return step.predictions
    if isinstance(step, Predict):
        return step.adapter or ""
    if isinstance(step, Trial):
        return step.train.id
    if isinstance(step, Measure):
        return _base_key(step.base)
    return ""


def _base_key(base: Base) -> str:
    return digest(base.model_dump(mode="json"))


def _closure(
    connection: sa.Connection,
    ids: Iterable[str],
    known: sa.Column[str],
    further: sa.Column[str],
) -> set[str]:
    """These ids, and all that one column leads to from those in the other."""
    found = set(ids)
    new = found
    while new:
        rows = [
            connection.execute(sa.select(further).where(known.in_(part))).scalars()
            for part in in_parts(new)
        ]
        new = {one for row in rows for one in row if one} - found
        found |= new
    return found


def step_text(step: AnyStep) -> str:
    """A step as it is stored: what its id is made of."""
    return canonical_json(step.content)


def outcome_text(outcome: AnyOutcome) -> str:
    """What came of a step as it is stored."""
    return canonical_json(outcome.model_dump(mode="json"))


def seal(step: str, outcome: str) -> str:
    """Digest of a step and its outcome, as they are stored."""
    return hashlib.sha256(f"{step}\n{outcome}".encode()).hexdigest()
