"""Reading the fields of a row. A wrong value raises `DataError`; the loader adds where."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from peftbench.errors import DataError
from peftbench.tasks._task import Row


def text_of(row: Row, field: str) -> str:
    """The text in `field`, without blanks around it."""
    value = row[field]
    if not isinstance(value, str):
        raise DataError(f"{field!r} must be text; found {shown(value)}.")
    return value.strip()


def texts_of(row: Row, field: str) -> list[str]:
    """The texts in the list `field`, each without blanks around it."""
    value = row[field]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise DataError(f"{field!r} must be a list of texts; found {shown(value)}.")
    return [text.strip() for text in value]


def label_of(row: Row, field: str, names: Mapping[Any, str]) -> str:
    """Our name of the label in `field`, from `names`, which maps the hub's values."""
    value = row[field]
    try:
        return names[value]
    except (KeyError, TypeError):
        pass
    if value == -1:
        raise DataError(
            f"{field!r} is -1: the row is unlabelled, as rows of the hub's hidden test "
            "splits are. Use a split that has labels."
        )
    allowed = ", ".join(f"{key!r} ({name})" for key, name in names.items())
    raise DataError(f"{field!r} is {shown(value)}; allowed: {allowed}.")


def number_of(row: Row, field: str) -> Decimal:
    """The finite number in `field`, which may be written as text."""
    value = row[field]
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise DataError(f"{field!r} must be a finite number; found {shown(value)}.")
    return number


def shown(value: object) -> str:
    """A value as an error message shows it: on one line, and not for long.

    >>> shown("yes"), len(shown("long " * 100))
    ("'yes'", 80)
    """
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
