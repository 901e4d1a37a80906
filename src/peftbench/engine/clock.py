"""Wall time by phase: every second of a cell belongs to one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peftbench.training.loop import Keeper

#: What no phase claims: leases, the parts of a record.
_REST = "other"


class PhaseClock:
    """Accumulates seconds by phase name; an inner phase stops the outer one's clock.

    The seconds of all phases and of "other" add up to what went by since it was made.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._seconds: dict[str, float] = {}
        self._stack: list[str] = []
        self._started = self._since = now()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time inside as `name`."""
        self._settle()
        self._stack.append(name)
        try:
            yield
        finally:
            self._settle()
            self._stack.pop()

    def read(self) -> dict[str, float]:
        """Seconds by phase, up to now."""
        self._settle()
        return {name: round(seconds, 4) for name, seconds in self._seconds.items()}

    @property
    def wall_seconds(self) -> float:
        """Since the clock was made, up to the last change of phase or reading."""
        return round(self._since - self._started, 4)

    def _settle(self) -> None:
        now = self._now()
        name = self._stack[-1] if self._stack else _REST
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now


@dataclass(frozen=True)
class TimedKeeper:
    """A keeper of checkpoints whose work is the phases "save" and "load"."""

    keeper: Keeper
    clock: PhaseClock

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Keep what `write` puts into a folder."""
        with self.clock.phase("save"):
            self.keeper.save(step, write)

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole."""
        with self.clock.phase("load"):
            return self.keeper.latest()
