"""Prompts from a template: text with the names of columns in braces, and nothing else."""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal

from peftbench.errors import DataError, InvalidSpec
from peftbench.spec.task_file import value_text
from peftbench.tasks._fields import shown
from peftbench.tasks._task import Row


@dataclass(frozen=True)
class Template:
    """A template, parsed: pieces of text, each before a column or the end.

    >>> Template.parse("{{Review}}: {text}").render({"text": " fine "})
    '{Review}: fine'
    """

    pieces: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises `InvalidSpec` for braces that do not pair, and for anything in them that
        is not a column's name: no attributes are looked up, and no code is run."""
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise InvalidSpec(
                f"prompt: {error}. Columns stand in braces, {{text}}; a brace of the text "
                "itself is written twice, {{ and }}."
            ) from error
        for _, column, form, conversion in parsed:
            if column == "" or form or conversion:
                raise InvalidSpec(
                    f"prompt: {{{column or ''}{'!' + conversion if conversion else ''}"
                    f"{':' + form if form else ''}}} is not the name of a column; braces hold "
                    "a name and nothing else."
                )
        return cls(tuple((literal, column) for literal, column, _, _ in parsed))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a row must have, each once."""
        return tuple(dict.fromkeys(c for _, c in self.pieces if c is not None))

    def render(self, row: Row) -> str:
        """The text for one row; raises `DataError` for a value that is no text or number."""
        return "".join(
            literal + ("" if column is None else cell_text(row, column))
            for literal, column in self.pieces
        )


def cell_text(row: Row, column: str) -> str:
    """A value as text, without blanks around it."""
    value = row[column]
    if isinstance(value, int | float | Decimal):
        is_text = math.isfinite(value)
    else:
        is_text = isinstance(value, str | date | time)
    if not is_text:
        raise DataError(
            f"{column!r} must be text or a finite number; found {shown(value)}. Fill it in, "
            "or leave the row out."
        )
    return value_text(value)
