"""Where and with what a record was made."""

from __future__ import annotations

import platform
import socket
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import peftbench
from peftbench.spec.frozen import Frozen

_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "datasets",
    "numpy",
    "tokenizers",
)


class Manifest(Frozen):
    """Where, when and with what a record was made. Of an import, what it tells: the rest
    is "", 0 or None."""

    started_at: str = ""
    finished_at: str = ""
    host: str = ""
    platform: str = ""
    device: str = ""
    threads: int = 0
    packages: Mapping[str, str] = {}
    git_commit: str | None = None
    """Of peftbench's own working tree; None where it is installed from a package."""
    git_dirty: bool | None = None
    initial_adapter_sha256: str | None = None
    """Of the trainable tensors before the first step."""
    chat_template: bool | None = None
    """Whether prompts went through the tokenizer's chat template."""
    resumed: int = 0
    """How often the run went on from a checkpoint after an interruption."""
    not_repeatable: tuple[str, ...] | None = None
    """Operators without a deterministic kernel on this device: the same run may come out
    otherwise there. Empty: bit for bit; None where that is not told."""
    programs_run_in: str | None = None
    """What ran the programs that the model wrote; None where none were run."""
    ran_programs_unsafely: bool = False
    """Whether that was no sandbox, which somebody asked for outright."""


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@lru_cache
def packages() -> dict[str, str]:
    """Versions of what computes results."""
    found = {"peftbench": peftbench.__version__}  # also of a source tree on the path
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@lru_cache
def git_state() -> tuple[str | None, bool | None]:
    """Commit of peftbench's own working tree and whether it has uncommitted changes."""
    root = Path(__file__).parents[2]
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


def made_here(
    *,
    started_at: str,
    device: str,
    threads: int,
    initial_adapter_sha256: str | None = None,
    chat_template: bool | None = None,
    resumed: int = 0,
    not_repeatable: Iterable[str] | None = None,
    programs_run_in: str | None = None,
    ran_programs_unsafely: bool = False,
) -> Manifest:
    """The manifest of something that this process made, and finished now."""
    commit, dirty = git_state()
    return Manifest(
        started_at=started_at,
        finished_at=now(),
        host=host(),
        platform=system(),
        device=device,
        threads=threads,
        packages=packages(),
        git_commit=commit,
        git_dirty=dirty,
        initial_adapter_sha256=initial_adapter_sha256,
        chat_template=chat_template,
        resumed=resumed,
        not_repeatable=None if not_repeatable is None else tuple(sorted(not_repeatable)),
        programs_run_in=programs_run_in,
        ran_programs_unsafely=ran_programs_unsafely,
    )
