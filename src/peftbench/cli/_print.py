"""Tables of a report on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table as RichTable
from rich.text import Text

from peftbench.report.table import Cell, Column, Row, Table
from peftbench.visible import visible


class Terminal(Console):
    """Where rich prints: text as it is, without emoji codes or markup in it, and nothing that a
    terminal would obey but what rich itself puts there."""

    def __init__(self, *, highlight: bool = True, soft_wrap: bool = False) -> None:
        super().__init__(
            highlight=highlight, soft_wrap=soft_wrap, emoji=False, markup=False
        )

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """As in the base class, the text visible."""
        for part in super().render(renderable, options):
            yield part if part.control else part._replace(text=visible(part.text))


#: What the frame of a table puts beside every column.
_GAP = 3


def print_table(table: Table, console: Terminal) -> None:
    """The same table as in the report; one too wide is printed in several parts."""
    rows = [(row, "") for row in table.rows] + [(row, "dim") for row in table.baselines]
    texts = [_texts(row) for row, _ in rows]
    widths = [
        max([6, *_words(table.columns[i]), *(text[i].cell_len for text in texts)])
        for i in range(len(table.columns))
    ]
    for part in _parts(widths, console.width - _GAP):
        drawn = RichTable(title=table.title, title_justify="left", box=SIMPLE_HEAD)
        for i in part:
            column = table.columns[i]
            title = f"{column.title}\n{column.note}" if column.note else column.title
            drawn.add_column(
                Text(title, overflow="fold"),
                justify="right" if column.is_number else "left",
                width=widths[i] if i in part[:-1] else None,
                min_width=widths[i],
            )
        for text, (_, style) in zip(texts, rows, strict=True):
            drawn.add_row(*(text[i] for i in part), style=style)
        console.print(drawn)
    for note in (table.caption, *table.notes):
        console.print(Text(visible(note), style="dim"))


def plain_table(console: Terminal, titles: list[str], rows: list[list[str]]) -> None:
    """A table of words; numbers, which begin with a digit, stand to the right."""
    drawn = RichTable(box=None, header_style="bold", pad_edge=False)
    for i, title in enumerate(titles):
        numeric = bool(rows) and all(row[i][:1].isdigit() or row[i] == "–" for row in rows)
        drawn.add_column(
            Text(visible(title)),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=numeric or i == 0,
        )
    for row in rows:
        drawn.add_row(*(Text(visible(text)) for text in row))
    console.print(drawn)


def _words(column: Column) -> list[int]:
    """Lengths of the words in a column's head, which are not broken."""
    return [len(word) for word in f"{column.title} {column.note}".split()]


def _parts(widths: Sequence[int], available: int) -> Iterator[list[int]]:
    """Columns that fit side by side, the first in every part."""
    part, used = [0], widths[0] + _GAP
    for i in range(1, len(widths)):
        if len(part) > 1 and used + widths[i] + _GAP > available:
            yield part
            part, used = [0], widths[0] + _GAP
        part.append(i)
        used += widths[i] + _GAP
    yield part


def _texts(row: Row) -> list[Text]:
    return [Text(visible(row.header)), *(_text(cell) for cell in row.cells)]


def _text(cell: Cell) -> Text:
    return Text(visible(cell.marked), style="bold" if cell.mark == "best" else "")
