"""Verdicts on programs: right ones however they are written, and wrong ones of every kind."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest

from peftbench.evaluation.programs import (
    Attempt,
    judge,
    judge_all,
    same_text,
    same_value,
)
from peftbench.evaluation.sandbox import Bubblewrap, Limits, Program, Result
from peftbench.tasks._programs import ProgramTests

SUM = ProgramTests(call=None, inputs=("3\n4\n", "1\n2"), outputs=("7\n", "3"))
DOUBLE = ProgramTests(call="double", inputs=("[2]", '["a"]'), outputs=("4", '["aa"]'))
QUICK = Limits(cpu_seconds=1, wall_seconds=30, memory_bytes=1 << 28, output_bytes=100_000)

VERDICTS = [
    ("print(int(input()) + int(input()))", "passed"),
    ("a, b = map(int, open(0))\nprint('', a + b, '\\n')", "passed"),
    ("import sys\nprint(sum(map(int, sys.stdin.read().split())))\nexit()", "passed"),
    ("def main():\n    print(sum(int(input()) for _ in 'ab'))\nmain()", "passed"),
    ("print(Counter([int(input()) + int(input())]).popitem()[0])", "passed"),  # preamble
    ("print(7)", "wrong answer"),
    ("print(int(input()) + int(input()), 0)", "wrong answer"),
    ("pass", "wrong answer"),
    ("print(7)\nraise SystemExit(1)", "error"),
    ("print(int(input()) + int(input())", "error"),
    ("print(undefined)", "error"),
    ("while True: pass", "too slow"),
    ("x = bytearray(1 << 29)", "too much memory"),
    ("while True: print('y' * 999)", "too much output"),
    (None, "no program"),
]


@pytest.mark.parametrize(("source", "verdict"), VERDICTS)
def test_verdict_on_a_script(sandbox: Bubblewrap, source: str | None, verdict: str) -> None:
    assert judge(Attempt(source, SUM), sandbox, QUICK) == verdict


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def double(x): return x * 2", "passed"),
        ("def double(x):\n    print('noise')\n    return x + x", "passed"),
        ("class Solution:\n    def double(self, x: List[int]): return x * 2", "passed"),
        ("def double(x): return x", "wrong answer"),
        ("def double(x): print(x * 2)", "wrong answer"),
        ("def twice(x): return x * 2", "error"),
        ("def double(x): return {x}", "error"),
        ("double = lambda x: double(x)", "error"),
        (
            "import sys\nsys.setrecursionlimit(10**6)\n"
            "def double(x):\n    for _ in range(3000): x = [x]\n    return x",
            "wrong answer",
        ),
        ("import os\ndef double(x): os.write(3, b'7' * 90_000)", "wrong answer"),
    ],
)
def test_verdict_on_a_function(sandbox: Bubblewrap, source: str, verdict: str) -> None:
    assert judge(Attempt(source, DOUBLE), sandbox, QUICK) == verdict


def test_many_are_judged_in_order_and_equal_ones_once(sandbox: Bubblewrap) -> None:
    attempts = [Attempt(source, SUM) for source, _ in VERDICTS]
    expected = [verdict for _, verdict in VERDICTS]
    assert judge_all([*attempts, *attempts], sandbox, limits=QUICK) == [*expected] * 2


def test_the_benchmark_goes_on_after_programs_that_attack_it(sandbox: Bubblewrap) -> None:
    attacks = [
        "import os\nwhile True: os.fork()",
        "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(-1, 9)",
        "print(open('/etc/passwd').read())",
        "import socket\nsocket.create_connection(('192.0.2.1', 80), 1)",
        "x = [bytearray(1 << 30) for _ in range(10)]",
    ]
    right = "print(int(input()) + int(input()))"
    attempts = [Attempt(source, SUM) for source in (*attacks, right)]
    verdicts = judge_all(attempts, sandbox, limits=QUICK)
    assert verdicts[-1] == "passed"
    assert "passed" not in verdicts[:-1]


@dataclass
class Counting:
    """A runner that only counts, and says `output`."""

    output: str = "7"
    programs: list[str] = field(default_factory=list)
    seconds: float = 0.01
    description = "counting"

    def run(self, program: Program, stdin: str = "", limits: Limits = QUICK) -> Result:
        self.programs.append(program.source)
        return Result(
            ending="exit", exit_code=0, output=self.output, errors="", seconds=self.seconds
        )


@pytest.mark.parametrize(
    "output",
    [
        "7" * 1_000_000,
        "[" * 3_000 + "]" * 3_000,
        "[" * 100_000,
        "[" + "[]," * 1_000_000 + "[]]",
        "{" * 3_000,
        "NaN",
        "1e999",
        '"\\ud800"',
        "",
        "nothing",
    ],
    ids=lambda output: output[:6],
)
def test_whatever_a_guest_writes_ends_its_own_verdict_at_once(output: str) -> None:
    """What is compared here is bounded in bytes, depth and digits: no limit of the sandbox
    holds for it."""
    start = time.thread_time()
    for wanted in ("4", "9" * 9_000):
        tests = ProgramTests(call="double", inputs=("[2]",), outputs=(wanted,))
        assert judge(Attempt("x", tests), Counting(output)) == "wrong answer"
        script = ProgramTests(call=None, inputs=("2",), outputs=(wanted,))
        assert judge(Attempt("x", script), Counting(output)) == "wrong answer"
    assert time.thread_time() - start < 1


def test_whole_numbers_of_any_length_are_exact() -> None:
    number = "7" * 100_000
    tests = ProgramTests(call="double", inputs=("[2]",), outputs=(f"[{number}]",))
    assert judge(Attempt("x", tests), Counting(f"[{number}]")) == "passed"
    assert judge(Attempt("x", tests), Counting(number)) == "passed"
    for other in (f"[{number[:-1]}8]", f"[{number}.0]", f'["{number}"]', f"[-{number}]"):
        assert judge(Attempt("x", tests), Counting(other)) == "wrong answer"


def test_without_tests_nothing_is_judged() -> None:
    """Any program would pass none at all."""
    with pytest.raises(ValueError, match="found 0 inputs and 0 outputs"):
        ProgramTests(call=None, inputs=(), outputs=())
    with pytest.raises(ValueError, match="found 2 inputs and 1 outputs"):
        ProgramTests.from_json({"call": "f", "inputs": ["1", "2"], "outputs": ["1"]})


def test_the_first_test_that_fails_ends_it() -> None:
    runner = Counting()
    assert judge(Attempt("x", SUM), runner) == "wrong answer"
    assert len(runner.programs) == 2


def test_all_tests_of_a_program_together_have_a_limit_too() -> None:
    tests = ProgramTests(call=None, inputs=("",) * 9, outputs=("7",) * 9)
    runner = Counting(seconds=50)
    assert judge(Attempt("x", tests), runner) == "too slow"
    assert len(runner.programs) == 3


def test_equal_attempts_are_run_once() -> None:
    runner = Counting()
    judge_all([Attempt("x", SUM), Attempt("y", SUM), Attempt("x", SUM)], runner)
    assert sorted(set(runner.programs)) == ["x", "y"]
    assert len(runner.programs) == 4


class Waiting(Counting):
    """A runner whose programs end only when all six of them are running."""

    together = threading.Barrier(6)

    def run(self, program: Program, stdin: str = "", limits: Limits = QUICK) -> Result:
        self.together.wait(timeout=30)
        return super().run(program, stdin, limits)


def test_programs_run_side_by_side() -> None:
    one = ProgramTests(call=None, inputs=("",), outputs=("7",))
    attempts = [Attempt(f"program {i}", one) for i in range(6)]
    assert judge_all(attempts, Waiting(), workers=6) == ["passed"] * 6


@pytest.mark.parametrize(
    ("written", "wanted", "same"),
    [
        ("7", "7", True),
        ("7\n", "7", True),
        (" 7  8 \r\n\n", "7 8", True),
        ("7\n8", "7 8", False),
        ("7 8", "7", False),
        ("YES", "Yes", False),
        ("0.30000001", "0.3", True),
        ("0.31", "0.3", False),
        ("3.0", "3", True),
        ("1e3", "1000.0", True),
        ("nan", "nan", True),
        ("nan", "1.0", False),
        ("1_0", "10.0", False),
        ("\u0661.5", "1.5", False),
        ("inf", "1.0", False),
        ("10000000000000000000001", "10000000000000000000000", False),
        ("007", "7", False),
        ("", "", True),
        ("", "7", False),
        ("9" * 500, "1.5", False),
        ("٣", "3", False),
    ],
)
def test_what_is_written_is_compared_by_words_and_lines(
    written: str, wanted: str, same: bool
) -> None:
    assert same_text(written, wanted) is same


@pytest.mark.parametrize(
    ("returned", "expected", "same"),
    [
        (4, 4, True),
        (4, 4.0, True),
        (True, 1, True),
        ("4", 4, False),
        (None, 0, False),
        ([1, [2.0000001]], [1, [2.0]], True),
        ([1], [1, 2], False),
        ({"a": 0.1 + 0.2}, {"a": 0.3}, True),
        ({"a": 1}, {"b": 1}, False),
        (10**400, 1.5, False),
        ("x", 1.5, False),
        ([1], 1, False),
    ],
)
def test_values_are_compared_up_to_rounding(
    returned: object, expected: object, same: bool
) -> None:
    assert same_value(returned, expected) is same
