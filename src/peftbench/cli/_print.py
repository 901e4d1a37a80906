"""Tables of a report on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from peftbench.report.table import Cell, Row, Table

_STYLES = {"best": "bold", "tied": "", "": ""}


def print_table(table: Table, console: Console) -> None:
    """The same table as in the report."""
    drawn = RichTable(title=table.title, title_justify="left", header_style="bold")
    for column in table.columns:
        title = f"{column.title}\n{column.note}" if column.note else column.title
        drawn.add_column(Text(title), justify="right" if column.is_number else "left")
    for row in table.rows:
        drawn.add_row(*_texts(row))
    for row in table.baselines:
        drawn.add_row(*_texts(row), style="dim")
    console.print(drawn)
    for note in (table.caption, *table.notes):
        console.print(Text(note, style="dim"))


def plain_table(console: Console, titles: list[str], rows: list[list[str]]) -> None:
    """A table of words; numbers, which begin with a digit, stand to the right."""
    drawn = RichTable(box=None, header_style="bold", pad_edge=False)
    for i, title in enumerate(titles):
        numeric = bool(rows) and all(row[i][:1].isdigit() or row[i] == "–" for row in rows)
        drawn.add_column(title, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(text) for text in row))
    console.print(drawn)


def _texts(row: Row) -> list[Text]:
    return [Text(row.header), *(_text(cell) for cell in row.cells)]


def _text(cell: Cell) -> Text:
    mark = " †" if cell.mark == "tied" else ""
    note = f" ({cell.note})" if cell.note else ""
    return Text(f"{cell.text}{mark}{note}", style=_STYLES[cell.mark])
