"""Rules of the tasks that ask for Python: whatever is written is the answer, prose included."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from peftbench.errors import DataError
from peftbench.tasks._fields import shown
from peftbench.tasks._task import Example, Row
from peftbench.tasks.peft_bench._rule import Rule, cleaned, one_for_each_answer

_ASK = "Write valid Python code that does what is asked."
_METRICS = ("peft_bench_codebleu",)


def conala_layout(row: Row) -> str:
    """The rewritten intent; nothing where there is none, as published."""
    return row["rewritten_intent"] or ""


def solutions(row: Row) -> Sequence[str]:
    """Every reference solution of an APPS problem, as it stands there."""
    found = row["solutions"]
    try:
        texts = json.loads(found) if isinstance(found, str) and found else found or []
    except ValueError as error:
        raise DataError(
            f"'solutions' must be a JSON list of programs; found {shown(found)}."
        ) from error
    return tuple(text for text in texts if text.strip())


def _snippet(row: Row) -> str:
    return str(row["snippet"])


def _response(row: Row) -> str:
    return str(row["response"])


def _first_solution(row: Row) -> str:
    return next(iter(solutions(row)), "")


def _without_solution(example: Example, split: str) -> str | None:  # noqa: ARG001
    return None if example.references else "without a solution"


RULES: Mapping[str, Rule] = {
    "conala": Rule(
        ask=_ASK,
        layout=conala_layout,
        answer=_snippet,
        read=cleaned,
        metrics=_METRICS,
        max_new_tokens=512,
    ),
    "codealpacapy": Rule(
        ask=_ASK,
        layout="{prompt}",
        answer=_response,
        read=cleaned,
        metrics=_METRICS,
        max_new_tokens=512,
    ),
    "apps": Rule(
        # The starter code is lost, as published.
        ask=_ASK,
        layout="{question}",
        answer=_first_solution,
        read=cleaned,
        references=solutions,
        expand=one_for_each_answer,
        repeats_rows=True,
        unusable=_without_solution,
        metrics=_METRICS,
        max_new_tokens=512,
    ),
}
