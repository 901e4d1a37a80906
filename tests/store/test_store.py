"""The store: written once, whole, by one worker at a time."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from peftbench.errors import StoreError
from peftbench.evaluation.scores import Score
from peftbench.manifest import Manifest
from peftbench.spec import Cell, CellMethod, CellModel, CellTask, Limits
from peftbench.store import (
    Lease,
    LeaseLost,
    PlannedCell,
    Prediction,
    Record,
    Store,
    Worker,
    write_predictions,
)
from peftbench.store import _files as files

LEASE = 60.0


def cell(task: str = "sst2", seed: int = 1) -> Cell:
    return Cell(
        model=CellModel(name="tiny", identity="sha256:0", dtype="auto", chat_template=True),
        method=CellMethod(name="lora", parameters={"rank": 8}),
        task=CellTask(name=task, version=1, data="generated v1"),
        seed=seed,
        training=None,
        max_length=128,
        limits=Limits(),
        protocol="strict",
    )


def record(of: Cell, value: float = 0.5, **changes: Any) -> Record:
    manifest = Manifest(
        started_at="t", finished_at="t", host="h", platform="p", device="cpu", threads=1,
        packages={}, git_commit=None, git_dirty=None, initial_adapter_sha256=None,
        chat_template=False,
    )  # fmt: skip
    score = Score(
        metric="accuracy",
        value=value,
        standard_error=None,
        examples=2,
        unit="fraction correct",
        better="higher",
    )
    return Record(cell=of, status="finished", manifest=manifest, scores=(score,), **changes)


def predictions() -> list[Prediction]:
    return [
        Prediction(
            row=0, prompt_sha256="x", prompt="p", output="yes", answer="yes", target="yes",
            score=1.0, likelihood_answer="yes", label_log_likelihoods=(-0.1, -2.0),
        )
    ]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def commit(store: Store, of: Cell, value: float = 0.5) -> None:
    lease = store.claim([of.id], Worker.here(), lease_seconds=LEASE)
    assert lease is not None
    staging = store.staging(lease)
    write_predictions(staging / "predictions.parquet", predictions())
    store.commit(lease, record(of, value), staging)


def test_committed_record_comes_back_as_it_was(store: Store) -> None:
    commit(store, cell(), 0.25)
    found = Store.open(store.folder, create=False).records()
    assert found == {cell().id: record(cell(), 0.25)}
    table = store.predictions(cell().id)
    assert table is not None
    assert table.column("output").to_pylist() == ["yes"]


def test_finished_cell_is_never_claimed_again(store: Store) -> None:
    commit(store, cell())
    assert store.claim([cell().id], Worker.here(), lease_seconds=LEASE) is None


def test_result_cannot_be_written_twice(store: Store) -> None:
    commit(store, cell(), 0.25)
    with sqlite3.connect(store.folder / "store.sqlite") as connection:
        token = connection.execute("select token from claims").fetchone()[0]
    with pytest.raises(Exception, match="UNIQUE"):
        store.commit(Lease(cell().id, token, 0), record(cell(), 0.75))
    assert store.records()[cell().id].scores[0].value == 0.25


def test_held_cell_is_not_claimed_by_another(store: Store) -> None:
    ids = [cell(seed=1).id, cell(seed=2).id]
    first = store.claim(ids, Worker.here(), lease_seconds=LEASE)
    second = store.claim(ids, Worker.here(), lease_seconds=LEASE)
    assert first is not None
    assert second is not None
    assert {first.cell_id, second.cell_id} == set(ids)
    assert store.claim(ids, Worker.here(), lease_seconds=LEASE) is None
    assert store.is_held(ids)


def test_expired_lease_is_taken_over_and_its_holder_fenced_out(store: Store) -> None:
    slow = store.claim([cell().id], Worker.here(), lease_seconds=0.01)
    assert slow is not None
    time.sleep(0.02)
    quick = store.claim([cell().id], Worker.here(), lease_seconds=LEASE)
    assert quick is not None
    with pytest.raises(LeaseLost, match="taken over"):
        store.heartbeat(slow, lease_seconds=LEASE)
    with pytest.raises(LeaseLost):
        store.commit(slow, record(cell(), 0.1))
    assert store.records() == {}
    store.commit(quick, record(cell(), 0.9))
    assert store.records()[cell().id].scores[0].value == 0.9


def _claim_and_hang(folder: Path, claimed: Any) -> None:
    store = Store.open(folder)
    assert store.claim([cell().id], Worker.here(), lease_seconds=3600)
    claimed.set()
    time.sleep(60)


def test_lease_of_a_killed_process_ends_at_once(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    claimed = context.Event()
    process = context.Process(target=_claim_and_hang, args=(store.folder, claimed))
    process.start()
    assert claimed.wait(30)
    assert store.claim([cell().id], Worker.here(), lease_seconds=LEASE) is None
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    lease = store.claim([cell().id], Worker.here(), lease_seconds=LEASE)
    assert lease is not None
    assert lease.crashes == 1


def test_released_cell_counts_no_crash_and_progress_forgives_them(store: Store) -> None:
    lease = store.claim([cell().id], Worker.here(), lease_seconds=LEASE)
    assert lease is not None
    store.release(lease)
    again = store.claim([cell().id], Worker.here(), lease_seconds=0.01)
    assert again is not None
    assert again.crashes == 0
    time.sleep(0.02)
    third = store.claim([cell().id], Worker.here(), lease_seconds=0.01)
    assert third is not None
    assert third.crashes == 1
    store.checkpoints(cell().id, third).save(1, lambda folder: _fill(folder, "a"))
    time.sleep(0.02)
    fourth = store.claim([cell().id], Worker.here(), lease_seconds=LEASE)
    assert fourth is not None
    assert fourth.crashes == 1, "only the crash after the checkpoint counts"


def _claim_all(folder: Path, ids: list[str], mine: Any, all_claimed: Any) -> None:
    store = Store.open(folder)
    while lease := store.claim(ids, Worker.here(), lease_seconds=LEASE):
        mine.put(lease.cell_id)
    all_claimed.wait(60)  # the cells of a process that has ended are free again


def test_no_cell_is_claimed_by_two_processes(store: Store) -> None:
    ids = [cell(seed=seed).id for seed in range(40)]
    context = multiprocessing.get_context("spawn")
    mine, all_claimed = context.Queue(), context.Event()
    arguments = (store.folder, ids, mine, all_claimed)
    processes = [context.Process(target=_claim_all, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    seen = [mine.get(timeout=60) for _ in ids]
    all_claimed.set()
    for process in processes:
        process.join(30)
    assert sorted(seen) == sorted(ids)


def test_altered_predictions_are_refused(store: Store) -> None:
    commit(store, cell())
    path = store.folder / "cells" / cell().id / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"altered.*--retry"):
        store.predictions(cell().id)


def test_forgotten_cell_leaves_nothing_behind(store: Store) -> None:
    commit(store, cell())
    store.forget([cell().id])
    assert store.records() == {}
    assert not (store.folder / "cells" / cell().id).exists()
    assert store.claim([cell().id], Worker.here(), lease_seconds=LEASE)


def test_record_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    commit(store, cell())
    assert store.record(cell().id[:8]).cell == cell()
    with pytest.raises(StoreError, match="no result"):
        store.record("zzzz")
    commit(store, cell(seed=2))
    with pytest.raises(StoreError, match="2 results; give more digits"):
        store.record("")


def test_two_specs_with_one_name_are_refused_and_an_edited_one_replaces(
    store: Store,
) -> None:
    planned = [PlannedCell(cell(), "tiny", "lora")]
    store.add_benchmark("b", origin="/a.yaml", spec={"x": 1}, cells=planned)
    store.add_benchmark("b", origin="/a.yaml", spec={"x": 2}, cells=planned)
    with pytest.raises(StoreError, match=r"/a.yaml and /b.yaml.*Rename one"):
        store.add_benchmark("b", origin="/b.yaml", spec={"x": 3}, cells=planned)
    [kept] = store.benchmarks()
    assert kept.spec == {"x": 2}
    assert kept.cells == tuple(planned)


def test_store_of_a_newer_version_is_refused(store: Store) -> None:
    store.close()
    with sqlite3.connect(store.folder / "store.sqlite") as connection:
        connection.execute("update facts set value = '99'")
    with pytest.raises(StoreError, match=r"newer peftbench \(schema 99.*Upgrade"):
        Store.open(store.folder)


def test_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a store"):
        Store.open(tmp_path, create=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file; a store is a folder"):
        Store.open(tmp_path / "file")


def test_damaged_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"not a database " * 100)
    with pytest.raises(StoreError, match="damaged or not a database"):
        Store.open(tmp_path)


def test_folder_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(StoreError, match=r"cannot be written.*--store"):
        Store.open(Path("/sys/peftbench-store"))


def test_database_that_turns_read_only_says_so(store: Store) -> None:
    store.close()
    sa.event.listen(
        store._engine, "connect", lambda raw, _: raw.execute("PRAGMA query_only = ON")
    )
    store.close()
    with pytest.raises(StoreError, match=r"cannot be written.*earlier results are intact"):
        store.claim([cell().id], Worker.here(), lease_seconds=LEASE)


def test_full_disk_keeps_earlier_results_and_says_what_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store, cell(seed=1), 0.25)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StoreError, match=r"full.*earlier results.*intact.*same command"):
        commit(store, cell(seed=2))
    monkeypatch.undo()
    assert list(store.records()) == [cell(seed=1).id]
    assert store.predictions(cell(seed=1).id) is not None


def test_crash_between_files_and_row_is_no_result(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = store._writing, []

    def die_before_the_row() -> Any:
        calls.append(1)
        if len(calls) == 3:  # claim, check of the lease, then the row
            raise KeyboardInterrupt
        return real()

    monkeypatch.setattr(store, "_writing", die_before_the_row)
    with pytest.raises(KeyboardInterrupt):
        commit(store, cell(), 0.1)
    monkeypatch.undo()
    assert (store.folder / "cells" / cell().id / "predictions.parquet").is_file()
    assert store.records() == {}
    with sqlite3.connect(store.folder / "store.sqlite") as connection:
        connection.execute("update claims set expires_at = 0")
    commit(store, cell(), 0.9)
    assert store.records()[cell().id].scores[0].value == 0.9
    assert store.predictions(cell().id) is not None


def _fill(folder: Path, text: str) -> None:
    (folder / "state.json").write_text(json.dumps(text))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-2]),
        lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]),
        lambda path: path.unlink(),
        lambda path: path.with_name("manifest.json").unlink(),
        lambda path: path.with_name("extra").write_text("x"),
    ],
    ids=["truncated", "altered", "gone", "no manifest", "stranger"],
)
def test_damaged_checkpoint_is_passed_over_for_the_one_before(
    store: Store, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    kept = store.checkpoints("c")
    for step in (1, 2, 3):
        kept.save(step, lambda folder, step=step: _fill(folder, str(step)))
    newest = kept.latest()
    assert newest is not None
    assert newest.name == "step-00000003"
    assert len(list(kept.folder.glob("step-*"))) == 2, "the last two are kept"
    damage(newest / "state.json")
    before = kept.latest()
    assert before is not None
    assert before.name == "step-00000002"
    assert "is damaged and not used" in caplog.text


def test_checkpoint_that_was_not_finished_is_none(store: Store) -> None:
    kept = store.checkpoints("c")

    def die(folder: Path) -> None:
        _fill(folder, "half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.save(1, die)
    assert kept.latest() is None


def test_predictions_of_equal_rows_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_predictions(tmp_path / name, predictions())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
