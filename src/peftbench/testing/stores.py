"""What every store must keep, whatever database its ledger lies in, as plain functions.

    @pytest.mark.parametrize("check", STORE_CHECKS)
    def test_my_store(check: str, tmp_path: Path) -> None:
        STORE_CHECKS[check](open_my_store, tmp_path)

`open_my_store` opens the store that belongs to a folder, made where there is none, and can be
pickled: some checks open it from many processes. A check gets a folder of its own, raises
`AssertionError` where the store fails, and otherwise says what it saw.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from peftbench.errors import StoreError
from peftbench.spec import TestSet, Trial
from peftbench.store import (
    ADAPTER,
    MARKS,
    PREDICTIONS,
    Claimed,
    LeaseLost,
    PlannedCell,
    Queue,
    Store,
    Trained,
    Tried,
    Work,
    read_predictions,
)
from peftbench.testing import results as made
from peftbench.testing.conformance import Finding

OpenStore = Callable[[Path], Store]
Check = Callable[[OpenStore, Path], str]

_LONG, _SHORT = 60.0, 0.05


def check_store(open_store: OpenStore) -> list[Finding]:
    """Run every check; a failed one does not stop the others."""
    findings = []
    for name, check in STORE_CHECKS.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                findings.append(Finding(name, True, check(open_store, Path(folder))))
            except Exception as error:
                findings.append(Finding(name, False, f"{type(error).__name__}: {error}"))
    return findings


# Results


def results_come_back_as_they_were(open_store: OpenStore, folder: Path) -> str:
    """Steps, outcomes and files, in another process as in this one."""
    cell = made.planned(perturbed=(TestSet(name="p", version=1, data="sha256:1"),))
    with open_store(folder) as store:
        made.commit(store, cell, 0.25)
    with open_store(folder) as store:
        work = made.work(cell)
        assert list(store.results.status(work.step_ids).values()) == ["finished"] * 5
        found = store.results.by_id(work.step_ids)
        assert {one.step.id for one in found.values()} == set(work.step_ids)
        assert found[work.unit].outcome == made.trained(0.25)
        for look in work.looks:
            path = store.results.file(found[look.predict.id], PREDICTIONS)
            assert path is not None
            assert read_predictions(path) == made.predictions()
        [grade] = store.results.looking_at([cell.cell.id], "grade")[cell.cell.id]
        assert grade.outcome == made.graded(0.25)
        assert store.results.graded_metrics([cell.cell.id]) == {
            cell.cell.id: [(made.METRIC,)]
        }
        record = store.record(cell)
        assert record is not None
        assert record.headline == made.score(0.25)
        assert record.has_adapter
        assert [one.test_set.name for one in record.evaluations] == ["p"]
        table = store.predictions(cell.cell.id)
        assert table is not None
        assert table.column("answer").to_pylist() == ["yes", None]
        assert store.predictions("0" * 64) is None
        assert store.results.step_ids() == list(work.step_ids)
        assert store.results.beginning_with(work.unit[:8], "train")[0].step == work.train
    return f"{len(work.step_ids)} results of a cell"


def results_are_written_once(open_store: OpenStore, folder: Path) -> str:
    """Equal numbers from somebody else are dropped; other ones are kept as a contradiction,
    once, and what was there stays."""
    cell = made.planned()
    step_ids = made.work(cell).step_ids
    with open_store(folder) as store:
        results = store.results
        made.commit(store, cell, 0.25)
        before = results.by_id(step_ids)
        later = made.trained(0.25, manifest=made.manifest("later"), wall_seconds=7.0)
        assert not results.commit(None, before[step_ids[0]].step, later)
        made.commit(store, cell, 0.25)
        assert not results.contradictions(), "equal numbers contradict nothing"
        for _ in range(2):
            made.commit(store, cell, 0.75)
        found = results.contradictions()
        assert {one.step_id for one in found} == {step_ids[0], step_ids[2]}
        assert len(found) == 2, "the same numbers twice are one contradiction"
        assert results.contradictions([step_ids[0]])[0].outcome == made.trained(0.75)
        assert results.by_id(step_ids) == before
        results.commit(None, before[step_ids[0]].step, made.trained(0.1, status="oom"))
        assert results.contradictions() == found, "a failure says nothing of the numbers"
        _is_whole(store, cell)
        assert not results.left_behind()
    return "2 contradictions, and the first results as they were"


def same_holder_twice_loses_nothing(open_store: OpenStore, folder: Path) -> str:
    """A holder that commits a step again, as after a doubtful answer, keeps its files."""
    cell = made.planned()
    with open_store(folder) as store:
        queue = _queue(store, [made.work(cell)])
        claimed = _claim(queue)
        for value in (0.25, 0.25, 0.75):
            made.commit(store, cell, value, claimed.lease)
        _is_whole(store, cell)
        assert not store.results.left_behind()
        record = store.record(cell)
        assert record is not None
        assert record.headline == made.score(0.25)
    return "committed three times, kept the first"


def forgotten_takes_along_what_looks_at_it(open_store: OpenStore, folder: Path) -> str:
    """Answers, grades and trials of a run go with it, and nothing of others does."""
    cell, other = made.planned(1), made.planned(2)
    trial = Trial(train=_train(cell), stop_below=(0.9,))
    with open_store(folder) as store:
        for one in (cell, other):
            made.commit(store, one)
        store.results.commit(None, trial, Tried(manifest=made.manifest(), is_pruned=True))
        again = made.grade(cell.cell.predict(), scorer="2")
        store.results.commit(None, again, made.graded(0.6))
        store.checkpoints(made.work(cell).unit).save(1, _write)
        folders = {
            one.folder for one in store.results.by_id(made.work(cell).step_ids).values()
        }
        store.results.forget([made.work(cell).unit])
        left = set(store.results.step_ids())
        assert left == set(made.work(other).step_ids)
        assert not any(one and one.exists() for one in folders), "files are left"
        assert store.checkpoints(made.work(cell).unit).latest() is None
        assert store.record(cell) is None
        _is_whole(store, other)
        store.results.forget([cell.cell.id])
        assert set(store.results.step_ids()) == left, "what is not there can be forgotten"
        made.commit(store, cell, 0.75)
        record = store.record(cell)
        assert record is not None
        assert record.headline == made.score(0.75), "made again"
    return "a run, its trial, its answers and both grades"


def altered_files_are_refused(open_store: OpenStore, folder: Path) -> str:
    """Changed, cut or missing, with what to do about it."""

    def change(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-1] + b"?")

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-1])

    with open_store(folder) as store:
        damages: list[Callable[[Path], object]] = [change, cut, Path.unlink]
        for seed, damage in enumerate(damages):
            cell = made.planned(seed)
            made.commit(store, cell)
            work = made.work(cell)
            found = store.results.by_id(work.step_ids)
            train, predict, grade = (found[one] for one in work.step_ids)
            weights = store.results.adapter(train)
            assert weights is not None
            answers = store.results.file(predict, PREDICTIONS)
            marks = store.results.file(grade, MARKS)
            assert answers is not None
            assert marks is not None
            for path in (weights / "adapter_config.json", answers):
                damage(path)
            _refuses(partial(store.results.adapter, train), "altered", "--retry")
            _refuses(partial(store.predictions, cell.cell.id), "altered", "--retry")
            assert store.results.file(train, "no such file") is None
    return "3 kinds of damage, on adapters and on rows"


def freed_adapters_come_back_only_as_they_were(open_store: OpenStore, folder: Path) -> str:
    """What is freed can be made again: the same files, else it is a contradiction."""
    cell = made.planned()
    work = made.work(cell)
    with open_store(folder) as store:
        results = store.results
        made.commit(store, cell)
        before = results.by_id([work.unit])[work.unit]
        assert before.folder is not None
        results.free([before])
        freed = results.by_id([work.unit])[work.unit]
        trained = freed.outcome
        assert isinstance(trained, Trained)
        assert not freed.has_adapter
        assert results.adapter(freed) is None
        assert not (before.folder / ADAPTER).exists()
        record = store.record(cell)
        assert record is not None
        assert not record.has_adapter
        lease = _claim(_queue(store, [work])).lease
        staged = results.staging(work.unit, lease.token)
        made.write_adapter(staged, "other weights")
        assert not results.restore(lease, freed, staged, trained)
        results.discard(staged)
        [other] = results.contradictions()
        assert other.step_id == work.unit
        staged = results.staging(work.unit, lease.token)
        made.write_adapter(staged, f"{cell.name} 0.5")
        assert results.restore(lease, freed, staged, trained)
        _is_whole(store, cell)
        assert not results.left_behind()
    return "freed, refused with other weights, restored with its own"


def folders_left_behind_are_found(open_store: OpenStore, folder: Path) -> str:
    """Those of nobody: not those of results, nor of whoever is at work."""
    cell, other = made.planned(1), made.planned(2)
    with open_store(folder) as store:
        made.commit(store, cell)
        lease = _claim(_queue(store, [made.work(other)])).lease
        busy = store.results.staging(made.work(other).unit, lease.token)
        dead = store.results.staging(made.work(other).unit, store.results.new_token())
        assert store.results.left_behind() == [dead]
        store.results.sweep([dead, busy, folder / "elsewhere"])
        assert not dead.exists()
        assert busy.exists()
        _is_whole(store, cell)
        store.claims.release(lease)
        assert store.results.left_behind() == [busy]
    return "1 of 3 folders"


# Claims


def held_work_is_not_given_to_another(open_store: OpenStore, folder: Path) -> str:
    """In no run of the store; what is done is not given out again."""
    works = [made.work(made.planned(seed)) for seed in (1, 2)]
    with open_store(folder) as store:
        queue, again = _queue(store, works), _queue(store, works)
        first, second = _claim(queue, "one"), _claim(again, "two")
        assert [first.work, second.work] == works
        assert queue.claim("three", lease_seconds=_LONG) is None
        held = {one.unit: one.holder for one in store.claims.held([w.unit for w in works])}
        assert held == {first.work.unit: "one", second.work.unit: "two"}
        assert sorted(one.holder for one in queue.held()) == ["one", "two"]
        assert not _queue(store, []).held()
        store.claims.renew(first.lease, _LONG, (3, 10))
        [seen] = store.claims.held([first.work.unit])
        assert (seen.step, seen.steps) == (3, 10)
        queue.done(first, "finished")
        assert not store.claims.held([first.work.unit])
        assert queue.claim("three", lease_seconds=_LONG) is None
        assert _claim(again, "three").work == first.work, "each run has its own list"
    return "2 pieces of work, 3 holders"


def expired_lease_is_taken_over_and_its_holder_kept_out(
    open_store: OpenStore, folder: Path
) -> str:
    """A holder that was not heard of for too long can write nothing once another has it."""
    cell = made.planned()
    with open_store(folder) as store:
        queue = _queue(store, [made.work(cell)])
        slow = _claim(queue, "slow", seconds=_SHORT)
        time.sleep(2 * _SHORT)
        assert not store.claims.held([slow.work.unit])
        quick = _claim(queue, "quick")
        _writes_nothing(store, queue, slow, cell)
        made.commit(store, cell, 0.9, quick.lease)
        queue.done(quick, "finished")
        _writes_nothing(store, queue, slow, cell)
        record = store.record(cell)
        assert record is not None
        assert record.headline == made.score(0.9)
        _is_whole(store, cell)
    return "fenced out, before and after its successor was done"


def heartbeats_keep_a_lease(open_store: OpenStore, folder: Path) -> str:
    """Renewed, it outlasts its first length; late but not taken over, it goes on."""
    with open_store(folder) as store:
        queue = _queue(store, [made.work(made.planned())])
        claimed = _claim(queue, seconds=0.4)
        for _ in range(5):
            time.sleep(0.2)
            store.claims.renew(claimed.lease, 0.4)
            assert queue.claim("other", lease_seconds=_LONG) is None
        time.sleep(0.5)
        store.claims.renew(claimed.lease, _LONG)
        assert queue.claim("other", lease_seconds=_LONG) is None
        queue.done(claimed, "finished")
    return "a lease of 0.4 s lived for 1.5 s"


def leases_go_by_the_clock_of_the_database(open_store: OpenStore, folder: Path) -> str:
    """A process whose own clock is wrong by a day takes nothing, and loses nothing."""
    with open_store(folder) as store:
        queue = _queue(store, [made.work(made.planned())])
        for day in (-86_400.0, 86_400.0):
            with _clock_moved(day):
                claimed = _claim(queue, seconds=_LONG)
            assert queue.claim("other", lease_seconds=_LONG) is None
            with _clock_moved(-day):
                assert queue.claim("other", lease_seconds=_LONG) is None
                store.claims.renew(claimed.lease, _SHORT)
            time.sleep(2 * _SHORT)
        assert _claim(queue, "other").lease.token > claimed.lease.token
        queue.tell("x")
        [event] = queue.events()
        assert abs(event.at - time.time()) < 3600
    return "wrong by a day in both directions"


def released_work_is_nobodys(open_store: OpenStore, folder: Path) -> str:
    """Given back or buried, a lease counts for nothing; only a burial counts as a crash, and
    a checkpoint forgives it."""
    cell = made.planned()
    unit = made.work(cell).unit
    with open_store(folder) as store:
        queue = _queue(store, [made.work(cell)])
        first = _claim(queue)
        store.claims.release(first.lease)
        _writes_nothing(store, queue, first, cell)
        second = _claim(queue, "dies")
        assert second.lease.crashes == 0
        store.claims.bury("dies", is_crash=True)
        _writes_nothing(store, queue, second, cell)
        third = _claim(queue, "ends")
        assert third.lease.crashes == 1
        store.claims.bury("ends", is_crash=False)
        fourth = _claim(queue, "dies")
        assert fourth.lease.crashes == 1
        store.checkpoints(unit, fourth.lease).save(1, _write)
        store.claims.bury("dies", is_crash=True)
        fifth = _claim(queue)
        assert fifth.lease.crashes == 1, "only the crash after the checkpoint counts"
    return "2 crashes, 1 forgiven"


def tokens_never_repeat(open_store: OpenStore, folder: Path) -> str:
    """Not after a release, a forget or a restart, nor between units."""
    works = [made.work(made.planned(seed)) for seed in (1, 2)]
    seen: list[int] = []
    for _ in range(3):
        with open_store(folder) as store:
            queue = _queue(store, works)
            for _ in range(2):
                both = [_claim(queue), _claim(queue)]
                seen += [one.lease.token for one in both]
                store.claims.release(both[0].lease)
                store.results.forget([one.unit for one in works])
                seen.append(store.results.new_token())
    assert seen == sorted(set(seen)), "a token was given out twice, or they do not rise"
    return f"{len(seen)} tokens, all rising"


def who_worked_before_a_forget_writes_nothing(open_store: OpenStore, folder: Path) -> str:
    """Not by its lease, nor with whom came after it; its checkpoints are not gone on from,
    those of before and those that it writes afterwards."""
    cell = made.planned()
    work = made.work(cell)
    with open_store(folder) as store:
        queue = _queue(store, [work])
        old = _claim(queue, "old")
        kept = store.checkpoints(work.unit, old.lease)
        kept.save(1, _write)
        found = iter(made.made(store, cell, 0.1, old.lease.token))
        step, outcome, staged = next(found)
        assert store.results.commit(old.lease, step, outcome, staged)
        store.results.forget([work.unit])
        _writes_nothing(store, queue, old, cell)
        _refuses(lambda: kept.save(2, _write), kind=LeaseLost)
        new = _claim(queue, "new")
        assert new.lease.token > old.lease.token
        assert store.checkpoints(work.unit, new.lease).latest() is None
        _writes_nothing(store, queue, old, cell)
        made.commit(store, cell, 0.9, new.lease)
        store.results.forget([cell.cell.id])
        _writes_nothing(store, queue, new, cell)
        assert store.results.status([work.unit]), "what answers look at stays"
    return "kept out by a forget of the run, and by one of its answers"


def checkpoints_of_two_holders_do_not_touch(open_store: OpenStore, folder: Path) -> str:
    """A holder goes on from its predecessor's, and that one cannot harm its own."""
    work = made.work(made.planned())
    with open_store(folder) as store:
        queue = _queue(store, [work])
        slow = _claim(queue, "slow", seconds=_SHORT)
        theirs = store.checkpoints(work.unit, slow.lease)
        for step in (1, 2, 3):
            theirs.save(step, _write)
        found = theirs.latest()
        assert found is not None
        assert found.name == "step-00000003"
        time.sleep(2 * _SHORT)
        mine = store.checkpoints(work.unit, _claim(queue, "quick").lease)
        assert mine.latest() == found, "a successor goes on from there"
        _refuses(
            lambda: theirs.save(4, lambda place: _write(place, "late")), kind=LeaseLost
        )
        assert found.is_dir(), "it may be read at this moment"
        mine.save(5, _write)
        _refuses(
            lambda: theirs.save(5, lambda place: _write(place, "late")), kind=LeaseLost
        )
        newest = mine.latest()
        assert newest is not None
        assert (newest / "state").read_text() == "state"
        mine.save(6, _write)
        mine.clear()
        assert mine.latest() is None
    return "a late holder saved twice beside its successor"


