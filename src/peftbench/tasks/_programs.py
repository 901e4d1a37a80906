"""Python programs as answers: reading one out of what a model wrote, and its tests."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: A line that opens a fenced block, with what it says the block is.
_FENCE = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+.#-]*)[^\n`]*$", re.M
)
#: A block that opens and closes on one line.
_ONE_LINE = re.compile(r"```(?:(?:python3?|py)\b)?[ \t]*(?P<code>[^\n`]+?)[ \t]*```")
_PYTHON = ("python", "python3", "py", "py3", "python2", "pycon", "ipython")


def read_program(raw: str) -> str | None:
    """The program in an output; None where there is nothing.

    Of fenced blocks the longest that is marked as Python counts, else the longest of all; of
    equal ones the first. A block that was never closed ends with the output. What stands
    outside of a block is explanation. Without a block the whole output is the program, out
    of a pair of backticks if it stands in one.

    >>> read_program("Sure:\\n```python\\nprint(1)\\n```\\nIt prints 1.")
    'print(1)'
    >>> read_program(" x = 1\\n"), read_program("`x[0]`"), read_program("  ")
    ('x = 1', 'x[0]', None)
    """
    blocks = list(_blocks(raw))
    marked = [code for language, code in blocks if language in _PYTHON]
    if blocks:
        found = max(marked or [code for _, code in blocks], key=len)
    elif one_line := _ONE_LINE.search(raw):
        found = one_line["code"]
    else:
        found = raw
    found = textwrap.dedent(found.strip("\n")).strip()
    if not blocks and found.startswith("`") and found.endswith("`"):
        found = found.strip("`").strip()
    return found or None


def _blocks(raw: str) -> Iterator[tuple[str, str]]:
    """Language and content of every fenced block."""
    lines = raw.split("\n")
    at = 0
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        at += 1
        if opening is None:
            continue
        start = at
        while at < len(lines) and not _closes(lines[at], opening["fence"]):
            at += 1
        yield opening["language"].lower(), "\n".join(lines[start:at])
        at += 1


def _closes(line: str, fence: str) -> bool:
    text = line.strip()
    return text.startswith(fence) and not text.strip(fence[0])


@dataclass(frozen=True, kw_only=True)
class ProgramTests:
    """What a program is tried on, as texts: what it reads, and what it must write.

    With `call` these are the arguments of that function, a JSON list, and the JSON of what
    it must return. Numbers in them may have more digits than Python turns into text.

    Raises `ValueError` for none at all, which any program would pass, and where an input has
    no output or an output no input.
    """

    call: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.inputs or len(self.inputs) != len(self.outputs):
            raise ValueError(
                "a program is tried on one test or more, each with an input and an output; "
                f"found {len(self.inputs)} inputs and {len(self.outputs)} outputs"
            )

    def to_json(self) -> dict[str, Any]:
        """As `Example.extra["tests"]`."""
        return {"call": self.call, "inputs": [*self.inputs], "outputs": [*self.outputs]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ProgramTests:
        """The same back from there."""
        return cls(
            call=value["call"],
            inputs=tuple(value["inputs"]),
            outputs=tuple(value["outputs"]),
        )

    def within(self, size: int) -> ProgramTests:
        """The first tests, as many as fit into `size` characters, and at least one."""
        total, kept = 0, 0
        for given, wanted in zip(self.inputs, self.outputs, strict=True):
            total += len(given) + len(wanted)
            if kept and total > size:
                break
            kept += 1
        return ProgramTests(
            call=self.call, inputs=self.inputs[:kept], outputs=self.outputs[:kept]
        )


def parse_tests(text: str) -> ProgramTests | None:
    """Tests as APPS writes them; None where there are none.

    Text for a script may be given as a list of lines.
    """
    if not text.strip():
        return None
    with long_numbers():
        raw = json.loads(text)
        call = raw.get("fn_name")
        pairs = list(zip(raw.get("inputs", ()), raw.get("outputs", ()), strict=False))
        if not pairs:
            return None
        write = json.dumps if call else _lines
        return ProgramTests(
            call=call,
            inputs=tuple(write(given) for given, _ in pairs),
            outputs=tuple(write(wanted) for _, wanted in pairs),
        )


@contextmanager
def long_numbers() -> Iterator[None]:
    """Let numbers of any length be read and written: tests have them, and are ours."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)


def _lines(value: str | Sequence[Any]) -> str:
    return value if isinstance(value, str) else "\n".join(map(str, value))
