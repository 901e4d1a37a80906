"""Results from one store into another, and what else there is to do with a store as a whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from peftbench.errors import StoreError
from peftbench.reading import file_text, json_value
from peftbench.spec.frozen import Frozen, canonical_json
from peftbench.spec.steps import KINDS, AnyStep
from peftbench.store._database import in_parts
from peftbench.store._files import FileFacts, explained, sha256
from peftbench.store._results import (
    FILES,
    Contradiction,
    Result,
    outcome_text,
    seal,
    step_text,
)
from peftbench.store._store import Store, StoredBenchmark
from peftbench.store.export import selected
from peftbench.store.outcomes import CIRCUMSTANCES, OUTCOMES, AnyOutcome
from peftbench.store.planned import PlannedCell

#: The list in a bundle: benchmarks, steps, outcomes, and the digests of all files.
BUNDLE = "bundle.json"
_LIST_BYTES = 1 << 30
_AGAIN = "Get the bundle again from where it was made."


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
        return sum(one.adapter_bytes for one in self.adapters) + sum(
            path.stat().st_size
            for folder in self.folders
            for path in folder.rglob("*")
            if path.is_file()
        )


class _Other(Frozen):
    """Other numbers for a step, in a bundle."""

    origin: str
    outcome: dict[str, object]
    files: Mapping[str, str]


class _Packed(Frozen):
    """A result in a bundle."""

    kind: str
    step: dict[str, object]
    outcome: dict[str, object]
    sha256: str
    """As in the database, over step and outcome."""
    files: Mapping[str, str] = {}
    """Digests of what lies in `files/<step id>/`."""
    freed: Mapping[str, FileFacts] = {}
    contradictions: tuple[_Other, ...] = ()


@dataclass(frozen=True)
class _Offer:
    """A result that is brought into a store."""

    step: AnyStep
    outcome: AnyOutcome
    files: Mapping[str, str]
    freed: Mapping[str, FileFacts]
    contradictions: Sequence[Contradiction]
    find: Callable[[str], Path | None]
    """The path of a file; raises `StoreError` where it is not what was written."""


class _Benchmark(Frozen):
    """A benchmark in a bundle."""

    name: str
    origin: str
    spec: dict[str, object]
    created_at: str
    cells: tuple[PlannedCell, ...]


class _Bundle(Frozen):
    """The list of a bundle."""

    format: Literal[1] = 1
    benchmarks: tuple[_Benchmark, ...]
    results: tuple[_Packed, ...]


def merge(target: Store, source: Store, names: Sequence[str] = ()) -> Transferred:
    """Bring the results of `source` (of the benchmarks of these names, or all) into `target`.

    Each step is taken once. Where both have one with other numbers, what `target` has stays,
    and the other is kept as a contradiction. A benchmark of the same name gets the cells
    of both.
    """
    chosen = _chosen(source, names)
    found = selected(source, chosen) if names else _everything(source)
    outcome = _take(target, _offered(source, found), str(source.folder))
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
    for part in in_parts(store.results.step_ids()):
        for step_id, result in _read(store, part):
            if isinstance(result, Fault):
                yield result
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
    for found in store.benchmarks():
        records = store.records(found.cells)
        asked = store.results.status(p.id for one in found.cells for p in one.predicts)
        for one in found.cells:
            record = records.get(one.cell.id)
            has_ended = record is not None and (
                record.status != "finished" or all(p.id in asked for p in one.predicts)
            )
            if one.cell.train and (found.spec.get("keep_adapters") or not has_ended):
                needed.add(one.cell.train.id)
    adapters = [
        one
        for one in store.results.of_kind("train")
        if one.has_adapter and one.step.id not in needed
    ]
    return Free(tuple(adapters), tuple(store.results.left_behind()))


def free(store: Store, found: Free) -> None:
    """Remove it."""
    store.results.free(found.adapters)
    store.results.sweep(found.folders)


def bundle(store: Store, folder: Path, names: Sequence[str] = ()) -> Path:
    """Write benchmarks with all their results, files and digests to a folder that `unbundle`
    reads; returns the path of its list."""
    chosen = _chosen(store, names)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        packed = [_pack(one, folder) for one in _offered(store, selected(store, chosen))]
        listed = _Bundle(
            benchmarks=tuple(_Benchmark(**vars(one)) for one in chosen),
            results=tuple(packed),
        )
        place = folder / BUNDLE
        place.write_text(listed.model_dump_json(indent=1), "utf-8")
    return place


def unbundle(target: Store, folder: Path) -> Transferred:
    """Bring a bundle into a store; raises `StoreError` for what is not as it was written."""
    try:
        text = file_text(folder / BUNDLE, within=folder, at_most=_LIST_BYTES)
        listed = _Bundle.model_validate(json_value(text))
        offers = [_unpack(one, folder) for one in listed.results]
        benchmarks = [StoredBenchmark(**dict(one)) for one in listed.benchmarks]
    except (OSError, LookupError, ValueError) as error:
        raise StoreError(
            f"{folder} is no bundle: {BUNDLE} in it cannot be read ({error}). `peftbench "
            "export --bundle` writes one."
        ) from error
    found = _take(target, offers, str(folder))
    for one in benchmarks:
        _join(target, one)
    return found


def _pack(one: _Offer, folder: Path) -> _Packed:
    """Write the files of a result into a bundle; returns its place in the list."""
    _copy(one, folder / FILES / one.step.id)
    texts = step_text(one.step), outcome_text(one.outcome)
    return _Packed(
        kind=one.step.kind,
        step=json.loads(texts[0]),
        outcome=json.loads(texts[1]),
        sha256=seal(*texts),
        files=one.files,
        freed=one.freed,
        contradictions=tuple(
            _Other(
                origin=other.origin,
                outcome=other.outcome.model_dump(mode="json"),
                files=other.files,
            )
            for other in one.contradictions
        ),
    )


def _unpack(one: _Packed, folder: Path) -> _Offer:
    kind = OUTCOMES[one.kind]
    if one.sha256 != seal(canonical_json(one.step), canonical_json(one.outcome)):
        raise StoreError(
            f"A result in the bundle {folder} is not as it was written: its digest does not "
            f"fit ({one.kind}, {canonical_json(one.step)[:80]}...). {_AGAIN}"
        )
    step = KINDS[one.kind].model_validate(one.step)
    place = folder / FILES / step.id
    for path in (*one.files, *one.freed):
        _below(place, path)

    def find(path: str) -> Path:
        file = _below(place, path)
        if not file.is_file():
            raise StoreError(
                f"The bundle {folder} lacks {path} of {step.id[:12]}. {_AGAIN}"
            )
        if sha256(file) != one.files[path]:
            raise StoreError(
                f"{file} is not as it was written: its digest does not fit. {_AGAIN}"
            )
        return file

    others = [
        Contradiction(
            step.id, other.origin, kind.model_validate(other.outcome), other.files
        )
        for other in one.contradictions
    ]
    outcome = kind.model_validate(one.outcome)
    return _Offer(step, outcome, one.files, one.freed, others, find)


def _offered(source: Store, found: Sequence[Result]) -> Iterator[_Offer]:
    """Results of a store, with what contradicts them there."""
    others: dict[str, list[Contradiction]] = {}
    for other in source.results.contradictions():
        others.setdefault(other.step_id, []).append(other)
    for one in found:
        yield _Offer(
            one.step,
            one.outcome,
            {path: file.sha256 for path, file in one.files.items() if not file.is_freed},
            {path: file for path, file in one.files.items() if file.is_freed},
            others.get(one.step.id, []),
            partial(source.results.file, one),
        )


def _take(target: Store, offers: Iterable[_Offer], origin: str) -> Transferred:
    added, known = 0, {}
    for one in offers:
        staged = None
        if one.files:
            staged = target.results.staging(one.step.id, target.results.new_token())
            try:
                _copy(one, staged)
            except BaseException:
                target.results.discard(staged)
                raise
        if target.results.commit(
            None, one.step, one.outcome, staged, freed=one.freed, origin=origin
        ):
            added += 1
        else:
            known[one.step.id] = one
        for other in one.contradictions:
            target.results.contradict(one.step.id, other.outcome, other.files, other.origin)
    contradicted = {
        other.step_id
        for other in target.results.contradictions(known)
        if outcome_text(other.outcome) == outcome_text(known[other.step_id].outcome)
        or other.origin == origin
    }
    return Transferred(
        added, len(known), tuple(one for one in known if one in contradicted)
    )


def _copy(one: _Offer, folder: Path) -> None:
    """Copy the files of a result to a folder."""
    for path in one.files:
        file, place = one.find(path), _below(folder, path)
        assert file is not None, "it is listed"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)


def _below(folder: Path, path: str) -> Path:
    """A path in a folder; raises `StoreError` where it leads out of it."""
    try:
        found = (folder / path).resolve()
        found.exists()
    except (OSError, ValueError) as error:  # too long, or with a zero byte
        raise StoreError(
            f"{path!r:.60} can be no file of a store: {error!s:.60}."
        ) from error
    if not found.is_relative_to(folder.resolve()):
        raise StoreError(f"{path} leads out of {folder}: no store has such a file.")
    return found


def _read(store: Store, ids: Sequence[str]) -> Iterator[tuple[str, Result | Fault]]:
    """Results by their ids; where one cannot be read, why."""
    try:
        yield from store.results.by_id(ids).items()
    except StoreError as error:
        if len(ids) == 1:
            yield ids[0], Fault(ids[0], str(error).splitlines()[0])
            return
        for one in ids:
            yield from _read(store, [one])


def _join(target: Store, one: StoredBenchmark) -> None:
    """The cells of both where both have a benchmark of this name."""
    old = target.benchmark(one.name)
    cells = {planned.cell.id: planned for planned in (old.cells if old else ())}
    for planned in one.cells:
        known = cells.get(planned.cell.id, planned)
        both = {
            name: tuple(dict.fromkeys((*getattr(known, name), *getattr(planned, name))))
            for name in ("further_tests", "perturbed")
        }
        cells[planned.cell.id] = known.model_copy(update=both)
    target.add_benchmark(
        one.name,
        origin=old.origin if old else one.origin,
        spec=old.spec if old else one.spec,
        cells=list(cells.values()),
        created_at=max(one.created_at, old.created_at if old else ""),
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
    found = store.results.by_id(store.results.step_ids())
    return sorted(found.values(), key=lambda result: result.number)