def damaged_checkpoints_are_passed_over(open_store: OpenStore, folder: Path) -> str:
    """Cut, changed, incomplete or unfinished ones; the last two are kept."""

    def die(place: Path) -> None:
        _write(place)
        raise KeyboardInterrupt

    damages: Mapping[str, Callable[[Path], object]] = {
        "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
        "changed": lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]),
        "gone": lambda path: path.unlink(),
        "without its list": lambda path: path.with_name("manifest.json").unlink(),
        "with a stranger": lambda path: path.with_name("extra").write_text("x"),
    }
    with open_store(folder) as store:
        for name, damage in damages.items():
            kept = store.checkpoints(name)
            for step in (1, 2, 3):
                kept.save(step, _write)
            newest = kept.latest()
            assert newest is not None
            assert newest.name == "step-00000003"
            assert len(list(newest.parent.glob("step-*"))) == 2, "the last two are kept"
            damage(newest / "state")
            before = kept.latest()
            assert before is not None, name
            assert before.name == "step-00000002", name
        unfinished = store.checkpoints("unfinished")
        try:
            unfinished.save(1, die)
        except KeyboardInterrupt:
            assert unfinished.latest() is None
    return f"{len(damages)} kinds of damage"


# Runs


def work_is_done_in_order(open_store: OpenStore, folder: Path) -> str:
    """By place, then as it was wanted; what dies goes back to its place; events in order."""
    works = [made.work(made.planned(seed)) for seed in range(4)]
    with open_store(folder) as store:
        queue = _queue(store, ())
        assert queue.claim("me", lease_seconds=_LONG) is None
        queue.want(works[2:], place=1)
        queue.want(works[:2])
        dropped = _claim(queue, "dies")
        assert dropped.work == works[0]
        store.claims.bury("dies", is_crash=False)
        for work in works:
            claimed = _claim(queue)
            assert claimed.work == work
            assert work.unit in queue.units_left()
            assert len(queue.units_left(1)) == 1
            queue.tell("started", work.unit)
            queue.done(claimed, "finished", f"{claimed.number}")
        assert not queue.units_left()
        events = queue.events()
        assert [one.what for one in events] == ["started", "finished"] * 4
        assert [one.unit for one in events[::2]] == [one.unit for one in works]
        assert queue.events(events[-3].number) == events[-2:]
        assert [one.number for one in events] == sorted({one.number for one in events})
    return f"{len(works)} pieces of work, {len(events)} events"


