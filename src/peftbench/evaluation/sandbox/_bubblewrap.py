"""A Python program inside bubblewrap (https://github.com/containers/bubblewrap).

It gets name spaces of its own (user, mount, process, network, IPC, host name), and in them
the interpreter, read-only. No process of it outlives its run.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar

from peftbench.evaluation.sandbox._process import (
    DEFAULT,
    Limits,
    Program,
    Result,
    guest_arguments,
    program_text,
    sealed,
    watch,
)
from peftbench.evaluation.sandbox._python import Interpreter, this_interpreter
from peftbench.evaluation.sandbox._seccomp import seccomp_filter

INSTALL = (
    "Install bubblewrap 0.8 or newer (`apt-get install bubblewrap`, `dnf install "
    "bubblewrap`) where user namespaces are allowed"
)
#: An ordinary user: the kernel exempts the machine's root from its limit on threads.
_NOBODY = 65534


@dataclass(frozen=True)
class Bubblewrap:
    """Runs programs through the `bwrap` at `path`."""

    path: str = "bwrap"

    is_safe: ClassVar[bool] = True

    @property
    def description(self) -> str:
        """The tool and its version."""
        return f"sandbox ({_version(self.path)})"

    def run(self, program: Program, stdin: str = "", limits: Limits = DEFAULT) -> Result:
        """As `Runner.run`."""
        with ExitStack() as stack:
            text = stack.enter_context(sealed("program", program_text(program)))
            read = stdin.encode("utf-8", "replace")
            stdin_fd = stack.enter_context(sealed("stdin", read))
            rules = stack.enter_context(sealed("seccomp", seccomp_filter() or b""))
            command = [
                *self._as_nobody,
                *self._inside(rules),
                str(this_interpreter().executable),
                *guest_arguments(text, program, limits),
            ]
            return watch(
                command,
                stdin_fd=stdin_fd,
                pass_fds=(text, rules),
                limits=limits,
                cwd=Path("/"),
                environment={},
            )

    @cached_property
    def _as_nobody(self) -> Sequence[str]:
        """For root only: become nobody, where the interpreter can still be read.

        Folders on the way to it that others may not enter (/root, mostly) are replaced,
        for this one process, by empty ones that hold nothing but the interpreter.
        """
        if os.geteuid() != 0:
            return ()
        # Its own processes: all of them end with the first, whoever they have become.
        steps = [self._bwrap, "--unshare-pid", "--die-with-parent"]
        steps += ["--dev-bind", "/", "/", "--proc", "/proc"]
        paths = this_interpreter().paths
        for closed in sorted({c for path in paths if (c := _closed_to_others(path))}):
            steps += ["--perms", "0755", "--tmpfs", str(closed)]
            for path in (path for path in paths if path.is_relative_to(closed)):
                for parent in reversed(path.parents):
                    if parent.is_relative_to(closed) and parent != closed:
                        steps += ["--perms", "0755", "--dir", str(parent)]
                steps += ["--ro-bind", str(path), str(path)]
        setpriv = shutil.which("setpriv") or "setpriv"
        nobody = (f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
        return (*steps, "--", setpriv, *nobody, "--no-new-privs", "--inh-caps=-all")

    def _inside(self, seccomp_fd: int) -> Iterator[str]:
        python = this_interpreter()
        yield from (self._bwrap, "--unshare-all", "--unshare-user", "--disable-userns")
        yield from ("--uid", str(_NOBODY), "--gid", str(_NOBODY), "--cap-drop", "ALL")
        yield from ("--hostname", "sandbox", "--new-session", "--die-with-parent")
        yield from ("--seccomp", str(seccomp_fd), "--clearenv")
        yield from self._files(python)
        # No folder can be written: no limit counts the memory that empty files take.
        yield from ("--dir", "/tmp", "--remount-ro", "/", "--chdir", "/tmp")
        # Python's own encoding must not hang on the machine's.
        folders = dict.fromkeys(str(path.parent) for path in python.shared)
        yield from ("--setenv", "LD_LIBRARY_PATH", ":".join(folders), "--")

    def _files(self, python: Interpreter) -> Iterator[str]:
        yield from ("--dev-bind", "/dev/null", "/dev/null")
        for path in python.paths:
            yield from ("--ro-bind", str(path), str(path))
        for folder in python.hidden:
            yield from ("--size", "4096", "--tmpfs", str(folder))
            yield from ("--remount-ro", str(folder))

    @cached_property
    def _bwrap(self) -> str:
        return shutil.which(self.path) or self.path


@lru_cache
def unavailable(path: str = "bwrap") -> str | None:
    """Why no program can be run in the sandbox here and what to do, found by running one;
    None where it works."""
    if not shutil.which(path):
        return f"there is no {path!r} on this machine. {INSTALL}."
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        return "there is no 'setpriv' (of util-linux), which root needs to become nobody."
    if seccomp_filter() is None:
        return f"no filter of system calls is known for {os.uname().machine} processors."
    probe = Program(
        source="import threading\n"
        "thread = threading.Thread(target=print, args=('inside',))\n"
        "thread.start()\nthread.join()\n"
    )
    result = Bubblewrap(path).run(probe, limits=Limits(cpu_seconds=20, wall_seconds=60))
    if result.is_success and result.output == "inside\n":
        return None
    said = result.errors.strip().splitlines() or [f"it ended by {result.ending}"]
    return (
        f"a first program did not run in it ({_version(path)}): {said[-1]}. {INSTALL}; on "
        "Ubuntu 24.04 or newer AppArmor needs a profile for bwrap, and a container has to "
        "be started with the right to make namespaces."
    )


@lru_cache
def _version(path: str) -> str:
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False, timeout=10
        )
    except OSError:
        return "bubblewrap"
    return said.stdout.strip() or "bubblewrap"


def _closed_to_others(path: Path) -> Path | None:
    """The topmost folder on the way to `path` that only its owner may pass through."""
    for parent in reversed(path.parents):
        if not parent.stat().st_mode & stat.S_IXOTH:
            return parent
    return None
