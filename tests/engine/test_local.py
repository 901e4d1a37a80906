"""Worker processes on this machine: those that die are replaced, and what they die over is
given up in the end, while all else goes on."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from in_process import kinds, missing, plan, warm_up, work
from peftbench.api import run
from peftbench.engine import local, worker
from peftbench.engine.local import Fixed, LocalEngine
from peftbench.engine.worker import Job, WorkerLoop
from peftbench.errors import StoreError
from peftbench.store import Event, Store, Work

#: BitFit whose process dies in its second step, as often as it is told; it writes down every
#: training that begins.
FRAGILE = '''
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from peftbench.methods import Hook
from peftbench.methods.bitfit import Bitfit

LOG = Path(os.environ["FRAGILE_LOG"])

class Dying(Hook):
    def __init__(self, name, deaths):
        self.name, self.deaths = name, deaths

    def after_step(self, step):
        if step == 0 and self.name == "never":
            time.sleep(1.5)  # long enough to be told of
        if step == 1 and LOG.read_text().split().count(self.name) <= self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)

@dataclass(frozen=True, kw_only=True)
class Fragile(Bitfit):
    """BitFit, fragile."""

    name: str = "x"
    deaths: int = 0

    def hook(self, adapted, context):
        with LOG.open("a") as log:
            log.write(f"{self.name}\\n")
        return Dying(self.name, self.deaths)

    def peft_fields(self, shapes):
        fields = super().peft_fields(shapes)
        return {n: v for n, v in fields.items() if n not in ("name", "deaths")}

METHOD = Fragile
'''


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where each training of the plug-in is told."""
    (tmp_path / "fragile.py").write_text(FRAGILE)
    (tmp_path / "log").touch()
    monkeypatch.setenv("FRAGILE_LOG", os.fspath(tmp_path / "log"))
    monkeypatch.setenv("PEFTBENCH_PLUGINS", os.fspath(tmp_path / "fragile.py"))
    return tmp_path / "log"


FORK = multiprocessing.get_context("fork")


