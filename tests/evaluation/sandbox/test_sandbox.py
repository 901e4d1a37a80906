"""Honest programs: what they read, write and return, and how their end is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftbench.evaluation.sandbox import (
    Limits,
    Program,
    Runner,
    Unprotected,
    unavailable,
)
from peftbench.evaluation.sandbox._python import this_interpreter
from peftbench.evaluation.sandbox._seccomp import DENIED, seccomp_filter


@pytest.fixture(params=["sandboxed", "unprotected"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """Both ways to run a program; what they run is ours, so that neither does harm."""
    if request.param == "unprotected":
        return Unprotected()
    found: Runner = request.getfixturevalue("sandbox")
    return found


def test_a_script_reads_stdin_and_writes_stdout(runner: Runner) -> None:
    result = runner.run(Program(source="print(sum(map(int, open(0))))"), "3\n4\n")
    assert (result.is_success, result.output, result.errors) == (True, "7\n", "")
    assert (result.ending, result.exit_code) == ("exit", 0)
    assert 0 < result.seconds < 15


def test_text_is_utf8_whatever_the_locale(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert (
        runner.run(Program(source="print(input(), 'ü€')"), "žlutý").output == "žlutý ü€\n"
    )
    assert runner.run(Program(source="print(ascii('\ud800'))")).output == "'?'\n"


def test_a_script_is_the_main_module(runner: Runner) -> None:
    source = "if __name__ == '__main__':\n    import sys\n    print(sys.argv)\n    exit()"
    assert runner.run(Program(source=source)).output == "['program.py']\n"


def test_a_future_import_may_follow_the_preamble(runner: Runner) -> None:
    program = Program(
        source="from __future__ import annotations\nprint(sqrt(9))",
        preamble="from math import sqrt",
    )
    assert runner.run(program).output == "3.0\n"


@pytest.mark.parametrize(
    "source",
    [
        "def add(a, b):\n    print('noise')\n    return a + b",
        "class Solution:\n    def add(self, a, b):\n        return a + b",
    ],
)
def test_a_function_is_called_and_its_value_is_json(runner: Runner, source: str) -> None:
    result = runner.run(Program(source=source, call="add"), "[[1], [2.5]]")
    assert result.output == "[1, 2.5]"


def test_keys_that_are_whole_numbers_are_numbers_inside(runner: Runner) -> None:
    program = Program(source="def f(a, b): return [a[1], b['x']]", call="f")
    assert runner.run(program, '[{"1": 5}, {"x": 6}]').output == "[5, 6]"


def test_a_script_may_return(runner: Runner) -> None:
    source = "for i in range(9):\n    print(i)\n    if i == 1:\n        return\n"
    assert runner.run(Program(source=source)).output == "0\n1\n"


def test_numbers_of_any_length_come_and_go(runner: Runner) -> None:
    number = "7" * 6000
    result = runner.run(Program(source="def f(n): return n", call="f"), f"[{number}]")
    assert result.output == number


def test_deep_recursion_in_a_thread_of_its_own_works(runner: Runner) -> None:
    source = (
        "import sys, threading\n"
        "sys.setrecursionlimit(10**6)\n"
        "threading.stack_size(1 << 27)\n"
        "def depth(n): return 0 if n == 0 else 1 + depth(n - 1)\n"
        "thread = threading.Thread(target=lambda: print(depth(50_000)))\n"
        "thread.start(); thread.join()"
    )
    result = runner.run(Program(source=source))
    assert (result.output, result.errors, result.exit_code) == ("50000\n", "", 0)


@pytest.mark.parametrize(
    ("source", "code", "word"),
    [
        ("1 / 0", 1, "ZeroDivisionError"),
        ("def f(:", 1, "SyntaxError"),
        ("exit(3)", 3, ""),
        ("import os; os.abort()", None, ""),
    ],
)
def test_an_error_is_told(runner: Runner, source: str, code: int | None, word: str) -> None:
    result = runner.run(Program(source=source))
    assert (result.ending, result.exit_code, result.is_success) == ("exit", code, False)
    assert word in result.errors


def test_a_missing_function_is_an_error(runner: Runner) -> None:
    assert "KeyError: 'f'" in runner.run(Program(source="g = 1", call="f"), "[]").errors


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        ("while True: pass", "time"),
        ("bytearray(1 << 29)", "memory"),
        ("while True: print('x' * 999)", "output"),
    ],
)
def test_every_limit_has_its_name(runner: Runner, source: str, ending: str) -> None:
    limits = Limits(
        cpu_seconds=1, wall_seconds=30, memory_bytes=1 << 28, output_bytes=10_000
    )
    result = runner.run(Program(source=source), limits=limits)
    assert (result.ending, result.is_success) == (ending, False)


def test_the_interpreter_is_the_base_one_without_packages() -> None:
    python = this_interpreter()
    assert python.executable.is_file()
    assert (python.library / "json").is_dir()
    assert any("libc" in path.name for path in python.shared)
    assert not any("site-packages" in str(path) for path in python.paths)


def test_each_denied_call_has_the_number_that_this_kernel_gives_it() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.is_file():
        pytest.skip("needs the kernel's header for x86-64")
    lines = header.read_text("utf-8").splitlines()
    known = {line.split()[1]: int(line.split()[2]) for line in lines if "__NR_" in line}
    for name, (number, _) in DENIED.items():
        assert known.get(f"__NR_{name}", number) == number, name


def test_the_filter_is_whole_for_the_processors_it_knows() -> None:
    for machine in ("x86_64", "aarch64"):
        rules = seccomp_filter(machine)
        assert rules is not None
        assert len(rules) % 8 == 0
    assert seccomp_filter("vax") is None


def test_a_machine_without_bubblewrap_is_told_how_to_get_it() -> None:
    reason = unavailable("bwrap-that-is-not-here")
    assert reason is not None
    assert "apt-get install bubblewrap" in reason


def test_a_bubblewrap_that_fails_is_unavailable_with_its_own_words(tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'no name spaces here' >&2\nexit 1\n", "utf-8")
    broken.chmod(0o755)
    reason = unavailable(str(broken))
    assert reason is not None
    assert "no name spaces here" in reason


def test_one_that_runs_nothing_is_unavailable_too(tmp_path: Path) -> None:
    """Its exit code says success; only the program's own words count."""
    idle = tmp_path / "bwrap"
    idle.write_text("#!/bin/sh\nexit 0\n", "utf-8")
    idle.chmod(0o755)
    assert unavailable(str(idle)) is not None


def test_the_unprotected_way_leaves_no_files(tmp_path: Path) -> None:
    result = Unprotected().run(Program(source="import os; print(os.getcwd())"))
    assert result.is_success
    assert not Path(result.output.strip()).exists()
