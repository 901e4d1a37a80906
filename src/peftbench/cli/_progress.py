"""Live progress of a run: bars on a terminal, a line per cell anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from peftbench.cli._print import Terminal
from peftbench.news import Listen, News


@contextmanager
def progress(to_do: int, console: Terminal) -> Iterator[Listen]:
    """A listener that shows what happens while the block runs."""
    if not console.is_terminal:
        yield _Lines(to_do, console)
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
        yield _Bars(bars, bars.add_task("cells", total=to_do), console)


@dataclass
class _Lines:
    """One line when something ends: for log files."""

    to_do: int
    console: Terminal
    done: int = 0
    start: float = field(default_factory=time.monotonic)

    def __call__(self, news: News) -> None:
        """Print what ended, and which cost is measured, for nothing else goes on then."""
        if news.of == "cost" and news.what == "started":
            self._print(f"measuring the cost of {news.name}")
        elif news.what == "ended" and news.of == "cell":
            self.done += 1
            total = max(self.done, self.to_do)
            self._print(f"[{self.done}/{total}] {news.name}: {news.said}")
        elif news.what == "ended" and news.said:
            self._print(f"{news.name}: {news.said}")

    def _print(self, line: str) -> None:
        line = f"{time.monotonic() - self.start:7.1f} s  {line}"
        self.console.print(line, highlight=False, soft_wrap=True)


@dataclass
class _Bars:
    """One bar for all cells and one for each that is worked on."""

    bars: Progress
    overall: TaskID
    console: Terminal
    running: dict[str, TaskID] = field(default_factory=dict)

    def __call__(self, news: News) -> None:
        """Move the bars."""
        if news.what == "step":
            if (bar := self.running.get(news.unit)) is not None:
                self.bars.update(bar, completed=news.step, total=news.steps)
            return
        if news.what == "started":
            doing = "measuring the cost of " * (news.of == "cost")
            self.running[news.unit] = self.bars.add_task(
                f"  {doing}{news.name}", total=None
            )
            return
        if (bar := self.running.pop(news.unit, None)) is not None:
            self.bars.remove_task(bar)
        if news.what == "ended" and news.of == "cell":
            self.bars.advance(self.overall)
        if news.said:
            line = f"{news.name}: {news.said}"
            self.console.print(line, highlight=False, soft_wrap=True)