@pytest.fixture
def forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork workers, with all imports behind them; tests of commands start real ones."""
    warm_up(tmp_path)
    monkeypatch.setattr(local.multiprocessing, "get_context", lambda _: FORK)


def fragile(name: str, deaths: int = 0) -> dict[str, object]:
    parameters = {"name": name, "deaths": deaths}
    return {"name": "fragile", "label": name, "parameters": parameters}


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_workers_that_die_are_replaced_and_what_kills_them_is_lost(
    tmp_path: Path, log: Path
) -> None:
    made = plan(methods=[fragile("once", 1), fragile("always", 99), fragile("never")])
    heard: list[Event] = []
    with Store.open(tmp_path / "store") as store:
        engine = LocalEngine(
            store,
            made.models,
            None,
            workers=1,
            listen=heard.append,
            checkpoint_seconds=0.0,
            crashes_allowed=2,
        )
        engine.work_through(Fixed(missing(made, store)))
        once, always, never = [store.records(made.cells)[p.cell.id] for p in made.cells]
        assert [once.status, always.status, never.status] == [
            "finished",
            "lost",
            "finished",
        ]
        assert once.manifest.resumed == 1, "from the checkpoint of its first step"
        assert always.error is not None
        assert "died 2 times" in always.error
        assert kinds(store).count("train") == 3
    assert log.read_text().split() == ["once", "once", "always", "always", "never"]
    ended = [(one.what, one.unit) for one in heard if one.what in ("finished", "lost")]
    units = [p.cell.train.id for p in made.cells if p.cell.train]
    assert sorted(ended) == sorted(
        zip(["finished", "lost", "finished"], units, strict=True)
    )
    assert any(one.what == "step" for one in heard), "how far training is"


SPEC = {
    "name": "together",
    "models": ["tiny"],
    "tasks": ["generated_mood"],
    "seeds": [1, 2],
    "methods": ["base", fragile("a"), fragile("b")],
    "training": {"steps": 4, "batch_size": 4, "validations": 1, "max_length": 64},
    "limits": {"train": 16, "validation": 8, "test": 8},
}


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_two_runs_on_one_store_do_every_step_once_and_both_end(
    tmp_path: Path, log: Path
) -> None:
    settings = {"store": tmp_path / "store", "workers": 1, "measure_costs": False}
    runs = [FORK.Process(target=run, args=(SPEC,), kwargs=settings) for _ in range(2)]
    for one in runs:
        one.start()
    for one in runs:
        one.join(timeout=300)
    assert [one.exitcode for one in runs] == [0, 0]
    assert sorted(log.read_text().split()) == ["a", "a", "b", "b"], "one for each seed"
    with Store.open(tmp_path / "store", create=False) as store:
        assert sorted(kinds(store)) == [*["grade"] * 5, *["predict"] * 5, *["train"] * 4]
        assert store.results.contradictions() == []
        assert store.results.left_behind() == [], "nothing was made and dropped"
    with sqlite3.connect(tmp_path / "store" / "store.sqlite") as connection:
        [holders] = connection.execute("select count(*) from claims where holder != ''")
        [left] = connection.execute("select count(*) from wanted where not is_done")
        [events] = connection.execute("select count(*) from events where what = 'broken'")
    assert (holders, left, events) == ((0,), (0,), (0,))


# The parent, with workers that are none


class Process:
    """Stands for a worker process that has ended with this code; None: it goes on."""

    def __init__(self, code: int | None) -> None:
        self.exitcode = code

    def terminate(self) -> None:
        """Nothing to end."""

    def join(self, timeout: float | None = None) -> None:
        """It has ended."""

    def is_alive(self) -> bool:
        return False


class Doomed(LocalEngine):
    """An engine all of whose workers die before they do anything."""

    started = 0

    def _start(self) -> None:
        self.started += 1
        self._processes[f"worker {self.started}"] = Process(-9)


def test_workers_that_die_without_end_stop_the_run(tmp_path: Path) -> None:
    made = plan(methods=["base"])
    with Store.open(tmp_path / "store") as store:
        engine = Doomed(store, made.models, None, workers=2)
        with pytest.raises(StoreError, match=r"10 workers died .*exit code -9.*\blogs\b"):
            engine.work_through(Fixed(missing(made, store)))
        assert store.results.step_ids() == []


def test_what_is_broken_about_a_worker_stops_the_run_with_its_reason(
    tmp_path: Path,
) -> None:
    made = plan(methods=["base"])

    class Broken(LocalEngine):
        def _start(self) -> None:
            self.store.queue(self.run).tell("broken", "", "The disk is full.")
            self._processes["worker"] = Process(0)

    with Store.open(tmp_path / "store") as store:
        engine = Broken(store, made.models, None, workers=1)
        with pytest.raises(StoreError, match=r"^The disk is full\.$"):
            engine.work_through(Fixed(missing(made, store)))


def test_nothing_wanted_starts_nobody(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        engine = Doomed(store, {}, None, workers=2)
        engine.work_through(Fixed([]), Fixed([]))
        assert engine.started == 0


def test_costs_are_measured_by_one_worker_before_others_start(tmp_path: Path) -> None:
    """What is measured wants the machine to itself."""
    from peftbench.planning.costs import unmeasured

    made = plan(methods=["base", "bitfit"])
    counts: list[tuple[int, int]] = []

    class Counting(LocalEngine):
        def _start(self) -> None:
            """Stands for a worker that does all that is wanted by now."""
            queue = self.store.queue(self.run)
            self._processes[f"worker {len(counts)}"] = Process(None)
            counts.append((len(self._processes), len(queue.units_left())))
            if len(self._processes) == 1 or len(counts) == 3:
                while claimed := queue.claim("worker", lease_seconds=60):
                    queue.done(claimed, "finished")

    with Store.open(tmp_path / "store") as store:
        engine = Counting(store, made.models, None, workers=3)
        costs = unmeasured(made.cells, made.models, store.results)
        works = [Work(unit=f"{i}", model="tiny") for i in range(3)]
        engine.work_through(Fixed(costs), Fixed(works))
    assert counts == [(1, 2), (2, 3), (3, 3)]


def test_a_source_is_asked_until_it_wants_nothing_more(tmp_path: Path) -> None:
    made = plan(methods=["base", "bitfit"])

    class OneByOne:
        """Wants the next piece when the one before is done, as a search does."""

        def __init__(self, works: Sequence[Work], store: Store) -> None:
            self.left, self.store, self.asked = list(works), store, 0

        def ask(self, *, is_idle: bool = False) -> Sequence[Work] | None:
            self.asked += 1
            return [self.left.pop(0)] if self.left else None

    class Doing(LocalEngine):
        def _start_missing(self, queue: object, workers: int) -> None:
            own = self.store.queue(self.run)
            while claimed := own.claim("worker", lease_seconds=60):
                own.done(claimed, "finished")

    with Store.open(tmp_path / "store") as store:
        source = OneByOne(missing(made, store), store)
        heard: list[Event] = []
        engine = Doing(store, made.models, None, workers=1, listen=heard.append)
        engine.work_through(source)
        assert source.asked == 3
        assert [one.what for one in heard] == ["finished", "finished"]


def test_a_result_of_a_killed_run_is_taken_over_when_its_lease_is_over(
    tmp_path: Path,
) -> None:
    """A whole run that was killed leaves a lease, and no crash: the next waits for its end,
    by the database's clock alone."""
    made = plan(methods=["base"])
    with Store.open(tmp_path / "store") as store:
        asked = missing(made, store)
        queue = store.queue("killed")
        queue.open()
        queue.want(asked)
        assert queue.claim("killed", lease_seconds=2.0) is not None
        start_of_wait = time.monotonic()
        work(made, store)
        assert time.monotonic() - start_of_wait > 1.5
        [record] = store.records(made.cells).values()
        assert record.status == "finished"


