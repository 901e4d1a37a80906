"""Results from one store into another, and what else there is to do with a store as a whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peftbench.errors import StoreError
from peftbench.spec.frozen import Frozen
from peftbench.spec.steps import KINDS
from peftbench.store._files import explained, sha256
from peftbench.store._results import ADAPTER, FILES, Contradiction, Result
from peftbench.store._store import Store, StoredBenchmark
from peftbench.store.export import selected
from peftbench.store.outcomes import CIRCUMSTANCES, OUTCOMES
from peftbench.store.planned import PlannedCell

#: The list in a bundle: benchmarks, steps, outcomes, and the digests of all files.
BUNDLE = "bundle.json"


@dataclass(frozen=True)
class Transferred:
    """What came into a store."""

    added: int
    known: int
    """Results that were there already."""
    contradictions: tuple[str, ...]
    """Steps of which both stores have results, with other numbers. What was there stays."""


@dataclass(frozen=True)
class Fault:
    """Something in a store that is not as it was written."""

    what: str
    """The step's id, or a file."""
    reason: str


@dataclass(frozen=True)
class Free:
    """What `gc` frees."""

    adapters: tuple[Result, ...]
    """That no unfinished cell needs, of benchmarks that do not keep them."""
    folders: tuple[Path, ...]
    """Of no result: left behind by kills."""

    @property
    def bytes(self) -> int:
        """All together."""
        own = sum(
            one.bytes
            for result in self.adapters
            for path, one in result.files.items()
            if path.startswith(f"{ADAPTER}/")
        )
        return own + sum(
            path.stat().st_size
            for folder in self.folders
            for path in folder.rglob("*")
            if path.is_file()
        )


class _Packed(Frozen):
    """A result in a bundle."""

    kind: str
    step: dict[str, object]
    outcome: dict[str, object]
    folder: str = ""
    files: Mapping[str, str] = {}


class _Bundle(Frozen):
    """The list of a bundle."""

    format: int = 1
    benchmarks: tuple[dict[str, object], ...]
    results: tuple[_Packed, ...]


def merge(target: Store, source: Store, names: Sequence[str] = ()) -> Transferred:
    """Bring the results of `source` (of the benchmarks of these names, or all) into `target`.

    Each step is taken once. Where both have one with other numbers, what `target` has stays,
    and the other is kept as a contradiction. A benchmark of the same name gets the cells
    of both.
    """
    chosen = _chosen(source, names)
    found = selected(source, chosen) if names else _everything(source)
    outcome = _take(target, found, str(source.folder))
    for one in chosen:
        _join(target, one)
    return outcome


def copy(source: Store, folder: Path, names: Sequence[str] = ()) -> Transferred:
    """A new store in `folder` with the results of `source`, or of some of its benchmarks."""
    if (folder / "store.sqlite").exists():
        raise StoreError(
            f"{folder} is a store already. `peftbench store merge` brings results into one."
        )
    with Store.open(folder) as target:
        return merge(target, source, names)


def check(store: Store) -> Iterator[Fault | Contradiction]:
    """Read all there is: every digest, every id, and what contradicts what."""
    for step_id in store.results.step_ids():
        try:
            result = store.results.by_id([step_id])[step_id]
        except (StoreError, ValueError) as error:
            yield Fault(step_id, str(error).splitlines()[0])
            continue
        for name, one in result.files.items():
            if not one.is_freed:
                try:
                    store.results.file(result, name)
                except StoreError as error:
                    yield Fault(step_id, str(error))
    yield from store.results.contradictions()


def differences(stored: Result, other: Contradiction) -> Iterator[str]:
    """Where two results of one step differ, field by field and file by file."""
    mine, theirs = (
        outcome.model_dump(mode="json", exclude=set(CIRCUMSTANCES))
        for outcome in (stored.outcome, other.outcome)
    )
    for name in mine:
        if mine[name] != theirs.get(name):
            yield f"{name}: {_short(mine[name])} here, {_short(theirs.get(name))} there"
    for path, digest in other.files.items():
        if path in stored.files and stored.files[path].sha256 != digest:
            yield f"{path}: {stored.files[path].sha256[:12]} here, {digest[:12]} there"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def to_free(store: Store) -> Free:
    """What nothing that is wanted needs: adapters of benchmarks that do not keep theirs, once
    all their cells have ended, and folders that belong to no result."""
    needed: set[str] = set()
    for name in store.benchmark_names():
        found = store.benchmark(name)
        assert found is not None
        records = store.records(found.cells)
        for one in found.cells:
            if one.cell.train and (
                found.spec.get("keep_adapters") or one.cell.id not in records
            ):
                needed.add(one.cell.train.id)
    adapters = [
        one
        for one in store.results.of_kind("train")
        if one.has_adapter and one.step.id not in needed
    ]
    known = set(store.results.folders())
    left = [
        path
        for path in (store.folder / FILES).glob("*")
        if path.is_dir() and path.name not in known
    ]
    return Free(tuple(adapters), tuple(left))


