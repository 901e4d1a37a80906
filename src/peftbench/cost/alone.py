"""The meter works alone: one on a machine at a time, and it notes who else was busy."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone() -> Iterator[None]:
    """Wait for other meters of this user on this machine, and keep them waiting."""
    path = Path(tempfile.gettempdir()) / f"peftbench-meter-{os.getuid()}.lock"
    with path.open("w") as file:
        try:
            import fcntl
        except ImportError:  # no such locks here: the user has to take care
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def load_average() -> float | None:
    """Processes that wanted to run in the last minute, on average; None if unknown."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None
