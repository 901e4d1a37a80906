"""One program in one process: started, fed, watched and ended by its limits."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

#: The program that sets the limits and runs another one; see there.
GUEST = (Path(__file__).parent / "_guest.py").read_text("utf-8")

#: So much of what a program wrote to stderr is kept: its end.
_ERRORS_KEPT_BYTES = 2_000
_CHUNK_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Program:
    """Python source, and how it is run.

    `preamble` runs first, in the same module. With `call` the function of that name (or
    that method of a class ``Solution``) is called with the arguments that stand as a JSON
    list on stdin, and what it returns is printed as JSON; what it prints itself goes to
    stderr. Without, the source is a script that reads stdin.
    """

    source: str
    preamble: str = ""
    call: str | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a program may use. CPU time decides, not the clock: a busy machine makes no
    right program wrong. The clock catches those that sleep."""

    cpu_seconds: int = 4
    wall_seconds: float = 15.0
    memory_bytes: int = 1 << 30  # address space
    file_bytes: int = 16 << 20  # of one file, where any can be written: `Unprotected`
    threads: int = 32
    output_bytes: int = 8 << 20  # stdout and stderr together


DEFAULT = Limits()


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a program ended, and what it wrote until then.

    `ending` is "exit" if it ended by itself, else the limit that ended it. `exit_code`
    is None for a program that a signal or a limit ended.
    """

    ending: Literal["exit", "time", "memory", "output"]
    exit_code: int | None
    output: str
    errors: str
    seconds: float

    @property
    def is_success(self) -> bool:
        """Whether the program ran to its end without an error."""
        return self.ending == "exit" and self.exit_code == 0


class Runner(Protocol):
    """What runs programs: a sandbox, or none."""

    @property
    def description(self) -> str:
        """What a manifest and a report say of it."""

    @property
    def is_safe(self) -> bool:
        """Whether programs are kept from this machine."""

    def run(self, program: Program, stdin: str = "", limits: Limits = DEFAULT) -> Result:
        """Run `program` to its end, or to the first limit that it meets."""


def guest_arguments(program_fd: int, program: Program, limits: Limits) -> list[str]:
    """Arguments of the interpreter, up to those of the guest."""
    numbers = (
        program_fd,
        limits.cpu_seconds,
        limits.memory_bytes,
        limits.file_bytes,
        limits.threads,
    )
    # -I: neither the environment nor the working directory decide what is imported.
    return ["-I", "-B", "-c", GUEST, *map(str, numbers), program.call or ""]


@contextmanager
def sealed(name: str, content: bytes) -> Iterator[int]:
    """A file descriptor of a file in memory that nobody can write to or make larger."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        everything = (
            fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        )
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, everything)
        yield fd
    finally:
        os.close(fd)


def program_text(program: Program) -> bytes:
    """Preamble and source as the guest reads them."""
    # A model may write half of a surrogate pair, which strict UTF-8 refuses.
    parts = (program.preamble, program.source)
    return b"\0".join(
        part.replace("\0", "\\0").encode("utf-8", "replace") for part in parts
    )


def watch(
    command: Sequence[str],
    *,
    stdin_fd: int,
    pass_fds: Sequence[int],
    limits: Limits,
    cwd: Path,
    environment: Mapping[str, str],
) -> Result:
    """Run `command` in a session of its own, and end all of it at the first limit."""
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=stdin_fd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
        cwd=cwd,
        env=dict(environment),
        start_new_session=True,
    )
    try:
        output, errors, stopped_by = _read(process, start, limits)
    finally:
        _kill(process)
    seconds = time.monotonic() - start
    # Bubblewrap reports a signal of its child as a shell does.
    code = process.returncode
    number = -code if code < 0 else code - 128
    by_signal = code < 0 or code > 128
    ending: Literal["exit", "time", "memory", "output"] = "exit"
    if stopped_by is not None:
        ending = stopped_by
    elif by_signal and number == signal.SIGXCPU:
        ending = "time"
    elif by_signal and number == signal.SIGKILL:
        # The kernel's: for CPU time where SIGXCPU was ignored, or for want of memory.
        ending = "time" if seconds > limits.cpu_seconds else "memory"
    elif code and errors.rstrip().rpartition(b"\n")[2].startswith(b"MemoryError"):
        ending = "memory"
    return Result(
        ending=ending,
        exit_code=None if by_signal or stopped_by else code,
        output=output.decode("utf-8", "replace"),
        errors=errors[-_ERRORS_KEPT_BYTES:].decode("utf-8", "replace"),
        seconds=seconds,
    )


def _read(
    process: subprocess.Popen[bytes], start: float, limits: Limits
) -> tuple[bytearray, bytearray, Literal["time", "output"] | None]:
    """What is written until both ends close, or a limit is met, which is named."""
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors, size = bytearray(), bytearray(), 0
    with selectors.DefaultSelector() as selector, process.stdout, process.stderr:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, errors)
        while selector.get_map():
            left = start + limits.wall_seconds - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                return output, errors, "time"
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK_BYTES)
                if not chunk:
                    selector.unregister(key.fileobj)
                size += len(chunk)
                if size > limits.output_bytes:
                    return output, errors, "output"
                key.data.extend(chunk)
        with suppress(subprocess.TimeoutExpired):
            # It closed its ends; it may still be running.
            process.wait(max(0.0, start + limits.wall_seconds - time.monotonic()))
            return output, errors, None
        return output, errors, "time"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the whole session, also where its leader is gone already."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
