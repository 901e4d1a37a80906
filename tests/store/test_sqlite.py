"""A store in a folder: what disks, permissions, other versions and people do to it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from peftbench.errors import StoreError
from peftbench.store import Store, read_predictions, write_predictions
from peftbench.store import _files as files
from peftbench.store import _results as results
from peftbench.store.export import export
from peftbench.testing import results as made
from store.version_1 import unpacked

CELL = made.planned()
UNIT = made.work(CELL).unit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def change(store: Store, statement: str, *values: object) -> None:
    """What somebody does to the database by hand."""
    with closing(sqlite3.connect(store.folder / "store.sqlite")) as connection, connection:
        assert connection.execute(statement, values).rowcount, "nothing was changed"


def content(folder: Path) -> list[str]:
    """All of a database, as SQL."""
    with closing(sqlite3.connect(folder / "store.sqlite")) as connection:
        return list(connection.iterdump())


@contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[None]:
    done = subprocess.run(["mount", *arguments, place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


# Edited by hand


@pytest.mark.parametrize(
    ("statement", "values", "message"),
    [
        (
            "update results set outcome = replace(outcome, '0.5', '0.9') where kind = 'grade'",
            (),
            "was altered after it was written.*--retry",
        ),
        (
            "update results set step = replace(step, 'strict', 'peft-bench') where kind = 'train'",
            (),
            "was altered after it was written.*--retry",
        ),
        ("update results set step_id = ? where kind = 'grade'", ("0" * 64,), "filed under"),
        ("update results set of = ? where kind = 'grade'", ("0" * 64,), "filed under"),
        ("update results set status = 'failed' where kind = 'train'", (), "filed under"),
        ("update results set kind = 'trial' where kind = 'train'", (), "cannot be read"),
        ("update results set kind = 'nothing' where kind = 'train'", (), "cannot be read"),
    ],
)
def test_edited_row_is_noticed_when_it_is_read(
    store: Store, statement: str, values: tuple[Any, ...], message: str
) -> None:
    made.commit(store, CELL)
    change(store, statement, *values)
    with pytest.raises(StoreError, match=f"(?s){message}"):
        store.results.by_id(store.results.step_ids())


def test_edited_digest_of_a_file_is_noticed(store: Store) -> None:
    made.commit(store, CELL)
    change(store, "update files set sha256 = ? where path = 'marks.parquet'", "0" * 64)
    with pytest.raises(StoreError, match="altered"):
        store.predictions(CELL.cell.id)


# Opening


def test_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is not a store.*`peftbench run` makes one"):
        Store.open(tmp_path, create=False)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file; a store is a folder"):
        Store.open(tmp_path / "file")
    with pytest.raises(StoreError, match="is a file; a store is a folder"):
        Store.open(tmp_path / "file" / "below")


def test_store_of_a_newer_version_is_refused(store: Store) -> None:
    store.close()
    change(store, "update about set value = '99' where name = 'schema_version'")
    for create in (True, False):
        with pytest.raises(StoreError, match=r"newer peftbench \(schema 99.*Upgrade"):
            Store.open(store.folder, create=create)


def test_store_of_an_older_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "old")
    before = content(folder)
    for create in (True, False):
        with pytest.raises(
            StoreError, match=rf"(?s)older.*schema 1.*store upgrade --store {folder}"
        ):
            Store.open(folder, create=create)
    assert content(folder) == before
    assert not list(folder.glob("store.sqlite-*")), "it is still open"


def test_database_without_tables_is_no_store_to_read(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").touch()
    with mounted_read_only(tmp_path), pytest.raises(StoreError, match="has no tables"):
        Store.open(tmp_path, create=False)


def test_damaged_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"not a database " * 100)
    for create in (True, False):
        with pytest.raises(StoreError, match=r"damaged or not a database.*Restore it"):
            Store.open(tmp_path, create=create)


def test_nothing_is_said_to_be_whole_where_the_database_is_not(tmp_path: Path) -> None:
    Store.open(tmp_path / "s").close()
    file = tmp_path / "s" / "store.sqlite"
    content = bytearray(file.read_bytes())
    content[200:] = b"\xff" * (len(content) - 200)
    file.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path / "s")
    assert "damaged" in str(caught.value)
    assert not re.search("intact|stays as it is", str(caught.value))


def test_damage_inside_the_database_is_told_where_it_is_read(store: Store) -> None:
    for seed in range(50):
        train = made.planned(seed).cell.train
        assert train is not None
        store.results.commit(None, train, made.trained())
    store.close()
    file = store.folder / "store.sqlite"
    pages = bytearray(file.read_bytes())
    pages[8 * 4096 :] = b"\xff" * (len(pages) - 8 * 4096)
    file.write_bytes(pages)
    with pytest.raises(StoreError, match=r"damaged|cannot be read"):
        Store.open(store.folder).results.of_kind("train")


@pytest.mark.parametrize("loss", [lambda file: file.write_bytes(b""), Path.unlink])
def test_lost_database_beside_full_folders_is_refused(
    store: Store, loss: Callable[[Path], object]
) -> None:
    made.commit(store, CELL)
    store.close()
    loss(store.folder / "store.sqlite")
    with pytest.raises(StoreError, match=r"database was lost.*Restore it"):
        Store.open(store.folder)
    assert len(list((store.folder / "files").iterdir())) == 3
    with pytest.raises(StoreError):
        Store.open(store.folder, create=False)


@pytest.mark.parametrize(
    "name", ["a?b", "%20", "a#b", "a b", " ", "a&mode=memory", "ä", "'", '"', ":memory:"]
)
def test_any_name_of_a_folder_will_do(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path / name / "store", Path(name)):
        with Store.open(folder) as store:
            made.commit(store, CELL)
        assert (folder / "store.sqlite").stat().st_size
        with Store.open(folder, create=False) as store:
            assert store.record(CELL) is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


# Folders that cannot be written


@contextmanager
def mounted_read_only(folder: Path) -> Iterator[None]:
    with mounted(folder, "--bind", "-o", "ro", str(folder)):
        if os.access(folder, os.W_OK):  # some systems want it in two steps
            subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield


@pytest.mark.parametrize("is_open_elsewhere", [False, True])
def test_store_that_cannot_be_written_can_be_read(
    store: Store, tmp_path: Path, is_open_elsewhere: bool
) -> None:
    made.commit(store, CELL)
    store.add_benchmark("b", origin="o", spec={}, cells=[CELL])
    if not is_open_elsewhere:
        store.close()
    with mounted_read_only(store.folder):
        with Store.open(store.folder, create=False) as opened:
            record = opened.record(CELL)
            assert record is not None
            assert record.headline == made.score(0.5)
            assert opened.predictions(CELL.cell.id) is not None
            assert opened.benchmark_names() == ["b"]
            assert len(export(opened, tmp_path / "out")) == 5
            with pytest.raises(StoreError, match=r"cannot be written.*stays as it is"):
                opened.results.forget([UNIT])
            with pytest.raises(StoreError, match="cannot be written"):
                made.commit(opened, made.planned(2))
            with pytest.raises(StoreError, match=r"cannot be written.*--store"):
                opened.results.staging(UNIT, 1)
        with pytest.raises(StoreError, match="cannot be written"):
            Store.open(store.folder)
    with Store.open(store.folder) as again:
        assert again.record(CELL) == record


def test_new_store_in_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be written.*--store"):
        Store.open(Path("/sys/peftbench-store"))
    with mounted_read_only(tmp_path), pytest.raises(StoreError, match=r"cannot be written"):
        Store.open(tmp_path)


def test_disk_that_is_full_keeps_what_is_there_and_goes_on_later(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        filler, told = tmp_path / "filler", []
        with Store.open(tmp_path / "store") as store:
            made.commit(store, CELL)
            filler.write_bytes(b"x" * shutil.disk_usage(tmp_path).free)
            for seed in range(2, 40):  # a little more room each time
                os.truncate(filler, filler.stat().st_size - 4096)
                try:
                    with files.explained(store.folder):  # as a worker writes
                        made.commit(store, made.planned(seed))
                except StoreError as error:
                    told.append(str(error))
                for one in store.results.by_id(store.results.step_ids()).values():
                    for name in one.files:
                        assert store.results.file(one, name)
            assert len(told) > 5
            assert all("before stays as it is" in one for one in told)
            assert all("same command again" in one for one in told)
            filler.unlink()
            made.commit(store, made.planned(2))
        with Store.open(tmp_path / "store", create=False) as store:
            assert set(store.records([CELL, made.planned(2)])) == {
                CELL.cell.id,
                made.planned(2).cell.id,
            }


def test_full_disk_is_told_from_any_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.commit(store, CELL, 0.25)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StoreError, match=r"full.*before stays as it is.*same command"):
        made.commit(store, made.planned(2))
    with pytest.raises(StoreError, match="full"):
        store.checkpoints(UNIT).save(1, lambda folder: (folder / "x").touch() or None)
    monkeypatch.undo()
    assert store.checkpoints(UNIT).latest() is None
    assert list(store.records([CELL, made.planned(2)])) == [CELL.cell.id]
    assert store.predictions(CELL.cell.id) is not None


# Crashes


def test_crash_before_the_row_is_no_result(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(results.Results, "_insert", die)
        with pytest.raises(KeyboardInterrupt):
            made.commit(store, CELL, 0.1)
    assert not store.results.step_ids()
    assert not list((store.folder / "files").iterdir())
    made.commit(store, CELL, 0.9)
    record = store.record(CELL)
    assert record is not None
    assert record.headline == made.score(0.9)


def _die_between_files_and_row(folder: Path) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    results.Results._insert = die  # type: ignore[assignment, method-assign]
    made.commit(Store.open(folder), CELL, 0.1)


def test_kill_between_files_and_row_is_no_result(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_die_between_files_and_row, args=(store.folder,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    [left] = store.results.left_behind()
    assert (left / "adapter").is_dir(), "files come first"
    assert left.parent.name == "files"
    assert not store.results.step_ids()
    assert store.record(CELL) is None
    made.commit(store, CELL, 0.9)
    assert store.results.left_behind() == [left]
    store.results.sweep([left])
    assert store.predictions(CELL.cell.id) is not None
    record = store.record(CELL)
    assert record is not None
    assert record.headline == made.score(0.9)


def test_signal_right_after_the_row_loses_no_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result whose files went with the interrupt would be asked for and never found."""
    write = type(store.database).writing

    def interrupted(self: Any, work: Any) -> None:
        write(self, work)
        raise KeyboardInterrupt

    found = made.made(store, CELL)
    step, outcome, staged = next(found)
    with monkeypatch.context() as patched:
        patched.setattr(type(store.database), "writing", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.results.commit(None, step, outcome, staged)
    [result] = store.results.by_id([step.id]).values()
    assert store.results.adapter(result) is not None


def test_grade_that_comes_while_its_answers_are_forgotten_does_not_outlive_them(
    store: Store,
) -> None:
    made.commit(store, CELL)
    store.results.forget([UNIT])
    late = made.grade(CELL.cell.predict(), scorer="2")
    with pytest.raises(StoreError, match="were forgotten"):
        store.results.commit(None, late, made.graded())
    assert not store.results.step_ids()


@pytest.mark.parametrize("loss", ["moved", "deleted", "another in its place"])
def test_store_that_is_gone_is_noticed_at_the_next_commit(
    store: Store, tmp_path: Path, loss: str
) -> None:
    made.commit(store, CELL)
    step, outcome, staged = next(made.made(store, made.planned(2)))
    if loss == "deleted":
        subprocess.run(["rm", "-r", store.folder], check=True)
    else:
        store.folder.rename(tmp_path / "elsewhere")
    if loss == "another in its place":
        Store.open(store.folder).close()
    message = r"was moved or deleted.*Put it back"
    with pytest.raises(StoreError, match=message):
        store.results.commit(None, step, outcome, staged)
    with pytest.raises(StoreError, match=message):
        made.commit(store, made.planned(2))
    with pytest.raises(StoreError, match=message):
        store.queue("run").tell("started")
    if loss != "another in its place":
        assert not store.folder.exists(), "what came too late made it again"
    else:
        assert not (store.folder / "files").exists()


def test_predictions_of_equal_rows_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_predictions(tmp_path / name, made.predictions())
    one, other = (tmp_path / name / "predictions.parquet" for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
    assert read_predictions(one) == made.predictions()


def test_tidy_removes_what_kills_left_of_steps_that_are_done(store: Store) -> None:
    other = made.work(made.planned(2)).unit
    made.commit(store, CELL)
    for unit in (UNIT, other):
        store.checkpoints(unit).save(1, lambda folder: (folder / "x").touch() or None)
        store.results.staging(unit, store.results.new_token())
    store.tidy()
    assert [path.name for path in (store.folder / "checkpoints").iterdir()] == [other]
    assert [path.name[:64] for path in (store.folder / "staging").iterdir()] == [other]