def free(store: Store, found: Free) -> None:
    """Remove it."""
    store.results.free(found.adapters)
    for folder in found.folders:
        shutil.rmtree(folder, ignore_errors=True)


def bundle(store: Store, folder: Path, names: Sequence[str] = ()) -> Path:
    """Write benchmarks with all their results, files and digests to a folder that `unbundle`
    reads; returns the path of its list."""
    chosen = _chosen(store, names)
    packed = []
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for one in selected(store, chosen):
            there = {p: f.sha256 for p, f in one.files.items() if not f.is_freed}
            place = one.step.id if there else ""
            for path in there:
                file = store.results.file(one, path)
                assert file is not None
                target = folder / FILES / place / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
            packed.append(
                _Packed(
                    kind=one.step.kind,
                    step=dict(one.step.content),
                    outcome=one.outcome.model_dump(mode="json"),
                    folder=place,
                    files=there,
                )
            )
        listed = _Bundle(
            benchmarks=tuple(_as_json(one) for one in chosen), results=tuple(packed)
        )
        place_of_list = folder / BUNDLE
        place_of_list.write_text(listed.model_dump_json(indent=1), "utf-8")
    return place_of_list


def unbundle(target: Store, folder: Path) -> Transferred:
    """Bring a bundle into a store; raises `StoreError` for a file that is not as it was."""
    try:
        listed = _Bundle.model_validate_json((folder / BUNDLE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{folder} is no bundle: {BUNDLE} in it cannot be read ({error}). `peftbench "
            "export --bundle` writes one."
        ) from error
    added, known, before = 0, 0, len(target.results.contradictions())
    for one in listed.results:
        step = KINDS[one.kind].model_validate(one.step)
        outcome = OUTCOMES[one.kind].model_validate(one.outcome)
        staged = None
        if one.files:
            staged = target.results.staging(step.id, target.results.new_token())
            for path, digest in one.files.items():
                source = (folder / FILES / one.folder / path).resolve()
                if not source.is_relative_to(folder.resolve()) or not source.is_file():
                    raise StoreError(f"The bundle {folder} lacks {path} of {step.id[:12]}.")
                if sha256(source) != digest:
                    raise StoreError(
                        f"{source} is not as it was written: its digest does not fit. Get the "
                        "bundle again from where it was made."
                    )
                place = staged / path
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, place)
        is_new = target.results.commit(
            None,
            step,
            outcome,
            staged,
            origin=str(folder),
        )
        added, known = added + is_new, known + (not is_new)
    for raw in listed.benchmarks:
        _join(target, _from_json(raw))
    contradictions = target.results.contradictions()[before:]
    return Transferred(added, known, tuple(one.step_id for one in contradictions))


def _take(target: Store, found: Sequence[Result], origin: str) -> Transferred:
    added, known, before = 0, 0, len(target.results.contradictions())
    for one in found:
        staged = None
        there = [path for path, file in one.files.items() if not file.is_freed]
        if there:
            staged = target.results.staging(one.step.id, target.results.new_token())
            for path in there:
                place = staged / path
                place.parent.mkdir(parents=True, exist_ok=True)
                assert one.folder is not None
                shutil.copyfile(one.folder / path, place)
        is_new = target.results.commit(None, one.step, one.outcome, staged, origin=origin)
        added, known = added + is_new, known + (not is_new)
    contradictions = target.results.contradictions()[before:]
    return Transferred(added, known, tuple(one.step_id for one in contradictions))


def _join(target: Store, one: StoredBenchmark) -> None:
    """The cells of both where both have a benchmark of this name."""
    old = target.benchmark(one.name)
    cells = {
        planned.cell.id: planned for planned in (*(old.cells if old else ()), *one.cells)
    }
    target.add_benchmark(
        one.name,
        origin=old.origin if old else one.origin,
        spec=old.spec if old else one.spec,
        cells=list(cells.values()),
    )


def _chosen(store: Store, names: Sequence[str]) -> list[StoredBenchmark]:
    known = store.benchmark_names()
    for name in names:
        if name not in known:
            raise StoreError(
                f"{store.folder} holds no benchmark called {name!r}; it has "
                f"{', '.join(known) or 'none'}."
            )
    found = (store.benchmark(name) for name in known if not names or name in names)
    return [one for one in found if one is not None]


def _everything(store: Store) -> list[Result]:
    """In the order of their commits: of several grades the newest is in force."""
    found = store.results.by_id(store.results.step_ids())
    return sorted(found.values(), key=lambda one: one.number)


def _as_json(one: StoredBenchmark) -> dict[str, object]:
    return {
        "name": one.name,
        "origin": one.origin,
        "spec": dict(one.spec),
        "created_at": one.created_at,
        "cells": [planned.model_dump(mode="json") for planned in one.cells],
    }


def _from_json(raw: dict[str, object]) -> StoredBenchmark:
    cells = json.loads(json.dumps(raw["cells"]))
    return StoredBenchmark(
        str(raw["name"]),
        str(raw["origin"]),
        dict(raw["spec"]),  # type: ignore[call-overload]
        str(raw["created_at"]),
        tuple(PlannedCell.model_validate(one) for one in cells),
    )
