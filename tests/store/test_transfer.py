"""Stores as a whole: merged, copied, checked, bundled, swept. No number is ever changed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from peftbench import reading
from peftbench.errors import StoreError
from peftbench.evaluation.rows import Mark
from peftbench.spec import TestSet
from peftbench.spec.frozen import canonical_json
from peftbench.store import ADAPTER, Contradiction, PlannedCell, Store
from peftbench.store._results import seal
from peftbench.store._rows import read_marks, write_marks
from peftbench.store.transfer import (
    BUNDLE,
    Fault,
    bundle,
    check,
    copy,
    differences,
    free,
    merge,
    to_free,
    unbundle,
)
from peftbench.testing import results as made

HANS = TestSet(name="hans", version=1, data="sha256:1")
Opener = Callable[..., Store]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Makes a store with these cells, done, in a benchmark."""
    stores = []

    def make(name: str, *cells: PlannedCell, value: float = 0.5, **spec: Any) -> Store:
        store = Store.open(tmp_path / name)
        stores.append(store)
        for one in cells:
            made.commit(store, one, value)
        if cells:
            benchmark = spec.pop("name", "b")
            store.add_benchmark(benchmark, origin="o", spec=spec, cells=cells)
        return store

    yield make
    for store in stores:
        store.close()


def content(store: Store) -> dict[str, object]:
    """All that a store says, but for the order in which it came."""
    results = store.results.by_id(store.results.step_ids())
    return {
        "results": {
            step_id: (
                one.step,
                one.outcome,
                one.files,
                {
                    p: store.results.file(one, p).read_bytes()
                    for p, f in one.files.items()
                    if not f.is_freed
                },  # type: ignore[union-attr]
            )
            for step_id, one in results.items()
        },
        "benchmarks": {
            one.name: (one.spec, one.created_at, {p.cell.id: p for p in one.cells})
            for one in store.benchmarks()
        },
        "contradictions": sorted(
            (one.step_id, one.outcome.model_dump_json(), json.dumps(one.files))
            for one in store.results.contradictions()
        ),
    }


def edit(store: Store, statement: str) -> None:
    with closing(sqlite3.connect(store.folder / "store.sqlite")) as connection, connection:
        assert connection.execute(statement).rowcount


def file_of(store: Store, step_id: str, name: str) -> Path:
    path = store.results.file(store.results.by_id([step_id])[step_id], name)
    assert path is not None
    return path


# Merge


def test_merged_store_has_the_results_of_both_in_either_order(opened: Opener) -> None:
    shared, left, right = (made.planned(seed) for seed in (1, 2, 3))
    a, b = opened("a", shared, left), opened("b", shared, right)
    cost = made.cost(shared)
    b.results.commit(None, cost.step, cost)
    first, second = opened("ab"), opened("ba")
    for target, sources in ((first, (a, b)), (second, (b, a))):
        for source in sources:
            found = merge(target, source)
            assert not found.contradictions
        assert [*target.records([shared, left, right])] == [
            one.cell.id for one in (shared, left, right)
        ]
        assert not list(check(target))
    assert content(first) == content(second)
    assert len(first.results.step_ids()) == 10
    assert not first.results.left_behind()


def test_merging_again_changes_nothing(opened: Opener) -> None:
    a, b, target = (
        opened("a", made.planned(1)),
        opened("b", made.planned(1), value=0.75),
        opened("t"),
    )
    merge(target, a)
    first = merge(target, b)
    before = content(target)
    for source in (a, b, a, b):
        found = merge(target, source)
        assert (found.added, found.known) == (0, 3)
    assert found == first, "what contradicts is told each time"
    assert content(target) == before
    assert not target.results.left_behind()


def test_other_numbers_are_shown_and_what_was_there_stays(opened: Opener) -> None:
    cell = made.planned()
    a, b = opened("a", cell), opened("b", cell, value=0.75)
    before = content(a)
    found = merge(a, b)
    train, _, grade = made.work(cell).step_ids
    assert (found.added, found.known) == (0, 3)
    assert set(found.contradictions) == {train, grade}
    after = content(a)
    assert (after["results"], after["benchmarks"]) == (
        before["results"],
        before["benchmarks"],
    )
    [other] = a.results.contradictions([grade])
    assert other.origin == str(b.folder)
    [line] = differences(a.results.by_id([grade])[grade], other)
    assert line.startswith("scores: ")
    assert "0.5" in line
    assert "0.75" in line
    [other] = a.results.contradictions([train])
    lines = list(differences(a.results.by_id([train])[train], other))
    assert any(line.startswith(f"{ADAPTER}/adapter_model.safetensors: ") for line in lines)
    assert {type(one) for one in check(a)} == {Contradiction}
    merge(b, a)
    assert {one.step_id for one in b.results.contradictions()} == {train, grade}
    merge(a, b)
    assert content(a) == after, "its own numbers that come back contradict nothing"