def run_is_over_when_no_more_can_come(open_store: OpenStore, folder: Path) -> str:
    """Closed and done, or its planner was not heard of for its time; opening another run
    sweeps what such runs have left, and touches no other."""
    work = made.work(made.planned())
    with open_store(folder) as store:
        queue = _queue(store, [work])
        assert not queue.is_over(), "work is left"
        queue.done(_claim(queue), "finished")
        assert not queue.is_over(), "more may come"
        queue.close()
        assert queue.is_over()
        with patch("peftbench.store._queue.RUN_SECONDS", 2 * _SHORT):
            dying = _queue(store, [])
            assert not dying.is_over()
            dying.keep_open()
            time.sleep(4 * _SHORT)
            assert dying.is_over(), "its planner died"
            left = _queue(store, [work])
            left.tell("started", work.unit)
            time.sleep(4 * _SHORT)
            assert not left.is_over(), "workers may do what is there"
        alive = store.queue("alive")
        alive.open()
        assert left.is_over(), "swept away"
        assert not left.events()
        assert not left.units_left()
        assert queue.events(), "closed, but not long ago"
    return "closed, died and swept runs"


def processes_never_do_work_twice(open_store: OpenStore, folder: Path) -> str:
    """Ten processes race for 200 pieces of work; each is claimed, committed and told once."""
    cells = [made.planned(seed) for seed in range(200)]
    with open_store(folder) as store:
        queue = _queue(store, [made.work(one) for one in cells])
        queue.close()
        _in_processes(_work_through, [(open_store, folder, queue.run)] * 10)
        done = [one.unit for one in queue.events()]
        assert sorted(done) == sorted(made.work(one).unit for one in cells)
        assert sorted(store.results.step_ids()) == sorted(done)
        assert not store.results.contradictions()
        assert queue.is_over()
        holders = {one.detail for one in queue.events()}
        assert len(holders) > 1, "only one process worked: there was no race"
    return f"{len(done)} pieces of work by {len(holders)} processes"


