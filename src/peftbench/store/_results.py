"""What came of steps, and its files: read, checked, written once, forgotten."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from peftbench.errors import StoreError
from peftbench.spec.frozen import canonical_json
from peftbench.spec.steps import KINDS, AnyStep, Grade, Predict
from peftbench.store import _tables as tables
from peftbench.store._claims import Claims, Lease, next_token
from peftbench.store._database import Database, in_parts
from peftbench.store._files import FileFacts, explained, facts_of, publish, sha256
from peftbench.store.outcomes import OUTCOMES, AnyOutcome, Outcome, Trained

FILES = "files"
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
        own = [one for path, one in self.files.items() if path.startswith(f"{ADAPTER}/")]
        return bool(own) and not any(one.is_freed for one in own)

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

    def folders(self) -> list[str]:
        """Names of the folders that results have."""
        table = tables.results
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(table.c.folder).where(table.c.folder != ""))
            return list(rows.scalars())

    def new_token(self) -> int:
        """A token for who stages files without a lease."""
        return self.database.writing(next_token)

    def file(self, result: Result, name: str) -> Path | None:
        """The path of a file; None where the step has none of this name. Raises `StoreError`
        if it is not what was written."""
        known = result.files.get(name)
        if known is None:
            return None
        path = self._path(result, name)
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
        folder = self.database.folder / "staging" / f"{step_id}-{token}"
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
        origin: str = "this store",
    ) -> bool:
        """Make a result of it: files first, then the row, only if the lease is ours.

        What is there already is never written over: equal numbers are dropped, and others are
        kept beside them as a contradiction. Returns whether it is the result now. Without a
        lease, as for imports and merges, the first to come wins.
        """
        folder, found = "", {}
        with explained(self.database.folder):
            if staged is not None:
                found = facts_of(staged)
                folder = staged.name
                publish(staged, self.database.folder / FILES / folder)

            def work(connection: sa.Connection) -> bool:
                if lease is not None:
                    self.claims.update(connection, lease, crashes=0)
                return self._insert(connection, step, outcome, found, folder, origin)

            try:
                is_new = self.database.writing(work)
            except BaseException:
                self._drop(folder)
                raise
        if not is_new:
            self._drop(folder)
        return is_new

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
            self._contradict(result, "made again", outcome, found)
            return False
        table, own = tables.files, tables.files.c.step_id == result.step.id
        with explained(self.database.folder):
            publish(staged, self.database.folder / FILES / staged.name)

            def work(connection: sa.Connection) -> None:
                self.claims.update(connection, lease)
                connection.execute(sa.delete(table).where(own))
                self._insert_files(connection, result.step, found)
                connection.execute(
                    sa.update(tables.results)
                    .where(tables.results.c.step_id == result.step.id)
                    .values(folder=staged.name)
                )

            self.database.writing(work)
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
        wanted = set(step_ids)
        for of in list(wanted):
            wanted |= self._lookers(of)
        folders: list[str] = []

        def work(connection: sa.Connection) -> None:
            folders.clear()
            table = tables.results
            for step_id in sorted(wanted):
                self.claims.fence(connection, step_id)
                folders.extend(
                    connection.execute(
                        sa.select(table.c.folder).where(table.c.step_id == step_id)
                    ).scalars()
                )
                for one in (table, tables.files, tables.contradictions):
                    connection.execute(sa.delete(one).where(one.c.step_id == step_id))

        self.database.writing(work)
        for folder in folders:
            self._drop(folder)
        for step_id in wanted:
            shutil.rmtree(
                self.database.folder / "checkpoints" / step_id, ignore_errors=True
            )

    def contradict(
        self, step_id: str, outcome: AnyOutcome, files: Mapping[str, str], origin: str
    ) -> None:
        """Keep other numbers for a step beside its result; the same ones once."""
        text, listed = (
            canonical_json(outcome.model_dump(mode="json")),
            json.dumps(dict(files)),
        )
        table = tables.contradictions

        def work(connection: sa.Connection) -> None:
            known = connection.execute(
                sa.select(table.c.number).where(
                    table.c.step_id == step_id,
                    table.c.outcome == text,
                    table.c.files == listed,
                )
            ).first()
            if known is None:
                connection.execute(
                    sa.insert(table).values(
                        step_id=step_id, origin=origin, outcome=text, files=listed
                    )
                )

        self.database.writing(work)

    # Inside

    def _contradict(
        self,
        result: Result,
        origin: str,
        outcome: AnyOutcome,
        found: Mapping[str, FileFacts],
    ) -> None:
        digests = {path: one.sha256 for path, one in found.items()}
        self.contradict(result.step.id, outcome, digests, origin)

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
            self._compare(connection, old, outcome, found, origin)
            return False
        texts = step_text(step), canonical_json(outcome.model_dump(mode="json"))
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
        found: Mapping[str, FileFacts],
        origin: str,
    ) -> None:
        """Write down where `outcome` says other things than what is stored."""
        stored = OUTCOMES[old.kind].model_validate_json(old.outcome)
        if not (isinstance(stored, Outcome) and isinstance(outcome, Outcome)):
            return  # costs are measured, and never twice alike
        table = tables.files
        rows = connection.execute(sa.select(table).where(table.c.step_id == old.step_id))
        digests = {row.path: row.sha256 for row in rows}
        new = {path: one.sha256 for path, one in found.items()}
        both = digests.keys() & new.keys()
        if stored.numbers == outcome.numbers and all(digests[p] == new[p] for p in both):
            return
        if stored.status == "finished" and outcome.status != "finished":
            return  # that it failed elsewhere says nothing of the numbers
        connection.execute(
            sa.insert(tables.contradictions).values(
                step_id=old.step_id,
                origin=origin,
                outcome=canonical_json(outcome.model_dump(mode="json")),
                files=json.dumps(new),
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
        if row.sha256 != seal(row.step, row.outcome):
            raise StoreError(
                f"The result {row.step_id[:12]} in {self.database.folder} was altered after it "
                "was written: its digest does not fit. Forget it and make it again: "
                f"`peftbench run ... --retry {row.step_id[:12]}`."
            )
        step = KINDS[row.kind].model_validate_json(row.step)
        if step.id != row.step_id:
            raise StoreError(
                f"The result {row.step_id[:12]} in {self.database.folder} is filed under an id "
                f"that is not its step's ({step.id[:12]}): the database was edited."
            )
        outcome = OUTCOMES[row.kind].model_validate_json(row.outcome)
        folder = self.database.folder / FILES / row.folder if row.folder else None
        return Result(row.number, step, outcome, files, folder)

    def _lookers(self, step_id: str) -> set[str]:
        table = tables.results
        with self.database.reading() as connection:
            found = set(
                connection.execute(
                    sa.select(table.c.step_id).where(table.c.of == step_id)
                ).scalars()
            )
        return found.union(*(self._lookers(one) for one in found))

    def _path(self, result: Result, name: str) -> Path:
        assert result.folder is not None, "a result with files has a folder"
        return result.folder / name

    def _drop(self, folder: str) -> None:
        if folder:
            shutil.rmtree(self.database.folder / FILES / folder, ignore_errors=True)


def looked_at(step: AnyStep) -> str:
    """Id of the step whose outcome this one takes; "" where it takes none."""
    if isinstance(step, Grade):
        return step.predictions
    if isinstance(step, Predict):
        return step.adapter or ""
    return ""


def step_text(step: AnyStep) -> str:
    """A step as it is stored: what its id is made of."""
    return canonical_json(step.content)


def seal(step: str, outcome: str) -> str:
    """Digest of a step and its outcome, as they are stored."""
    return hashlib.sha256(f"{step}\n{outcome}".encode()).hexdigest()