def test_contradictions_travel_with_their_results(opened: Opener, tmp_path: Path) -> None:
    cell = made.planned()
    a, b = opened("a", cell), opened("b", cell, value=0.75)
    merge(a, b)
    bundle(a, tmp_path / "bundle")
    copy(a, tmp_path / "copy")
    c, d = opened("copy"), opened("unbundled")
    unbundle(d, tmp_path / "bundle")
    assert len(content(a)["contradictions"]) == 2  # type: ignore[arg-type]
    assert content(c) == content(a)
    assert content(d) == content(a)


def test_failure_elsewhere_contradicts_nothing(opened: Opener) -> None:
    cell = made.planned()
    a, b = opened("a", cell), opened("b")
    train = cell.cell.train
    assert train is not None
    b.results.commit(None, train, made.trained(status="oom", error="too large"))
    assert not merge(a, b).contradictions
    assert a.results.status([train.id]) == {train.id: "finished"}
    found = merge(b, a)
    assert found.contradictions == (train.id,), "what is there stays, and it is told"
    assert b.results.status([train.id]) == {train.id: "oom"}


def test_benchmarks_of_one_name_are_joined(opened: Opener) -> None:
    plain, robust = made.planned(1), made.planned(1, perturbed=(HANS,))
    a = opened("a", plain, x=1)
    b = opened("b", robust, made.planned(2), x=2)
    merge(a, b)
    joined = a.benchmark("b")
    assert joined is not None
    assert joined.spec == {"x": 1}
    assert [one.cell.id for one in joined.cells] == [
        one.cell.id for one in (plain, made.planned(2))
    ]
    record = a.record(joined.cells[0])
    assert record is not None
    assert [one.test_set for one in record.evaluations] == [HANS]


def test_only_the_benchmarks_that_are_named_are_taken(opened: Opener) -> None:
    a = opened("a", made.planned(1))
    a.add_benchmark("other", origin="o", spec={}, cells=[made.planned(2)])
    made.commit(a, made.planned(2))
    for one in (made.cost(made.planned(1)), made.cost(made.planned(model="else"))):
        a.results.commit(None, one.step, one)
    target = opened("t")
    assert merge(target, a, ["other"]).added == 4
    assert target.benchmark_names() == ["other"]
    assert target.record(made.planned(1)) is None
    assert target.record(made.planned(2)) is not None
    [cost] = target.results.of_kind("measure")
    assert cost.outcome == made.cost(made.planned(1))
    with pytest.raises(StoreError, match=r"no benchmark called 'x'; it has b, other"):
        merge(target, a, ["x"])


def test_altered_file_is_not_taken_over(opened: Opener) -> None:
    cell = made.planned()
    a, target = opened("a", cell), opened("t")
    path = file_of(a, cell.cell.id, "predictions.parquet")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StoreError, match=r"altered.*--retry"):
        merge(target, a)
    assert cell.cell.id not in target.results.step_ids()
    assert not target.results.left_behind()


def test_freed_adapter_stays_known_by_its_digests(opened: Opener, tmp_path: Path) -> None:
    """So that it is the same adapter or a contradiction when it is made again."""
    cell = made.planned()
    a = opened("a", cell)
    train = made.work(cell).unit
    a.results.free([a.results.by_id([train])[train]])
    bundle(a, tmp_path / "bundle")
    copy(a, tmp_path / "copy")
    unbundled = opened("unbundled")
    unbundle(unbundled, tmp_path / "bundle")
    for store in (opened("copy"), unbundled):
        assert content(store) == content(a)
        result = store.results.by_id([train])[train]
        assert not result.has_adapter
        with pytest.raises(StoreError, match="was freed"):
            store.results.file(result, f"{ADAPTER}/adapter_config.json")
        queue = store.queue("r")
        queue.open()
        queue.want([made.work(cell)])
        claimed = queue.claim("me", lease_seconds=60)
        assert claimed is not None
        staged = store.results.staging(train, claimed.lease.token)
        made.write_adapter(staged, f"{cell.name} 0.5")
        assert store.results.restore(claimed.lease, result, staged, made.trained())
        assert store.results.by_id([train])[train].has_adapter