def processes_wait_for_each_other(open_store: OpenStore, folder: Path) -> str:
    """Twenty processes commit fifty results each at the same time, and none is refused."""
    with open_store(folder) as store:
        _in_processes(_commit_costs, [(open_store, folder, who) for who in range(20)])
        found = store.results.of_kind("measure")
        assert len(found) == 20 * 50, f"{len(found)} of 1,000 results are there"
        assert [one.number for one in found] == sorted({one.number for one in found})
    return f"{len(found)} results"


# Benchmarks


def benchmarks_are_views(open_store: OpenStore, folder: Path) -> str:
    """An edited spec replaces its plan; another spec of the same name is refused; forgetting
    a benchmark's results leaves its plan."""
    cells = [made.planned(1), made.planned(2)]
    with open_store(folder) as store:
        assert store.benchmark_names() == []
        assert store.benchmark("b") is None
        store.add_benchmark("b", origin="/a.yaml", spec={"x": 1}, cells=cells[:1])
        store.add_benchmark("b", origin="/a.yaml", spec={"x": 2}, cells=cells)
        _refuses(
            lambda: store.add_benchmark("b", origin="/b.yaml", spec={"x": 3}, cells=cells),
            "Two specs are called 'b': /a.yaml and /b.yaml",
            "Rename one",
        )
        store.add_benchmark("b", origin="/c.yaml", spec={"x": 2}, cells=cells)
        [kept] = store.benchmarks()
        assert (kept.origin, kept.spec, kept.cells) == ("/c.yaml", {"x": 2}, tuple(cells))
        made.commit(store, cells[0])
        costs = [made.cost(one) for one in (cells[0], made.planned(model="other"))]
        for one in costs:
            store.results.commit(None, one.step, one)
        [found] = store.results.costs_on([cells[0].cell.model.base])
        assert found.outcome == costs[0]
        assert [one.outcome for one in store.results.of_kind("measure")] == costs
        assert list(store.records(cells)) == [cells[0].cell.id]
        store.results.forget([made.work(one).unit for one in cells])
        assert store.benchmark("b") == kept
    return "one benchmark, edited once"


