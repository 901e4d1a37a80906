"""Which training examples fit into a model, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from peftbench.encoding.encode import Encoded


@dataclass(frozen=True)
class Bounded:
    """Training examples of a bounded length, and what was done to have them."""

    rows: Sequence[Encoded]
    left_out: int  # too long
    cut: int  # of `rows`: prompts without their beginning


def bounded(rows: Sequence[Encoded], max_length: int) -> Bounded:
    """The rows of at most `max_length` tokens, others being left out whole.

    If that leaves none (a passage may be longer than a small model can read), prompts are cut
    at their start, as those of the test are; what has no room for its answer is left out.
    """
    kept = [row for row in rows if len(row) <= max_length]
    if kept:
        return Bounded(kept, len(rows) - len(kept), 0)
    cut = [
        Encoded(row.prompt[len(row.completion) - max_length :], row.completion)
        for row in rows
        if len(row.completion) < max_length
    ]
    return Bounded(cut, len(rows) - len(cut), len(cut))
