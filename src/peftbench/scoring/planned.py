"""A planned cell as scoring sees it."""

from __future__ import annotations

from typing import Protocol

from peftbench.spec import Cell, SettledBudget


class Planned(Protocol):
    """A cell and what the report calls its model and method (`store.PlannedCell`)."""

    @property
    def cell(self) -> Cell:
        """The cell."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def label(self) -> str:
        """The method's label."""

    @property
    def budget(self) -> SettledBudget | None:
        """What the method's budget came to, where it has one."""


def seed_of(cell: Cell) -> str:
    """The cell's seed as text; "-" where nothing is trained, and so nothing is seeded."""
    return "-" if cell.seed is None else str(cell.seed)
