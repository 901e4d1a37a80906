"""Every error that peftbench raises on purpose.

PeftbenchError
├── InvalidSpec             what was asked makes no sense (exit code 2)
│   └── UnknownName         no such model, method, task, metric, suite or field
├── DataError               a dataset is missing, broken or does not fit its task
├── ModelError              a base model cannot be used
├── StoreError              results cannot be read or written
└── CellFailed              one run went wrong; the others go on
    ├── Diverged            the loss became NaN or infinite
    ├── OutOfMemory         the device had too little memory
    └── CheckFailed         the trained adapter is not the one that would be scored

A message says what was wrong, what was found and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class PeftbenchError(Exception):
    """Base of all errors raised on purpose; its message is meant for the user."""


class InvalidSpec(PeftbenchError, ValueError):
    """The benchmark that was asked for is not well formed."""


# Not a KeyError: that prints its message as a quoted repr.
class UnknownName(InvalidSpec, LookupError):
    """A name that is not in its catalogue; suggests the closest one that is."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        close = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        super().__init__(
            f"Unknown {kind} {name!r}. {hint}"
            f"Known: {', '.join(known)}. List them with `peftbench list {kind}s`."
        )
        self.arguments = (kind, name, known)

    def __reduce__(self) -> tuple[type, tuple[str, str, list[str]]]:
        return type(self), self.arguments  # crosses process boundaries


class DataError(PeftbenchError):
    """A dataset is missing, broken, or does not fit its task."""


class ModelError(PeftbenchError):
    """A base model is missing, out of reach, or of an unsupported kind."""


class StoreError(PeftbenchError):
    """The store cannot be read or written."""


class CellFailed(PeftbenchError):
    """One cell could not be finished. `status` is what its record will say."""

    status: ClassVar[str] = "failed"


class Diverged(CellFailed):
    """The loss or a gradient became NaN or infinite."""

    status = "diverged"


class OutOfMemory(CellFailed):
    """The device had too little memory, also after splitting the batch."""

    status = "oom"


class CheckFailed(CellFailed):
    """A run's own check failed: what was trained is not what would be scored."""
