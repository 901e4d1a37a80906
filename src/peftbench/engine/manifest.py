"""Where and with what a record was made."""

from __future__ import annotations

import platform
import socket
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "peftbench",
    "torch",
    "transformers",
    "peft",
    "datasets",
    "numpy",
    "tokenizers",
)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@lru_cache
def packages() -> dict[str, str]:
    """Versions of what computes results."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@lru_cache
def git_state() -> tuple[str | None, bool | None]:
    """Commit of peftbench's own working tree and whether it has uncommitted changes."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def host() -> str:
    """Name of this machine."""
    return socket.gethostname()


def system() -> str:
    """Operating system, processor type and Python."""
    return f"{platform.platform()}, Python {platform.python_version()}"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()