def test_copy_is_a_store_of_its_own(opened: Opener, tmp_path: Path) -> None:
    a = opened("a", made.planned(1), made.planned(2))
    assert copy(a, tmp_path / "copy").added == 6
    shutil.rmtree(tmp_path / "a")
    with Store.open(tmp_path / "copy", create=False) as copied:
        assert not list(check(copied))
        assert len(copied.records([made.planned(1), made.planned(2)])) == 2
        with pytest.raises(StoreError, match=r"is a store already.*store merge"):
            copy(copied, tmp_path / "copy")


# Check


def test_check_finds_nothing_in_a_store_as_it_was_written(opened: Opener) -> None:
    assert not list(check(opened("a", *(made.planned(seed) for seed in range(5)))))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "altered"),
        (lambda path: path.unlink(), "missing"),
        (lambda path: shutil.rmtree(path.parent), "missing"),
    ],
)
def test_check_finds_every_file_that_is_not_as_it_was(
    opened: Opener, damage: Callable[[Path], object], reason: str
) -> None:
    cell = made.planned()
    a = opened("a", cell, made.planned(2))
    train, predict, grade = made.work(cell).step_ids
    for step_id, name in (
        (train, f"{ADAPTER}/adapter_model.safetensors"),
        (predict, "predictions.parquet"),
        (grade, "marks.parquet"),
    ):
        damage(file_of(a, step_id, name))
    found = list(check(a))
    assert {one.what for one in found if isinstance(one, Fault)} == {train, predict, grade}
    assert all(reason in one.reason for one in found if isinstance(one, Fault))


def test_check_finds_edited_rows_and_reads_on(opened: Opener) -> None:
    a = opened("a", *(made.planned(seed) for seed in range(3)))
    edit(a, "update results set outcome = replace(outcome, '0.5', '0.9') where number = 3")
    edit(a, f"update results set step_id = '{'0' * 64}' where number = 5")
    file = file_of(a, made.planned(2).cell.id, "predictions.parquet")
    file.unlink()
    found = list(check(a))
    assert all(isinstance(one, Fault) for one in found)
    said = {one.what: one.reason for one in found if isinstance(one, Fault)}
    assert "digest does not fit" in said[made.work(made.planned(0)).step_ids[2]]
    assert "filed under" in said["0" * 64]
    assert "missing" in said[made.planned(2).cell.id]
    assert len(found) == 3


def test_freed_adapter_is_no_fault(opened: Opener) -> None:
    a = opened("a", made.planned())
    a.results.free(a.results.of_kind("train"))
    assert not list(check(a))


# Bundles


def test_bundle_comes_back_byte_for_byte(opened: Opener, tmp_path: Path) -> None:
    cells = [made.planned(1, perturbed=(HANS,)), made.planned(2)]
    a = opened("a", *cells)
    cost = made.cost(cells[0])
    a.results.commit(None, cost.step, cost)
    a.results.commit(None, made.grade(cells[0].cell.predict(), "2"), made.graded(0.6))
    place = bundle(a, tmp_path / "first")
    assert place == tmp_path / "first" / BUNDLE
    target = opened("t")
    assert unbundle(target, tmp_path / "first").added == 10
    assert content(target) == content(a)
    again = unbundle(target, tmp_path / "first")
    assert (again.added, again.known, again.contradictions) == (0, 10, ())
    bundle(target, tmp_path / "second")
    one, other = (
        {
            p.relative_to(tmp_path / name): p.read_bytes()
            for p in (tmp_path / name).rglob("*")
            if p.is_file()
        }
        for name in ("first", "second")
    )
    assert one.keys() == other.keys()
    assert one == other
    assert not list(check(target))


def test_bundle_of_one_benchmark_has_that_alone(opened: Opener, tmp_path: Path) -> None:
    a = opened("a", made.planned(1))
    made.commit(a, made.planned(2))
    a.add_benchmark("other", origin="o", spec={}, cells=[made.planned(2)])
    bundle(a, tmp_path / "bundle", ["other"])
    target = opened("t")
    assert unbundle(target, tmp_path / "bundle").added == 3
    assert target.benchmark_names() == ["other"]