STORE_CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        results_come_back_as_they_were,
        results_are_written_once,
        same_holder_twice_loses_nothing,
        forgotten_takes_along_what_looks_at_it,
        altered_files_are_refused,
        freed_adapters_come_back_only_as_they_were,
        folders_left_behind_are_found,
        held_work_is_not_given_to_another,
        expired_lease_is_taken_over_and_its_holder_kept_out,
        heartbeats_keep_a_lease,
        leases_go_by_the_clock_of_the_database,
        released_work_is_nobodys,
        tokens_never_repeat,
        who_worked_before_a_forget_writes_nothing,
        checkpoints_of_two_holders_do_not_touch,
        damaged_checkpoints_are_passed_over,
        work_is_done_in_order,
        run_is_over_when_no_more_can_come,
        processes_never_do_work_twice,
        processes_wait_for_each_other,
        benchmarks_are_views,
    )
}


def _queue(store: Store, works: Sequence[Work]) -> Queue:
    """A run of its own that wants this."""
    queue = store.queue(f"run {store.results.new_token()}")
    queue.open()
    queue.want(works)
    return queue


def _claim(queue: Queue, holder: str = "me", seconds: float = _LONG) -> Claimed:
    claimed = queue.claim(holder, lease_seconds=seconds)
    assert claimed is not None, "there is work that nobody holds, and none was given out"
    return claimed


