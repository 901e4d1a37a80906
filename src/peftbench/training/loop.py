"""The one training loop. It advances a group of runs that share one frozen base.

One run is a group of one. A run that diverges or does not fit ends alone; the others of
its group go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from peftbench.errors import CellFailed
from peftbench.training.run import Run


class Keeper(Protocol):
    """Where checkpoints go: see `store.Checkpoints`."""

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Keep what `write` puts into a folder."""

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole."""


@dataclass
class Member:
    """A run of a group, with its ways to the world outside."""

    run: Run
    validate: Callable[[], float]  # headline score of the run's model as it is now
    checkpoints: Keeper | None = None
    on_step: Callable[[int, int], None] = lambda _step, _steps: None
    failure: CellFailed | None = None
    saved_at: float = 0.0


def train_group(members: Sequence[Member], *, checkpoint_seconds: float = 30.0) -> None:
    """Train every run to its end or its failure, and leave its best state in its model.

    A run goes on from its newest whole checkpoint, bit for bit as if it had never
    stopped. Checkpoints are written after each validation, and in between when
    `checkpoint_seconds` have gone by.
    """
    for member in members:
        member.saved_at = time.monotonic()
        if member.checkpoints and (folder := member.checkpoints.latest()):
            member.run.load(folder)
    while active := [m for m in members if not m.failure and not m.run.is_over]:
        for member in active:
            try:
                _advance(member, checkpoint_seconds)
            except CellFailed as failure:
                member.failure = failure
    for member in members:
        if not member.failure:
            member.run.restore_best()


def _advance(member: Member, checkpoint_seconds: float) -> None:
    """One step of one run, and what is due after it."""
    run = member.run
    run.step()
    is_validated = run.progress.step in run.validation_steps
    if is_validated:
        run.model.eval()
        run.note_validation(member.validate())
    due = is_validated or time.monotonic() - member.saved_at > checkpoint_seconds
    if member.checkpoints and due and not run.is_over:
        member.checkpoints.save(run.progress.step, run.save)
        member.saved_at = time.monotonic()
    member.on_step(run.progress.step, len(run.batches))
