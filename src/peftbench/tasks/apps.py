"""APPS, programming problems with tests (Hendrycks et al., 2021, arXiv:2105.09938).

row         question       "Read two numbers and print their sum."
            starter_code   ""
            difficulty     "introductory"
            solutions      ["print(int(input()) + int(input()))"]
            input_output   {"inputs": ["3\\n4\\n"], "outputs": ["7\\n"]}
prompt      "Question: Read two numbers and print their sum.\\n
             The program reads standard input and writes standard output.\\n
             Answer with one Python program only.\\n
             Answer:"
completion  "print(int(input()) + int(input()))"
target      "print(int(input()) + int(input()))"

A problem is one row. It has tests for a script that reads and writes, or for a function that
is called. The headline is the share of problems whose program passes all of them, run in a
sandbox. While training, chrF with the solutions takes its place: it needs no sandbox, and it
moves where pass@1 is 0 for a long time.

A problem trains on up to four of its solutions, the first ones that this Python compiles.
Training problems without a solution are left out and counted, as are test problems without
tests; a test problem without a solution stays.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace

from peftbench.errors import DataError
from peftbench.tasks._fields import shown, text_of
from peftbench.tasks._programs import ProgramTests, parse_tests, read_program
from peftbench.tasks._task import Example, Row, Task

#: Of a problem's solutions, which are 23 on average.
_SOLUTIONS = 4
#: Of a problem's tests so many characters are kept: most have far less, a few have megabytes.
_TESTS_CHARACTERS = 65_536


def to_example(row: Row) -> Example:
    """The problem with its starter code; the first solution is written."""
    question = text_of(row, "question")
    tests = _tests(row)
    solutions = _solutions(row)
    target = solutions[0] if solutions else ""
    extra = {"difficulty": row["difficulty"]}
    return Example(
        prompt="\n".join(
            (
                f"Question: {question}",
                *_task_lines(text_of(row, "starter_code"), tests),
                "Answer with one Python program only.",
                "Answer:",
            )
        ),
        completion=target,
        target=target,
        group=question,
        references=solutions,
        extra=extra | {"tests": tests.to_json()} if tests else extra,
    )


def expand(example: Example) -> Sequence[Example]:
    """One training example for every solution."""
    return [
        replace(example, completion=solution, target=solution)
        for solution in example.references
    ]


def unusable(example: Example, split: str) -> str | None:
    """Why a row is left out of a split."""
    if split == "test":
        return None if "tests" in example.extra else "without tests"
    return None if example.references else "without a solution"


def _task_lines(starter: str, tests: ProgramTests | None) -> Sequence[str]:
    if starter:
        return "Complete this code:", starter
    if tests is not None and tests.call:
        return (f"Write a function named {tests.call}.",)
    return ("The program reads standard input and writes standard output.",)


def _tests(row: Row) -> ProgramTests | None:
    try:
        tests = parse_tests(text_of(row, "input_output"))
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(
            f"'input_output' must be JSON with inputs and outputs ({error}); found "
            f"{shown(row['input_output'])}."
        ) from error
    return tests.within(_TESTS_CHARACTERS) if tests else None


def _solutions(row: Row) -> tuple[str, ...]:
    text = text_of(row, "solutions")
    try:
        raw = json.loads(text) if text else []
    except ValueError as error:
        raise DataError(
            f"'solutions' must be a JSON list of programs; found {shown(text)}."
        ) from error
    found = dict.fromkeys(filter(None, (read_program(source) for source in raw)))
    ordered = sorted(found, key=lambda source: not _compiles(source))  # stable
    return tuple(ordered[:_SOLUTIONS])


def _compiles(source: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(source, "solution.py", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


TASK = Task(
    description="APPS: programming problems, scored by running the program",
    hub_id="codeparrot/apps",
    revision="0f10e424e13e1c2a69f851e153097b71b6734a1f",
    # The conversion keeps every row a second time by difficulty; `all` is enough.
    files={"train": "all/train/*.parquet", "test": "all/test/*.parquet"},
    splits={"train": "train", "test": "test"},
    sizes={"train": 5000, "test": 5000},
    license="MIT",
    fields=("question", "starter_code", "difficulty", "solutions", "input_output"),
    to_example=to_example,
    grouped_by="problem",
    expand=expand,
    unusable=unusable,
    read_answer=read_program,
    metrics=("pass_at_1", "pass_at_5", "pass_at_10", "codebleu", "chrf", "parses"),
    validation_metric="chrf",
    max_new_tokens=512,
    example_row={
        "question": "Read two numbers and print their sum.",
        "starter_code": "",
        "difficulty": "introductory",
        "solutions": '["print(int(input()) + int(input()))"]',
        "input_output": '{"inputs": ["3\\n4\\n"], "outputs": ["7\\n"]}',
    },
)