def listed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the list of a bundle."""
    place = folder / BUNDLE
    found = json.loads(place.read_text())
    change(found)
    place.write_text(json.dumps(found))


def odd(folder: Path, name: str, value: object) -> None:
    """Put an odd value into the first outcome of a bundle, under a digest that fits."""

    def change(found: dict[str, Any]) -> None:
        one = found["results"][0]
        one["outcome"][name] = value
        with suppress(ValueError):
            one["sha256"] = seal(*map(canonical_json, (one["step"], one["outcome"])))

    listed(folder, change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / BUNDLE).unlink(), "is no bundle.*--bundle"),
        (lambda f: (f / BUNDLE).write_text("{"), "is no bundle.*--bundle"),
        (lambda f: listed(f, lambda b: b["results"][0].update(kind="x")), "is no bundle"),
        (lambda f: listed(f, lambda b: b.update(format=2)), "is no bundle"),
        (lambda f: listed(f, lambda b: b["benchmarks"][0].pop("cells")), "is no bundle"),
        (
            lambda f: next(f.rglob("predictions.parquet")).write_bytes(b"x"),
            "not as it was written.*digest.*Get the bundle again",
        ),
        (lambda f: next(f.rglob("marks.parquet")).unlink(), "lacks marks.parquet"),
        (
            lambda f: listed(f, lambda b: b["results"][0]["outcome"].update(steps=9)),
            "not as it was written.*digest",
        ),
        (
            lambda f: listed(f, lambda b: b["results"][0]["step"].update(seed=9)),
            "not as it was written.*digest",
        ),
        (lambda f: shutil.rmtree(f / "files"), "lacks"),
        (
            lambda f: (
                (f / BUNDLE).rename(f.parent / "out")
                and (f / BUNDLE).symlink_to(f.parent / "out")
            ),
            "is a link that leads out of",
        ),
        (lambda f: (f / BUNDLE).unlink() or os.mkfifo(f / BUNDLE), "no regular file"),
        (lambda f: (f / BUNDLE).write_text("[" * 5000), "nested too deep"),
        (lambda f: odd(f, "seconds", {"train": -1}), "greater than or equal to 0"),
        (lambda f: odd(f, "seconds", {"train": float("nan")}), "NaN is no number"),
        (lambda f: odd(f, "stored_bytes", 10**30), "less than 9223372036854775808"),
        (lambda f: odd(f, "error", "\ud800"), "half of a character"),
        (
            lambda f: listed(f, lambda b: b["results"][0]["files"].update({"\0": "x"})),
            "no file",
        ),
        (
            lambda f: listed(
                f, lambda b: b["results"][0]["files"].update({"x" * 999: "x"})
            ),
            "can be no file of a store: .*File name too long",
        ),
    ],
)
def test_bundle_that_is_not_as_it_was_written_is_refused(
    opened: Opener, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    bundle(opened("a", made.planned()), tmp_path / "bundle")
    damage(tmp_path / "bundle")
    target = opened("t")
    with pytest.raises(StoreError, match=f"(?s){message}"):
        unbundle(target, tmp_path / "bundle")
    assert target.benchmark_names() == []
    assert not target.results.left_behind()
    assert not list(check(target))


@pytest.mark.parametrize(
    "path", ["../../store.sqlite", "../../../outside", "/etc/hostname"]
)
def test_bundle_reads_and_writes_nothing_outside(
    opened: Opener, tmp_path: Path, path: str
) -> None:
    folder = tmp_path / "bundle"
    bundle(opened("a", made.planned()), folder)
    for place in (folder / "store.sqlite", tmp_path / "outside"):
        place.write_text("evil")
    target = opened("t")
    before = content(target)

    def lead_out(found: dict[str, Any]) -> None:
        files = found["results"][0]["files"]
        files[path] = next(iter(files.values()))

    listed(folder, lead_out)
    with pytest.raises(StoreError, match="leads out of"):
        unbundle(target, folder)
    assert content(target) == before
    assert (tmp_path / "outside").read_text() == "evil"


def test_link_in_a_bundle_is_not_followed_out_of_it(opened: Opener, tmp_path: Path) -> None:
    bundle(opened("a", made.planned()), tmp_path / "bundle")
    file = next((tmp_path / "bundle").rglob("marks.parquet"))
    secret = tmp_path / "secret"
    file.rename(secret)
    file.symlink_to(secret)
    with pytest.raises(StoreError, match="leads out of"):
        unbundle(opened("t"), tmp_path / "bundle")


def test_rows_that_fill_the_memory_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle may hold them, under a digest that fits."""
    monkeypatch.setattr(reading, "_UNPACKED_BYTES", 1_000_000)
    rows = [Mark(answer="x" * 1000, score=1.0)] * 5000
    write_marks(tmp_path, rows)
    with pytest.raises(StoreError, match="holds 100 times its own size and more"):
        read_marks(tmp_path / "marks.parquet")
    write_marks(tmp_path, rows[:500])
    assert read_marks(tmp_path / "marks.parquet") == rows[:500]
    write_marks(tmp_path, [])
    assert read_marks(tmp_path / "marks.parquet") == []


