"""Programs that try to get out of the sandbox, or to use up the machine it is on.

Each of them says on stdout what it got hold of, so that the tests can see that it did not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import pytest

from peftbench.evaluation.sandbox import Bubblewrap, Limits, Program, Result

SMALL = Limits(
    cpu_seconds=1,
    wall_seconds=30,
    memory_bytes=256 << 20,
    threads=8,
    output_bytes=100_000,
)


@pytest.fixture(autouse=True)
def _the_next_program_runs(sandbox: Bubblewrap) -> Iterator[None]:
    """Whatever a program tried, the next one runs as if nothing had been."""
    yield
    after = sandbox.run(Program(source="print('still here')"))
    assert after.output == "still here\n", after.errors


def attempt(sandbox: Bubblewrap, source: str, limits: Limits = SMALL) -> Result:
    """What came of a program."""
    return sandbox.run(Program(source=dedent(source)), limits=limits)


def fails(result: Result, *words: str) -> bool:
    """It ended with an error that has all of `words` in it, and printed nothing."""
    last = result.errors.rstrip().rpartition("\n")[2]
    return not result.is_success and not result.output and all(w in last for w in words)


def test_a_file_of_this_machine_is_not_there(sandbox: Bubblewrap, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret", "utf-8")
    for path in ("/etc/passwd", "/root/.bashrc", __file__, sys.prefix, str(secret)):
        assert fails(attempt(sandbox, f"print(open({path!r}).read())"), "FileNotFoundError")


def test_there_are_no_processes_to_look_at(sandbox: Bubblewrap) -> None:
    assert fails(attempt(sandbox, "print(open('/proc/1/environ').read())"), "No such file")
    assert fails(attempt(sandbox, "import os; print(os.listdir('/proc'))"), "No such file")
    assert fails(attempt(sandbox, "import os; print(os.listdir('/sys'))"), "No such file")


def test_nothing_can_be_written(sandbox: Bubblewrap, tmp_path: Path) -> None:
    """Also no empty file, link or folder: no limit counts the memory that they take."""
    for place in ("/", "/dev/", "/root/", "/tmp/", str(tmp_path) + "/", f"{os.__file__}."):
        result = attempt(sandbox, f"open({place!r} + 'peftbench-test', 'w')")
        assert fails(result, "Error"), place
    for call in ("mkdir('x')", "mkfifo('x')", "symlink('y', 'x')", "mknod('/dev/x')"):
        assert fails(attempt(sandbox, f"import os; os.{call}"), "Error"), call
    assert list(tmp_path.iterdir()) == []


def test_the_interpreter_cannot_be_changed(sandbox: Bubblewrap) -> None:
    before = Path(os.__file__).read_bytes()
    for source in (
        "import os; open(os.__file__, 'a').write('#')",
        "import os, sys; open(sys.executable, 'ab').write(b'#')",
        "import os; os.unlink(os.__file__)",
        "import os; os.rename(os.__file__, os.__file__ + '.old')",
        "import os; os.chmod(os.__file__, 0o777)",
        "import os, site; open(site.getsitepackages()[0] + '/x.pth', 'w')",
    ):
        assert fails(attempt(sandbox, source), "Error", "Errno"), source
    assert Path(os.__file__).read_bytes() == before


def test_only_the_standard_library_can_be_imported(sandbox: Bubblewrap) -> None:
    assert fails(attempt(sandbox, "import pytest"), "ModuleNotFoundError")
    assert fails(attempt(sandbox, "import torch"), "ModuleNotFoundError")


@pytest.mark.parametrize(
    "make",
    [
        "socket.create_connection(('127.0.0.1', 80), 2)",
        "socket.create_server(('127.0.0.1', 0))",
        "socket.socketpair()",
        "socket.socket(socket.AF_UNIX)",
    ],
)
def test_there_are_no_sockets(sandbox: Bubblewrap, make: str) -> None:
    """None to reach anybody, and none to hold memory that no limit counts."""
    assert fails(attempt(sandbox, f"import socket; print({make})"), "PermissionError")


def test_no_name_can_be_looked_up(sandbox: Bubblewrap) -> None:
    source = "import socket; print(socket.gethostbyname('example.org'))"
    assert fails(attempt(sandbox, source), "gaierror")


def test_the_environment_is_empty(
    sandbox: Bubblewrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEFTBENCH_SECRET", "secret")
    result = attempt(sandbox, "import os; print(sorted(os.environ))")
    assert set(eval(result.output)) <= {"LD_LIBRARY_PATH", "PWD", "LC_CTYPE"}
    result = attempt(sandbox, "import socket; print(socket.gethostname())")
    assert result.output == "sandbox\n"


def test_no_descriptor_of_this_process_is_open_inside(sandbox: Bubblewrap) -> None:
    source = """
        import os
        for fd in range(3, 64):
            try:
                os.fstat(fd)
            except OSError:
                continue
            print(fd)
    """
    assert attempt(sandbox, source).output == ""


def test_stdin_cannot_be_written(sandbox: Bubblewrap) -> None:
    assert fails(attempt(sandbox, "import os; print(os.write(0, b'x' * 10))"), "Error")


def test_it_is_nobody_and_has_no_rights(sandbox: Bubblewrap) -> None:
    source = """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        sets = (ctypes.c_uint32 * 6)()
        print(libc.capget(header, sets), *sets, libc.prctl(39, 0, 0, 0, 0))  # no new ones
        print(os.getuid(), os.getgid(), os.getgroups())
        os.setuid(0)
    """
    result = attempt(sandbox, source)
    assert result.output == "0 0 0 0 0 0 0 1\n65534 65534 []\n"
    assert "Error" in result.errors


@pytest.mark.parametrize(
    "call", ["ptrace", "unshare", "mount", "memfd_create", "shmget", "io_uring_setup"]
)
def test_the_kernel_refuses_what_no_program_needs(sandbox: Bubblewrap, call: str) -> None:
    from peftbench.evaluation.sandbox._seccomp import DENIED

    column = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
    source = f"""
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        made = libc.syscall({DENIED[call][column]}, 0, 0, 0, 0, 0)
        print(made, os.strerror(ctypes.get_errno()))
    """
    assert attempt(sandbox, source).output == "-1 Operation not permitted\n"


def test_no_process_can_be_started(sandbox: Bubblewrap) -> None:
    for source in (
        "import os; print(os.fork())",
        "import os; print(os.posix_spawn('/x', ['x'], {}))",
        "import subprocess, sys; print(subprocess.run([sys.executable, '-c', '']))",
    ):
        assert fails(attempt(sandbox, source), "PermissionError"), source


def test_a_fork_bomb_makes_nothing(sandbox: Bubblewrap) -> None:
    source = """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
    """
    assert attempt(sandbox, source).ending == "time"


def test_threads_are_counted_also_where_the_parent_is_root(sandbox: Bubblewrap) -> None:
    """Started past Python too, with stacks so small that no limit on memory counts."""
    source = """
        import threading, time
        threading.stack_size(32768)
        started = 0
        try:
            for _ in range(100):
                threading.Thread(target=time.sleep, args=(0.2,), daemon=True).start()
                started += 1
        except RuntimeError:
            print(started)
    """
    assert 2 <= int(attempt(sandbox, source).output) < SMALL.threads


def test_nothing_runs_on_after_the_program(sandbox: Bubblewrap) -> None:
    source = """
        import os, threading, time
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        print("over", flush=True)
        os.close(1)
        os.close(2)
        time.sleep(600)
    """
    limits = Limits(wall_seconds=5)
    result = attempt(sandbox, source, limits)
    assert (result.ending, result.output) == ("time", "over\n")
    assert result.seconds < 60


def test_ten_gigabytes_are_not_to_be_had(sandbox: Bubblewrap) -> None:
    assert attempt(sandbox, "bytearray(300 << 20); print('got')").ending == "memory"
    result = attempt(sandbox, "x = [bytearray(1 << 30) for _ in range(10)]; print('got')")
    assert (result.ending, result.output) == ("memory", "")
    bit_by_bit = "x = []\nwhile True: x.append(bytearray(1 << 20))"
    assert attempt(sandbox, bit_by_bit).ending == "memory"


@pytest.mark.parametrize("descriptor", [1, 2])
def test_a_gigabyte_of_output_is_cut_off(sandbox: Bubblewrap, descriptor: int) -> None:
    source = f"""
        import os
        for _ in range(1024):
            os.write({descriptor}, b"x" * (1 << 20))
    """
    result = attempt(sandbox, source)
    assert result.ending == "output"
    assert len(result.output) + len(result.errors) <= SMALL.output_bytes


@pytest.mark.parametrize(
    "start", ["", "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"]
)
def test_a_loop_without_end_is_ended(sandbox: Bubblewrap, start: str) -> None:
    result = attempt(sandbox, f"{start}while True: pass")
    assert not result.is_success
    assert result.ending == "time"


def test_a_sleeper_is_ended_by_the_clock(sandbox: Bubblewrap) -> None:
    limits = Limits(wall_seconds=0.5)
    assert attempt(sandbox, "import time; time.sleep(600)", limits).ending == "time"


def test_no_limit_can_be_raised(sandbox: Bubblewrap) -> None:
    for kind in ("AS", "CPU", "NPROC", "FSIZE"):
        source = f"import resource as r; r.setrlimit(r.RLIMIT_{kind}, (-1, -1)); print(1)"
        assert fails(attempt(sandbox, source), "not allowed"), kind


def test_its_parents_cannot_be_killed(sandbox: Bubblewrap) -> None:
    source = """
        import os, signal
        os.kill(os.getppid(), signal.SIGKILL)
        print(os.getpid(), os.getppid())
        os.kill(-1, signal.SIGKILL)
    """
    result = attempt(sandbox, source)
    assert result.output == "2 1\n"
    assert "ProcessLookupError" in result.errors
    by_number = f"import os; print(os.kill({os.getpid()}, 9))"
    assert fails(attempt(sandbox, by_number), "ProcessLookupError")


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_it_dies_with_the_process_that_started_it(processes: int) -> None:
    """Whenever that is: also while the sandbox is being made, one process after another."""
    marker = f"marker_{uuid.uuid4().hex}"
    script = f"""
        from peftbench.evaluation.sandbox import Bubblewrap, Program
        program = Program(source="import time; time.sleep(600)", call="{marker}")
        Bubblewrap().run(program, "[]")
    """
    parent = subprocess.Popen([sys.executable, "-c", dedent(script)])
    try:
        assert _within(30, lambda: len(_processes(marker)) >= processes)
    finally:
        parent.kill()
        parent.wait()
    assert _within(20, lambda: not _processes(marker))


def _within(seconds: float, holds: object) -> bool:
    assert callable(holds)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.05)
    return False


def _processes(marker: str) -> list[str]:
    """Processes, but for Python's parent, that have `marker` among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if marker.encode() in arguments:
                    found.append(entry.name)
    return found
