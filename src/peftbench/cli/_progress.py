"""Live progress of a run: bars on a terminal, a line per cell anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from peftbench.report import numbers
from peftbench.store import PlannedCell


class Listener(Protocol):
    """What `peftbench.run` tells of: what happens, to which cell, and a detail."""

    def __call__(self, what: str, cell_id: str, detail: Any) -> None:
        """Hear of one event."""


@contextmanager
def progress(
    cells: Mapping[str, PlannedCell], to_do: int, console: Console
) -> Iterator[Listener]:
    """A listener that shows what happens while the block runs."""
    if not console.is_terminal:
        yield _Lines(cells, to_do, console)
        return
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bars:
        yield _Bars(cells, bars, bars.add_task("cells", total=to_do), console)


def name_of(planned: PlannedCell) -> str:
    """How people call a cell: "tiny · lora · sst2 · seed 1"."""
    seed = "" if planned.cell.seed is None else f" · seed {planned.cell.seed}"
    return f"{planned.model} · {planned.label} · {planned.cell.task.name}{seed}"


def _outcome(planned: PlannedCell, status: str, record: Any) -> str:
    if status == "finished" and planned.cell.trial:
        best = next(
            look.score for look in record.validations if look.step == record.best_step
        )
        return f"{name_of(planned)}: validation {numbers.score(best)}"
    if status == "finished":
        headline = record.headline
        seconds = sum(record.seconds.values())
        score = (
            f"{headline.metric} {numbers.score(headline.value)}"
            if headline
            else "its headline is unavailable"
        )
        return f"{name_of(planned)}: {score} ({seconds:.1f} s)"
    reason = (record.error or "").splitlines()[0] if record else ""
    return f"{name_of(planned)}: {status}: {reason}"


@dataclass
class _Lines:
    """One line when a cell ends: for log files."""

    cells: Mapping[str, PlannedCell]
    to_do: int
    console: Console
    done: int = 0
    start: float = field(default_factory=time.monotonic)

    def __call__(self, what: str, cell_id: str, detail: Any) -> None:
        """See `Listener`."""
        if what == "measuring":
            self._print(f"measuring the cost of {cell_id}")
        elif what == "scoring":
            self._print(f"scoring on perturbed sets: {name_of(self.cells[cell_id])}")
        elif what not in ("started", "step", "dropped"):
            self.done += 1
            outcome = _outcome(self.cells[cell_id], what, detail)
            self._print(f"[{self.done}/{self.to_do}] {outcome}")

    def _print(self, line: str) -> None:
        line = f"{time.monotonic() - self.start:7.1f} s  {line}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


@dataclass
class _Bars:
    """One bar for all cells and one for each cell being computed."""

    cells: Mapping[str, PlannedCell]
    bars: Progress
    overall: TaskID
    console: Console
    running: dict[str, TaskID] = field(default_factory=dict)
    measuring: TaskID | None = None

    def __call__(self, what: str, cell_id: str, detail: Any) -> None:
        """See `Listener`."""
        if what in ("measuring", "scoring"):
            if self.measuring is None:
                self.measuring = self.bars.add_task("", total=None)
            said = f"measuring the cost of {cell_id}"
            if what == "scoring":
                said = f"scoring on perturbed sets: {name_of(self.cells[cell_id])}"
            self.bars.update(self.measuring, description=said)
            return
        if self.measuring is not None:
            self.bars.remove_task(self.measuring)
            self.measuring = None
        if what == "step":
            step, steps = detail
            bar = self.running.get(cell_id)
            if bar is not None:
                self.bars.update(bar, completed=step, total=steps)
        elif what == "started":
            title = f"  {name_of(self.cells[cell_id])}"
            self.running[cell_id] = self.bars.add_task(title, total=None)
        else:
            if (bar := self.running.pop(cell_id, None)) is not None:
                self.bars.remove_task(bar)
            if what != "dropped":
                self.bars.advance(self.overall)
                outcome = _outcome(self.cells[cell_id], what, detail)
                self.console.print(outcome, markup=False, highlight=False, soft_wrap=True)
