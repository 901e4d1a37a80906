"""Work on this machine: worker processes, spread over its cores or its GPUs."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from peftbench.engine.worker import CRASHES_ALLOWED, LEASE_SECONDS, Job, main
from peftbench.errors import StoreError
from peftbench.models import ModelSource
from peftbench.models._device import visible_gpus
from peftbench.store import Event, Queue, Store, Work

#: Hears what happens: an event, and of "step" how far a unit's training is.
Listener = Callable[[Event], None]

_POLL_SECONDS = 0.2
#: So many workers may die in a row, without any piece of work getting done.
_DEATHS_IN_A_ROW = 10


class Source(Protocol):
    """Where wanted work comes from: a fixed list, or a search that waits for results."""

    def ask(self, *, is_idle: bool = False) -> Sequence[Work] | None:
        """What else is wanted now; None: nothing more will ever be. `is_idle`: nothing of what
        was asked for before is left to do, so what is still missing was forgotten."""


@dataclass
class Fixed:
    """Work that is all known beforehand."""

    works: Sequence[Work]
    is_asked: bool = False

    def ask(self, *, is_idle: bool = False) -> Sequence[Work] | None:  # noqa: ARG002
        """All of it, once."""
        if self.is_asked:
            return None
        self.is_asked = True
        return self.works


@dataclass
class LocalEngine:
    """Starts workers on this machine and keeps them going until a source is exhausted."""

    store: Store
    models: Mapping[str, ModelSource]
    data_dir: Path | None
    workers: int
    listen: Listener = lambda _event: None
    checkpoint_seconds: float = 30.0
    lease_seconds: float = LEASE_SECONDS
    crashes_allowed: int = CRASHES_ALLOWED
    unsafe_run_code: bool = False
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    _processes: dict[str, Any] = field(default_factory=dict)
    _gpus: dict[str, str | None] = field(default_factory=dict)  # by holder
    _deaths: int = 0
    _heard: int = 0
    _kept_open: float = 0.0
    _broken: str | None = None

    def work_through(self, *sources: Source) -> None:
        """Do the work of one source after the other: all of the first is done before any of
        the next is. What is measured comes first, for it wants to be alone.

        A worker that dies is replaced, and its work goes on from its last checkpoint. On
        Ctrl-C the workers give their work back and end.
        """
        queue = self.store.queue(self.run)
        queue.open()
        try:
            for source in sources:
                self._exhaust(queue, source)
            queue.close()
            self._wait(queue)
        finally:
            queue.close()
            self._end()
            self._hear(queue)

    def _exhaust(self, queue: Queue, source: Source) -> None:
        """Until the source wants nothing more and all of it is done."""
        while True:
            works = source.ask(is_idle=not queue.units_left(1))
            if works is None:
                self._wait(queue)
                return
            queue.want(works)
            alone = any(one.measure is not None for one in works)
            self._start_missing(queue, 1 if alone else self.workers)
            self._pause(queue, 1 if alone else self.workers)

    def _wait(self, queue: Queue) -> None:
        while left := queue.units_left(self.workers):
            self._pause(queue, len(left) if not self._processes else None)

    def _pause(self, queue: Queue, workers: int | None = None) -> None:
        """Let a moment pass; hear what happens, replace who died."""
        time.sleep(_POLL_SECONDS)
        self._hear(queue)
        self._replace_dead(queue)
        if workers is not None:
            self._start_missing(queue, workers)
        if time.monotonic() - self._kept_open > 10:
            queue.keep_open()
            self._kept_open = time.monotonic()
        if self._broken:
            raise StoreError(self._broken)

    def _hear(self, queue: Queue) -> None:
        for event in queue.events(self._heard):
            self._heard = event.number
            if event.what == "broken":
                self._broken = event.detail
                continue
            if event.what != "started":
                self._deaths = 0
            self.listen(event)
        for held in queue.held():
            if held.steps:
                detail = f"{held.step}/{held.steps}"
                self.listen(Event(0, 0.0, "step", held.unit, detail))

    def _start_missing(self, queue: Queue, workers: int) -> None:
        wanted = len(queue.units_left(workers))
        while len(self._processes) < wanted:
            self._start()

    def _start(self) -> None:
        os.environ.setdefault(
            "OMP_NUM_THREADS", "1" if self.workers > 1 else str(os.cpu_count())
        )
        holder = uuid.uuid4().hex
        gpus = visible_gpus()
        gpu = min(gpus, key=list(self._gpus.values()).count) if len(gpus) > 1 else None
        job = Job(
            store=Path(self.store.folder),
            run=self.run,
            holder=holder,
            models=self.models,
            data_dir=self.data_dir,
            threads=int(os.environ["OMP_NUM_THREADS"]),
            checkpoint_seconds=self.checkpoint_seconds,
            lease_seconds=self.lease_seconds,
            crashes_allowed=self.crashes_allowed,
            unsafe_run_code=self.unsafe_run_code,
            gpu=gpu,
        )
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=main, args=(job,), daemon=True)
        with _main_hidden():
            process.start()
        self._processes[holder] = process
        self._gpus[holder] = gpu

    def _replace_dead(self, queue: Queue) -> None:
        for holder, process in list(self._processes.items()):
            if process.exitcode is None:
                continue
            del self._processes[holder]
            self._gpus.pop(holder, None)
            if process.exitcode != 0:
                # It died while this process lives: over its work, as far as one can tell.
                self.store.claims.bury(holder, is_crash=True)
                self._deaths += 1
                if self._deaths >= _DEATHS_IN_A_ROW:
                    raise StoreError(
                        f"{self._deaths} workers died one after the other, and nothing got "
                        f"done in between (the last with exit code {process.exitcode}). "
                        f"{self.store.folder / 'logs'} has what they said; too little memory "
                        "is the usual reason: try fewer --workers or a smaller batch."
                    )
                if queue.units_left(1):
                    self._start()

    def _end(self) -> None:
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + 20
        for process in self._processes.values():
            process.join(timeout=max(0.1, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        for holder in self._processes:
            self.store.claims.bury(holder, is_crash=False)
        self._processes.clear()


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Let a spawned worker import peftbench alone, not the caller's script again: that
    would call `peftbench.run` once more where it has no `if __name__ == "__main__"`."""
    module = vars(sys.modules["__main__"])
    hidden = {n: module.pop(n) for n in [*module] if n in ("__file__", "__spec__")}
    module["__spec__"] = None
    try:
        yield
    finally:
        module.update(hidden)
