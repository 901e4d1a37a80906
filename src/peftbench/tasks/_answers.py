"""Reading an answer out of what a model wrote. None means it could not be read."""

from __future__ import annotations

import re
from collections.abc import Callable

#: A decimal number as people write it: 7, -3, 1,200, 0.5, .5, 2.
_NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?<=\d)")


def label_reader(labels: tuple[str, ...]) -> Callable[[str], str | None]:
    """Read one of `labels`: the whole output, but for blanks around it and its case.

    >>> read = label_reader(("yes", "no"))
    >>> read(" Yes\\n"), read("yes, because")
    ('yes', None)
    """
    by_text = {label.casefold(): label for label in labels}
    return lambda raw: by_text.get(raw.strip().casefold())


def read_number(raw: str) -> str | None:
    """Read an output that is a number and nothing else, written plainly.

    >>> read_number(" 3.8 "), read_number("1,200"), read_number("about 3")
    ('3.8', '1200', None)
    """
    text = raw.strip()
    return _plain(text) if _NUMBER.fullmatch(text) else None


def read_last_number(raw: str) -> str | None:
    """Read the last number in a free answer, such as a worked solution.

    >>> read_last_number("3 + 4 = 7, so she has 1,007.")
    '1007'
    >>> read_last_number("I do not know.") is None
    True
    """
    found = [match.group() for match in _NUMBER.finditer(raw) if match.group()]
    return _plain(found[-1]) if found else None


def _plain(number: str) -> str:
    return number.replace(",", "").replace("\N{MINUS SIGN}", "-").lstrip("+")