def test_workers_are_spread_over_the_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    class Recorded:
        def __init__(self, target: Any, args: Any, daemon: bool) -> None:
            self.job, self.exitcode = args[0], None
            started.append(self)

        def start(self) -> None:
            pass

    context = SimpleNamespace(Process=Recorded)
    monkeypatch.setattr(multiprocessing, "get_context", lambda _method: context)
    monkeypatch.setattr(local, "visible_gpus", lambda: ("3", "GPU-b"))
    with Store.open(tmp_path) as store:
        engine = LocalEngine(store, {}, None, workers=4)
        for _ in range(4):
            engine._start()
        assert [one.job.gpu for one in started] == ["3", "GPU-b", "3", "GPU-b"]
        started[1].exitcode = 0
        engine._replace_dead(store.queue("r"))
        engine._start()
        assert started[4].job.gpu == "GPU-b", "where one has gone"
        monkeypatch.setattr(local, "visible_gpus", lambda: ("3",))
        engine._start()
        assert started[5].job.gpu is None, "the only one needs no name"
        engine._processes.clear()


def test_a_worker_sees_the_gpu_that_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with Store.open(tmp_path) as store:
        queue = store.queue("r")
        queue.open()
        queue.close()
    job = Job(
        store=tmp_path, run="r", holder="h", models={}, data_dir=None, threads=1, gpu="1"
    )
    process = multiprocessing.get_context("fork").Process(target=seen_gpu, args=(job,))
    process.start()
    process.join()
    assert process.exitcode == 0


def seen_gpu(job: Job) -> None:
    """In a process of its own: exits with 0 if work begins with the right GPU in sight."""

    def work(loop: WorkerLoop) -> None:
        os._exit(0 if os.environ["CUDA_VISIBLE_DEVICES"] == loop.job.gpu == "1" else 1)

    WorkerLoop.work = work  # type: ignore[method-assign]
    worker.main(job)
    os._exit(2)
