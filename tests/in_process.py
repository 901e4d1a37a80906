"""What workers do, done in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from peftbench.engine import local
from peftbench.engine.local import LocalEngine
from peftbench.engine.worker import Job, WorkerLoop
from peftbench.planning.plan import Plan, make_plan
from peftbench.planning.wanted import wanted
from peftbench.spec import from_mapping
from peftbench.store import Event, Queue, Store, Work

TINY: dict[str, Any] = {
    "name": "b",
    "models": ["tiny"],
    "methods": ["bitfit"],
    "tasks": ["generated_mood"],
    "seeds": [1],
    "training": {"steps": 3, "batch_size": 4, "validations": 1, "max_length": 64},
    "limits": {"train": 16, "validation": 8, "test": 8},
}


def plan(data_dir: Path | None = None, **changes: Any) -> Plan:
    """A plan that takes a second, or one that differs from it in these parts."""
    return make_plan(from_mapping({**TINY, **changes}), data_dir)


def missing(made: Plan, store: Store) -> list[Work]:
    """What the store lacks of a plan."""
    return wanted(made.cells, store.results, keep_adapters=made.benchmark.keep_adapters)


def work(
    made: Plan, store: Store, works: Sequence[Work] | None = None, **job: Any
) -> list[Event]:
    """Do what the store lacks of a plan, or these works; returns what happened."""
    queue = store.queue(f"run {store.results.new_token()}")
    queue.open()
    queue.want(missing(made, store) if works is None else works)
    queue.close()
    asked = Job(
        store=store.folder,
        run=queue.run,
        holder=queue.run,
        models=made.models,
        data_dir=made.data_dir,
        threads=1,
        **job,
    )
    WorkerLoop(asked, store).work()
    return queue.events()


def warm_up(folder: Path) -> None:
    """Have all imports and first times behind this process, before it is forked."""
    with Store.open(folder / "warm") as store:
        work(plan(), store)


def kinds(store: Store, before: Sequence[str] = ()) -> list[str]:
    """The kinds of the steps that were done since `before`, in their order."""
    new = [one for one in store.results.step_ids() if one not in set(before)]
    found = store.results.by_id(new)
    return [found[one].step.kind for one in new]


@dataclass
class InProcess(LocalEngine):
    """An engine whose one worker is this process."""

    _loop: WorkerLoop | None = None

    def _start_missing(self, queue: Queue, workers: int) -> None:
        if self._loop is None:
            job = Job(
                store=self.store.folder,
                run=self.run,
                holder=self.run,
                models=self.models,
                data_dir=self.data_dir,
                threads=1,
                checkpoint_seconds=self.checkpoint_seconds,
                unsafe_run_code=self.unsafe_run_code,
            )
            self._loop = WorkerLoop(job, self.store)
        while claimed := queue.claim(self.run, lease_seconds=60):
            self._loop.do(claimed)


@contextmanager
def workers_in_process() -> Iterator[None]:
    """Let runs be worked through in the test's own process."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(local, "LocalEngine", InProcess)
        yield
