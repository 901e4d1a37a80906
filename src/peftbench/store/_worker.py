"""Who holds a lease, and whether that process is still there."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Worker:
    """A process: its machine, its number, and when it started."""

    host: str
    pid: int
    started: str  # of the process, so that a recycled number is not mistaken for it

    @classmethod
    def here(cls) -> Worker:
        """This process."""
        pid = os.getpid()
        return cls(_machine(), pid, _started(pid))

    @classmethod
    def parse(cls, text: str) -> Worker:
        """From the text in the store."""
        host, pid, started = text.rsplit("|", 2)
        return cls(host, int(pid), started)

    def __str__(self) -> str:
        return f"{self.host}|{self.pid}|{self.started}"

    def is_gone(self) -> bool:
        """True if it ran on this machine and does not any more."""
        return self.host == _machine() and _started(self.pid) != self.started


@lru_cache
def _machine() -> str:
    """Name of this machine and its boot: after a restart no process is the same."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()}/{boot.read_text().strip()[:8] if boot.exists() else ''}"


def _started(pid: int) -> str:
    """Start time of a process in clock ticks; "" where there is none such."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _probe(pid)
    return "" if fields[0] == "Z" else fields[19]


def _probe(pid: int) -> str:
    """Without /proc all that can be asked is whether there is such a process."""
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"
