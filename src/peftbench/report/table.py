"""A table as a value: what it says and how it is marked, before any format draws it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from peftbench.report.numbers import NOTHING

if TYPE_CHECKING:
    import pandas as pd

TIED_MARK = "†"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column and what stands below its title."""

    title: str
    note: str = ""
    is_number: bool = True
    is_interval: bool = False
    """Some of its numbers have a ±, which are set in line."""
    sorts_first: Literal["ascending", "descending"] = "descending"
    """Where the first click on its header sorts to: the best on top."""
    is_sorted: bool = False
    """The rows come sorted by it."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Plain text; every format escapes it in its own way."""

    text: str
    value: float | None = None
    """What sorting compares; None sorts last where the column holds numbers."""
    note: str = ""
    """A few words in small print after the text."""
    mark: Literal["", "best", "tied"] = ""

    @property
    def marked(self) -> str:
        """All that it says, where nothing can be set in bold."""
        tied = f" {TIED_MARK}" if self.mark == "tied" else ""
        return f"{self.text}{tied} ({self.note})" if self.note else f"{self.text}{tied}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row, named by its first cell."""

    header: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns and rows; the first column holds the headers of the rows."""

    name: str
    """Unique within a report; letters, digits and hyphens."""
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    baselines: tuple[Row, ...] = ()
    """Stay below the others, however they are sorted."""
    notes: tuple[str, ...] = ()
    """Why numbers are absent."""

    def to_frame(self) -> pd.DataFrame:
        """The texts, a row under its header."""
        import pandas as pd

        first, *others = self.columns
        rows = (*self.rows, *self.baselines)
        return pd.DataFrame(
            [[cell.marked for cell in row.cells] for row in rows],
            index=pd.Index([row.header for row in rows], name=first.title),
            columns=[
                f"{one.title} ({one.note})" if one.note else one.title for one in others
            ],
        )


def empty(note: str = "") -> Cell:
    """No number, and why."""
    return Cell(text=NOTHING, note=note)


def listed(words: Iterable[str], conjunction: str = "and") -> str:
    """Words as prose lists them.

    >>> listed(["a"]), listed("ab"), listed("abc", "or")
    ('a', 'a and b', 'a, b or c')
    """
    *head, last = words
    return f"{', '.join(head)} {conjunction} {last}" if head else last


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "task"), counted(1200, "seed")
    ('1 task', '1,200 seeds')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
