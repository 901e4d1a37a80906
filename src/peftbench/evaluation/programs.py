"""Programs against their tests: run, compared, and given a verdict.

The expected output never enters the sandbox: a program cannot look it up. Every test has a
process of its own, so that nothing carries over from one to the next.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from peftbench.evaluation.sandbox import (
    Bubblewrap,
    Limits,
    Program,
    Result,
    Runner,
    Unprotected,
    unavailable,
)
from peftbench.tasks._answers import plain_float
from peftbench.tasks._programs import ProgramTests

Verdict = Literal[
    "passed",
    "wrong answer",
    "error",
    "too slow",
    "too much memory",
    "too much output",
    "no program",
]

#: Of one test. As in the tester of APPS, a solution has four seconds.
LIMITS = Limits()
#: All tests of a program together; those that are left then are not run.
PROGRAM_SECONDS = 120.0
#: No right output is longer, in characters: so many, and so many for each that is wanted. It
#: bounds what comparing costs here, where no limit of the sandbox holds.
_SPARE, _TIMES = 10_000, 100

_ENDINGS: dict[str, Verdict] = {
    "exit": "error",
    "time": "too slow",
    "memory": "too much memory",
    "output": "too much output",
}

#: What solutions of APPS count on without saying so (its own tester imports the same, and
#: numpy, which is not in the sandbox).
PREAMBLE = """\
import sys, time, itertools, collections, functools, math, fractions, random, heapq
from itertools import accumulate, product, permutations, combinations
from collections import Counter, OrderedDict, deque, defaultdict, ChainMap
from functools import lru_cache
from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2
from typing import *
from heapq import *
"""


@dataclass(frozen=True)
class Attempt:
    """A program, as a model wrote it, and what it is tried on."""

    source: str | None  # None: there was none to be read
    tests: ProgramTests


@dataclass(frozen=True)
class Execution:
    """Whether programs can be run here, and by what."""

    runner: Runner | None
    reason: str = ""  # why they cannot

    @classmethod
    def here(cls, *, unsafe: bool) -> Execution:
        """The sandbox where it works; else, with `unsafe`, none at all."""
        reason = unavailable()
        if reason is None:
            return cls(Bubblewrap())
        if unsafe:
            return cls(Unprotected())
        return cls(
            None,
            f"Programs cannot be run safely: {reason} Then `peftbench rescore` runs what is "
            "stored; --unsafe-run-code runs it without a sandbox.",
        )


@dataclass(frozen=True)
class Verdicts:
    """For every row the verdict on its first program, and those on its others."""

    first: tuple[Verdict, ...]
    others: tuple[tuple[Verdict, ...], ...]


def run_programs(
    programs: Sequence[Sequence[str | None]],
    extras: Sequence[Mapping[str, Any]],
    execution: Execution,
) -> Verdicts | None:
    """Judge one or more programs of every row by the tests in its `Example.extra`; None
    where none can be run."""
    if execution.runner is None:
        return None
    attempts = [
        Attempt(source, ProgramTests.from_json(extra["tests"]))
        for sources, extra in zip(programs, extras, strict=True)
        for source in sources
    ]
    found = iter(judge_all(attempts, execution.runner))
    rows = [tuple(islice(found, len(sources))) for sources in programs]
    return Verdicts(tuple(row[0] for row in rows), tuple(row[1:] for row in rows))


def judge_all(
    attempts: Sequence[Attempt],
    runner: Runner,
    *,
    limits: Limits = LIMITS,
    workers: int | None = None,
) -> list[Verdict]:
    """The verdicts, in the order given; equal attempts are run once.

    As many run at a time as there are cores. CPU time decides, so that a busy machine does
    not change a verdict.
    """
    distinct = list(dict.fromkeys(attempts))
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        verdicts = pool.map(lambda attempt: judge(attempt, runner, limits), distinct)
        found = dict(zip(distinct, verdicts, strict=True))
    return [found[attempt] for attempt in attempts]


def judge(attempt: Attempt, runner: Runner, limits: Limits = LIMITS) -> Verdict:
    """Run one program on its tests until one fails."""
    if attempt.source is None:
        return "no program"
    tests = attempt.tests
    program = Program(source=attempt.source, preamble=PREAMBLE, call=tests.call)
    seconds = 0.0
    for given, wanted in zip(tests.inputs, tests.outputs, strict=True):
        if seconds > PROGRAM_SECONDS:
            return "too slow"
        result = runner.run(program, given, limits)
        seconds += result.seconds
        if not result.is_success:
            return _ENDINGS[result.ending]
        if not _is_right(result, wanted, tests):
            return "wrong answer"
    return "passed"


def _is_right(result: Result, wanted: str, tests: ProgramTests) -> bool:
    if len(result.output) > _SPARE + _TIMES * len(wanted):
        return False
    if tests.call is None:
        return same_text(result.output, wanted)
    expected = _value(wanted)
    try:
        returned = _value(result.output)
        # Some tests give the value itself, others a list that holds it.
        in_list = isinstance(expected, list) and len(expected) == 1
        return same_value(returned, expected) or (
            in_list and same_value(returned, expected[0])
        )
    except (ValueError, RecursionError):  # no JSON, or lists in lists without end
        return False


@dataclass(frozen=True)
class _LongNumber:
    """A whole number as JSON writes it. Turning digits into a number takes time with the
    square of their count; to see whether two are the same it need not be done."""

    digits: str


def _value(text: str) -> Any:
    """What JSON stands for. Raises `ValueError` or `RecursionError` for what is none."""
    short = sys.int_info.default_max_str_digits
    return json.loads(
        text, parse_int=lambda digits: (int if len(digits) < short else _LongNumber)(digits)
    )


def same_text(written: str, wanted: str) -> bool:
    """Whether both have the same words on the same lines; numbers that are not whole need
    only be close. Blanks at the ends of lines and empty lines do not count.

    >>> same_text("1  2 \\n\\n3.0000001\\n", "1 2\\n3"), same_text("1 2", "1\\n2")
    (True, False)
    """
    lines, wanted_lines = (
        [line.split() for line in text.splitlines() if line.strip()]
        for text in (written, wanted)
    )
    return len(lines) == len(wanted_lines) and all(
        len(line) == len(wanted_line) and all(map(_same_word, line, wanted_line))
        for line, wanted_line in zip(lines, wanted_lines, strict=True)
    )


def same_value(returned: Any, expected: Any) -> bool:
    """Whether two JSON values are the same, floating-point numbers up to rounding.

    >>> same_value([1, {"a": 0.1 + 0.2}], [1, {"a": 0.3}]), same_value("1", 1)
    (True, False)
    """
    if isinstance(expected, list) and isinstance(returned, list):
        return len(returned) == len(expected) and all(map(same_value, returned, expected))
    if isinstance(expected, dict) and isinstance(returned, dict):
        return returned.keys() == expected.keys() and all(
            same_value(value, expected[key]) for key, value in returned.items()
        )
    if isinstance(expected, float) or isinstance(returned, float):
        try:
            return _is_close(1.0 * returned, 1.0 * expected)
        except (TypeError, OverflowError):
            return False
    return bool(returned == expected)


def _same_word(written: str, wanted: str) -> bool:
    if written == wanted:
        return True
    if written.lstrip("+-").isdigit() and wanted.lstrip("+-").isdigit():
        return False  # whole numbers are exact, also where a float would not tell
    first, second = plain_float(written), plain_float(wanted)
    return first is not None and second is not None and _is_close(first, second)


def _is_close(first: float, second: float) -> bool:
    """As numpy.allclose, which the tester of APPS uses."""
    if not (math.isfinite(first) and math.isfinite(second)):
        return first == second
    return abs(first - second) <= 1e-8 + 1e-5 * abs(second)
