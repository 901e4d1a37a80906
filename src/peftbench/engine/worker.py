"""A worker process: claims cells one after the other, over one resident base model."""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftbench.engine.plan import Plan
from peftbench.errors import CellFailed, PeftbenchError
from peftbench.spec import Cell
from peftbench.store import Evaluated, Lease, LeaseLost, Record, Store, Worker

if TYPE_CHECKING:
    from torch import nn

    from peftbench.engine.cell_run import CellRun, FurtherEvaluation
    from peftbench.engine.clock import PhaseClock
    from peftbench.engine.robustness import PerturbedSets
    from peftbench.evaluation.metrics import Answers
    from peftbench.models._load import BaseModel
    from peftbench.spec.facts import TaskFacts
    from peftbench.tasks._data import TaskData

log = logging.getLogger(__name__)

#: A lease outlives a missed heartbeat several times over.
LEASE_SECONDS = 120.0
_HEARTBEAT_SECONDS = 10.0
#: A cell whose worker vanished so often without getting further is given up as lost.
CRASHES_ALLOWED = 3


@dataclass(frozen=True)
class Job:
    """What a worker process is told: all of it can be pickled."""

    plan: Plan
    store: Path
    threads: int
    checkpoint_seconds: float = 30.0
    crashes_allowed: int = CRASHES_ALLOWED
    unsafe_run_code: bool = False


