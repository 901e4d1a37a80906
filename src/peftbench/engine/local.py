"""Cells on this machine: one single-threaded worker process per core, or per GPU one."""

from __future__ import annotations

import multiprocessing
import os
import queue
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from peftbench.engine.plan import Plan
from peftbench.engine.worker import Job, main
from peftbench.errors import StoreError
from peftbench.store import Store

#: What a caller hears: ("started" | "step" | a status | "dropped", cell id, detail).
Listener = Callable[[str, str, Any], None]

_RESTARTS = 10


def default_workers() -> int:
    """One per core on a CPU; one on a machine with a GPU, which it has to itself."""
    import torch

    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))


def run_cells(
    plan: Plan,
    store: Store,
    *,
    workers: int,
    listen: Listener = lambda _what, _cell, _detail: None,
    checkpoint_seconds: float = 30.0,
    unsafe_run_code: bool = False,
) -> None:
    """Compute every cell of `plan` that the store does not hold yet.

    A worker that dies is replaced; its cell's lease ends with it, and the cell goes on
    from its last checkpoint. On Ctrl-C the workers give their cells back and end.
    """
    done = store.records(planned.cell.id for planned in plan.cells)
    cell_ids = [p.cell.id for p in plan.cells if p.cell.id not in done]
    if not cell_ids:
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1" if workers > 1 else str(os.cpu_count()))
    threads = int(os.environ["OMP_NUM_THREADS"])
    context = multiprocessing.get_context("spawn")
    messages: Any = context.Queue()
    job = Job(
        plan,
        Path(store.folder),
        threads,
        checkpoint_seconds,
        unsafe_run_code=unsafe_run_code,
    )

    def start() -> Any:
        process = context.Process(target=main, args=(job, cell_ids, messages), daemon=True)
        with _main_hidden():
            process.start()
        return process

    processes = [start() for _ in range(min(workers, len(cell_ids)))]
    restarts = 0
    broken: str | None = None
    try:
        while any(process.is_alive() for process in processes) or not messages.empty():
            with suppress(queue.Empty):
                what, cell, detail = messages.get(timeout=0.2)
                if what == "broken":
                    broken = detail
                else:
                    listen(what, cell, detail)
            for i, process in enumerate(processes):
                if (
                    process.exitcode not in (None, 0)
                    and restarts < _RESTARTS
                    and not broken
                ):
                    restarts += 1
                    processes[i] = start()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(timeout=20)
            if process.is_alive():
                process.kill()
    if broken:
        raise StoreError(broken)


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