def _train(cell: PlannedCell) -> Any:
    return cell.cell.train


def _write(folder: Path, text: str = "state") -> None:
    (folder / "state").write_text(text)


def _refuses(
    write: Callable[[], object], *words: str, kind: type[StoreError] = StoreError
) -> None:
    try:
        write()
    except kind as error:
        said = str(error)
    else:
        raise AssertionError("it was not refused")
    assert all(word in said for word in words), f"it says: {said}"


def _writes_nothing(
    store: Store, queue: Queue, claimed: Claimed, cell: PlannedCell
) -> None:
    """Whatever this holder tries is refused and leaves nothing."""
    before = store.results.step_ids(), queue.events(), queue.units_left()
    held = store.claims.held([claimed.work.unit])
    lease = claimed.lease
    _refuses(lambda: store.claims.renew(lease, _LONG, (9, 9)), kind=LeaseLost)
    _refuses(lambda: store.claims.release(lease), kind=LeaseLost)
    _refuses(lambda: store.claims.got_further(lease), kind=LeaseLost)
    _refuses(lambda: queue.done(claimed, "finished"), kind=LeaseLost)
    for step, outcome, staged in made.made(store, cell, 0.1, lease.token):
        left = {path for path in store.results.left_behind() if path != staged}
        _refuses(
            partial(store.results.commit, lease, step, outcome, staged),
            kind=LeaseLost,
        )
        assert set(store.results.left_behind()) <= left, "files are left"
    assert (store.results.step_ids(), queue.events(), queue.units_left()) == before
    assert store.claims.held([claimed.work.unit]) == held


def _is_whole(store: Store, cell: PlannedCell) -> None:
    """Every file of every result of a cell is there as it was written."""
    work = made.work(cell)
    found = store.results.by_id(work.step_ids)
    assert set(found) == set(work.step_ids)
    for one in found.values():
        assert one.files, "a result lost its files"
        for name in one.files:
            assert store.results.file(one, name) is not None
    assert store.results.adapter(found[work.unit]) is not None


@contextmanager
def _clock_moved(seconds: float) -> Any:
    """The clock of this process is wrong."""
    right = time.time
    with patch("time.time", lambda: right() + seconds):
        yield


def _in_processes(target: Callable[..., None], arguments: Iterable[Sequence[Any]]) -> None:
    """Each in a process of its own, all at the same time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    processes = [context.Process(target=target, args=tuple(one)) for one in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    codes = [process.exitcode for process in processes]
    assert codes == [0] * len(codes), f"processes ended with {codes}"


def _work_through(open_store: OpenStore, folder: Path, run: str) -> None:
    with open_store(folder) as store:
        queue = store.queue(run)
        holder = str(multiprocessing.current_process().pid)
        while not queue.is_over():
            claimed = queue.claim(holder, lease_seconds=_LONG)
            if claimed is None:
                time.sleep(0.01)
                continue
            assert claimed.work.train is not None
            is_new = store.results.commit(claimed.lease, claimed.work.train, made.trained())
            assert is_new, "somebody else had done it"
            queue.done(claimed, "finished", holder)


def _commit_costs(open_store: OpenStore, folder: Path, who: int) -> None:
    with open_store(folder) as store:
        for number in range(50):
            one = made.cost(made.planned(label=f"method {who} {number}"))
            assert store.results.commit(None, one.step, one)