@dataclass
class Bench:
    """What a worker keeps between cells: the base model and the data."""

    job: Job
    store: Store
    messages: Any = None  # a queue to the parent, or None
    base: BaseModel | None = None
    base_key: tuple[str, str] | None = None
    data: dict[str, TaskData] = field(default_factory=dict)
    perturbed: PerturbedSets | None = None

    def work(self, cell_ids: Sequence[str]) -> None:
        """Compute cells until all are done; waits for those that others hold."""
        cells = {planned.cell.id: planned.cell for planned in self.job.plan.cells}
        me = Worker.here()
        while True:
            lease = self.store.claim(cell_ids, me, lease_seconds=LEASE_SECONDS)
            if lease is not None:
                self.compute(cells[lease.cell_id], lease)
            elif self.store.is_held(cell_ids):
                time.sleep(0.5)  # another process works on it, or dies and leaves it to us
            else:
                self.store.tidy(cell_ids)
                return

    def compute(self, cell: Cell, lease: Lease) -> None:
        """One cell, from claim to commit. Whatever goes wrong with it is its result."""
        from peftbench.engine.clock import PhaseClock

        clock = PhaseClock()
        self._tell("started", cell)
        run: CellRun | None = None
        try:
            with self._heartbeat(lease):
                staging = self.store.staging(lease)
                if lease.crashes >= self.job.crashes_allowed:
                    record = self._failure(
                        cell,
                        None,
                        "lost",
                        f"Its worker process vanished {lease.crashes} times, perhaps killed "
                        "for its memory. Try a smaller batch, then --retry lost.",
                    )
                else:
                    run = self._prepare(cell, lease, staging, clock)
                    record = run.compute()
        except KeyboardInterrupt:
            self.store.release(lease)
            raise
        except LeaseLost as error:
            log.warning("%s", error)
            self._tell("dropped", cell)
            return
        except CellFailed as error:
            record = self._failure(cell, run, error.status, str(error))
        except PeftbenchError as error:
            if not _is_about_the_cell(error):
                self.store.release(lease)
                raise
            record = self._failure(cell, run, "failed", str(error))
        except Exception as error:
            where = traceback.format_exc(limit=-4)
            record = self._failure(
                cell, run, "failed", f"{type(error).__name__}: {error}\n{where}"
            )
        with clock.phase("check"):
            if run is not None and (self.base is None or not self.base.is_intact()):
                self.base_key = None  # load it again rather than trust it
        # All but the commit: a record cannot tell how long it took to write it.
        times = {"seconds": clock.read(), "wall_seconds": clock.wall_seconds}
        record = record.model_copy(update=times)
        try:
            if record.status == "finished" and run is not None:
                self.store.commit(lease, record, staging, run.evaluated)
            else:
                self.store.commit(lease, record)
        except LeaseLost as error:
            log.warning("%s", error)
        self._tell(record.status, cell, record)

    def _prepare(
        self, cell: Cell, lease: Lease, staging: Path, clock: PhaseClock
    ) -> CellRun:
        with clock.phase("start"):  # the first cell of a process waits for torch
            from peftbench.engine.cell_run import CellRun
            from peftbench.models._load import load
            from peftbench.tasks._data import load_task_data

        key = (cell.model.identity, cell.model.dtype)
        if self.base is None or self.base_key != key:
            self.base = None  # free it first: two may not fit
            with clock.phase("load"):
                self.base = load(
                    self.job.plan.models[cell.model.identity], cell.model.dtype
                )
            self.base_key = key
        if cell.task.name not in self.data:
            with clock.phase("load"):
                limits = cell.limits.model_dump()
                self.data[cell.task.name] = load_task_data(
                    cell.task.name,
                    data_dir=self.job.plan.data_dir,
                    limits=limits,
                    protocol=cell.protocol,
                )
        return CellRun(
            cell=cell,
            base=self.base,
            data=self.data[cell.task.name],
            checkpoints=self.store.checkpoints(cell.id, lease),
            staging=staging,
            keep_adapter=self.job.plan.benchmark.keep_adapters,
            on_step=lambda step, steps: self._tell("step", cell, (step, steps)),
            checkpoint_seconds=self.job.checkpoint_seconds,
            trials=self.job.plan.trials.get(cell.id, ()),
            clock=clock,
            further_evaluation=self._robustness(cell),
            unsafe_run_code=self.job.unsafe_run_code,
        )

    def _robustness(self, cell: Cell) -> FurtherEvaluation | None:
        """How the cell's adapter is scored on perturbed sets, where that is asked for."""
        from peftbench.engine.robustness import Examiner, PerturbedSets, pair_sets

        if cell.task.name not in self.job.plan.perturbed:
            return None
        self.perturbed = self.perturbed or PerturbedSets(self.job.plan)
        pairs = pair_sets(self.job.plan, cell.task.name, self.perturbed.of(cell.task.name))

        def evaluate(run: CellRun, adapted: nn.Module, clean: Answers) -> list[Evaluated]:
            staging = self.store.evaluations.staging(cell.id)
            examiner = Examiner(cell, run.base, staging, run.manifest)
            return examiner.evaluate(adapted, clean, pairs)

        return evaluate

    def _failure(self, cell: Cell, run: CellRun | None, status: Any, error: str) -> Record:
        from peftbench import manifest as facts
        from peftbench.manifest import Manifest
        from peftbench.methods._build import about

        manifest = (
            run.manifest()
            if run
            else Manifest(
                started_at=facts.now(),
                finished_at=facts.now(),
                host=facts.host(),
                platform=facts.system(),
                device="",
                threads=self.job.threads,
                packages=facts.packages(),
                git_commit=None,
                git_dirty=None,
                initial_adapter_sha256=None,
                chat_template=False,
            )
        )
        return Record(
            cell=cell,
            task=_task_facts(cell),
            method=about(cell.method),
            status=status,
            manifest=manifest,
            error=error,
        )

    @contextmanager
    def _heartbeat(self, lease: Lease) -> Iterator[None]:
        """Keep the lease alive from a thread of its own while a cell is computed."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(_HEARTBEAT_SECONDS):
                try:
                    self.store.heartbeat(lease, lease_seconds=LEASE_SECONDS)
                except PeftbenchError:
                    return  # the commit will find the same, and say so

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _tell(self, what: str, cell: Cell, detail: Any = None) -> None:
        if what != "step":
            reason = getattr(detail, "error", None)
            log.info("%s %s%s", cell.short_id, what, f": {reason}" if reason else "")
        if self.messages is not None:
            self.messages.put((what, cell.id, detail))


def _task_facts(cell: Cell) -> TaskFacts | None:
    """What a record tells of its task; None where its own file is what failed."""
    from peftbench import tasks
    from peftbench.evaluation.score import task_facts

    try:
        return task_facts(tasks.get(cell.task.name, cell.protocol))
    except Exception:  # anything may go wrong in a file of others
        return None


def _is_about_the_cell(error: PeftbenchError) -> bool:
    """A full disk or a damaged store concerns every cell; bad data only its own."""
    from peftbench.errors import StoreError

    return not isinstance(error, StoreError)


def main(job: Job, cell_ids: Sequence[str], messages: Any) -> None:
    """Entry point of a worker process."""
    import signal

    # Ctrl-C goes to the whole terminal; the parent decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    _end_with_parent()
    _log_to(job.store / "logs")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import torch

    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    store = Store.open(job.store, create=False)
    try:
        Bench(job, store, messages).work(cell_ids)
    except KeyboardInterrupt:
        pass
    except PeftbenchError as error:
        messages.put(("broken", "", str(error)))
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