# What can be freed


def test_gc_says_what_it_frees_and_frees_that_alone(opened: Opener) -> None:
    done = [made.planned(1), made.planned(2)]
    a = opened("a", *done)
    weights = list(a.results.of_kind("train"))
    left = a.results.staging("0" * 64, a.results.new_token())
    (left / "file").write_bytes(b"x" * 1000)
    gone = a.folder / "files" / f"{'1' * 64}-99"
    gone.mkdir()
    (gone / "file").write_bytes(b"x" * 500)
    found = to_free(a)
    assert [one.step.id for one in found.adapters] == [one.step.id for one in weights]
    assert set(found.folders) == {left, gone}
    own = sum(file.bytes for one in weights for file in one.files.values())
    assert found.bytes == own + 1500
    before = a.records(done)
    free(a, found)
    assert not left.exists()
    assert not gone.exists()
    for one in a.results.of_kind("train"):
        assert not one.has_adapter
        assert one.folder is not None
        assert not (one.folder / ADAPTER).exists()
    after = a.records(done)
    assert {
        i: one.model_copy(update={"has_adapter": True}) for i, one in after.items()
    } == before
    assert all(a.predictions(one.cell.id) is not None for one in done)
    assert not list(check(a))
    again = to_free(a)
    assert (again.adapters, again.folders, again.bytes) == ((), (), 0)


def test_adapters_of_benchmarks_that_keep_theirs_stay(opened: Opener) -> None:
    kept, other = made.planned(1), made.planned(2)
    a = opened("a", kept, other)
    a.add_benchmark("keeps", origin="o", spec={"keep_adapters": True}, cells=[kept])
    [found] = to_free(a).adapters
    assert found.step == other.cell.train


def test_adapters_of_cells_that_have_not_ended_stay(opened: Opener) -> None:
    robust, running, done = (
        made.planned(1, perturbed=(HANS,)),
        made.planned(2),
        made.planned(3),
    )
    a = opened("a", made.planned(1), done)
    train = running.cell.train
    assert train is not None
    staged = a.results.staging(train.id, a.results.new_token())
    made.write_adapter(staged, "weights")
    a.results.commit(None, train, made.trained(), staged)
    a.add_benchmark("b", origin="o", spec={}, cells=[robust, running, done])
    [found] = to_free(a).adapters
    assert found.step == done.cell.train


def test_folders_of_who_is_at_work_stay(opened: Opener) -> None:
    a = opened("a", made.planned(1))
    queue = a.queue("r")
    queue.open()
    queue.want([made.work(made.planned(2))])
    claimed = queue.claim("me", lease_seconds=60)
    assert claimed is not None
    step, outcome, staged = next(made.made(a, made.planned(2), token=claimed.lease.token))
    assert not to_free(a).folders
    free(a, to_free(a))
    assert a.results.commit(claimed.lease, step, outcome, staged)
    assert not list(check(a))


def test_adapters_of_trials_that_no_cell_uses_go(opened: Opener) -> None:
    a = opened("a", made.planned(1))
    a.add_benchmark("b", origin="o", spec={"keep_adapters": True}, cells=[made.planned(1)])
    trial = made.planned(1, label="other settings").cell.train
    assert trial is not None
    staged = a.results.staging(trial.id, a.results.new_token())
    made.write_adapter(staged, "weights")
    a.results.commit(None, trial, made.trained(), staged)
    [found] = to_free(a).adapters
    assert found.step == trial
