"""A worker process: claims work from the ledger, piece after piece, until none is left."""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftbench.errors import PeftbenchError
from peftbench.models import ModelSource
from peftbench.store import Claimed, Lease, LeaseLost, Queue, Store

if TYPE_CHECKING:
    from peftbench.engine.host import ModelHost

log = logging.getLogger(__name__)

#: A lease outlives several missed heartbeats.
LEASE_SECONDS = 30.0
#: A step whose worker died so often over it, without getting further, is given up as lost.
CRASHES_ALLOWED = 3
#: How long an idle worker waits before it asks again.
_PAUSE_SECONDS = 0.3


@dataclass(frozen=True)
class Job:
    """What a worker process is told: all of it can be pickled."""

    store: Path
    run: str
    holder: str
    models: Mapping[str, ModelSource]  # by identity
    data_dir: Path | None
    threads: int
    checkpoint_seconds: float = 30.0
    lease_seconds: float = LEASE_SECONDS
    crashes_allowed: int = CRASHES_ALLOWED
    unsafe_run_code: bool = False
    gpu: str | None = None  # the one to use where there are several


@dataclass
class Progress:
    """How far the training of a piece of work is."""

    step: int = 0
    steps: int = 0

    def __call__(self, step: int, steps: int) -> None:
        """Hear of a step."""
        self.step, self.steps = step, steps


@dataclass
class WorkerLoop:
    """The one kind of worker: base, rows and adapters stay warm from piece to piece."""

    job: Job
    store: Store
    _host: ModelHost | None = None
    queue: Queue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = self.store.queue(self.job.run)

    def work(self) -> None:
        """Do what is wanted until the run is over; waits while others do the last of it, for
        they may die and leave it to this one."""
        while True:
            claimed = self.queue.claim(
                self.job.holder, lease_seconds=self.job.lease_seconds
            )
            if claimed is not None:
                self.do(claimed)
            elif self.queue.is_over():
                return
            else:
                time.sleep(_PAUSE_SECONDS)

    def do(self, claimed: Claimed) -> None:
        """One piece of work, from claim to release."""
        unit = claimed.work.unit
        self.queue.tell("started", unit)
        progress = Progress()
        try:
            with self._heartbeat(claimed.lease, progress):
                status, detail = self._do(claimed, progress)
            self.queue.done(claimed, status, detail)
        except KeyboardInterrupt:
            self._give_back(claimed.lease)
            raise
        except LeaseLost as error:
            log.warning("%s", error)
            if self._host is not None:
                self._host.take_off()
            self.queue.tell("dropped", unit)
        except Exception:
            self._give_back(claimed.lease)
            raise
        log.info("%s done", unit[:12])

    def _do(self, claimed: Claimed, progress: Progress) -> tuple[str, str]:
        from peftbench.engine.host import ModelHost  # the first piece waits for torch

        if self._host is None:
            self._host = ModelHost(self.job.models, self.job.data_dir)
        if claimed.work.measure is not None:
            from peftbench.engine.measure import measure  # what counts is seconds to import

            reason = measure(
                claimed,
                self.store,
                self._host,
                crashes_allowed=self.job.crashes_allowed,
            )
            return "measured", reason
        from peftbench.engine.unit import Unit

        unit = Unit(
            work=claimed.work,
            lease=claimed.lease,
            store=self.store,
            host=self._host,
            on_step=progress,
            checkpoint_seconds=self.job.checkpoint_seconds,
            crashes_allowed=self.job.crashes_allowed,
            unsafe_run_code=self.job.unsafe_run_code,
        )
        return unit.do(), ""

    def _give_back(self, lease: Lease) -> None:
        try:
            self.store.claims.release(lease)
        except PeftbenchError as error:
            log.warning("%s", error)

    @contextmanager
    def _heartbeat(self, lease: Lease, progress: Progress) -> Iterator[None]:
        """Keep the lease alive, and tell how far it is, from a thread of its own."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(min(1.0, self.job.lease_seconds / 6)):
                try:
                    self.store.claims.renew(
                        lease, self.job.lease_seconds, (progress.step, progress.steps)
                    )
                except LeaseLost:
                    return  # the next commit will find the same, and say so
                except PeftbenchError as error:
                    log.warning("%s", error)  # it may pass; the lease lasts a while

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def main(job: Job) -> None:
    """Entry point of a worker process."""
    import signal

    # Ctrl-C goes to the whole terminal; the parent decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    _end_with_parent()
    _log_to(job.store / "logs")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if job.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = job.gpu  # before torch looks for them
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    store = Store.open(job.store, create=False)
    try:
        import torch  # seconds, in which the run may end

        from peftbench.training.repeatable import use_repeatable_kernels

        torch.set_num_threads(job.threads)
        use_repeatable_kernels()
        WorkerLoop(job, store).work()
    except KeyboardInterrupt:
        pass
    except PeftbenchError as error:
        store.queue(job.run).tell("broken", "", str(error))
    except Exception as error:
        # Ours, not the work's: nothing would be better the next time.
        log.exception("a worker failed")
        where = traceback.format_exc(limit=-3)
        said = (
            f"A worker failed ({type(error).__name__}: {error}). Please report it:\n{where}"
        )
        store.queue(job.run).tell("broken", "", said)
    finally:
        store.close()


def _log_to(folder: Path) -> None:
    """Keep what this process does, and what goes wrong, in a file of its own."""
    from peftbench.manifest import host

    folder.mkdir(exist_ok=True)
    logging.basicConfig(
        filename=folder / f"{host()}-{os.getpid()}.log",
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    log.setLevel(logging.INFO)


def _end_with_parent() -> None:
    """End at once if the parent is killed: nobody would hear of what is done here."""
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _interrupt(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt
