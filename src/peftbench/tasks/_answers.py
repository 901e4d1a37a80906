"""Reading an answer out of what a model wrote. None means it could not be read."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable

#: A number as people write it: 7, -3, 1,200, 0.5, .5, $18. A minus sign right after a
#: digit, a letter or a bracket takes away ("10-3"), and is not the number's own.
_NUMBER = re.compile(
    r"""
    (?P<sign>(?<![\w)])[-+\N{MINUS SIGN}])?
    [$€£]?
    (?P<digits>
        (?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?
        | (?<!\w)\.[0-9]+
    )
    """,
    re.VERBOSE,
)


def label_reader(labels: tuple[str, ...]) -> Callable[[str], str | None]:
    """Read one of `labels`: the whole output, but for blanks around it, and for its case,
    unless that is all that tells it from another label.

    >>> read = label_reader(("yes", "no"))
    >>> read(" Yes\\n"), read("yes, because")
    ('yes', None)
    >>> read = label_reader(("US", "us", "them"))
    >>> read("US"), read("us"), read("Us"), read("Them")
    ('US', 'us', None, 'them')
    """
    exact = {label: label for label in labels}
    times = Counter(label.casefold() for label in exact)
    folded = {label.casefold(): label for label in exact if times[label.casefold()] == 1}

    def read(raw: str) -> str | None:
        text = raw.strip()
        return exact.get(text) or folded.get(text.casefold())

    return read


def read_number(raw: str) -> str | None:
    """Read an output that is a number and nothing else, written plainly.

    A currency sign, a per cent sign and a full stop may stand by it. A comma parts
    thousands only, so "1,2" is no number.

    >>> read_number(" 3.8 "), read_number("$1,200."), read_number("-.5"), read_number("5%")
    ('3.8', '1200', '-0.5', '5')
    >>> [read_number(raw) for raw in ("about 3", "1,2", "3 4", "")]
    [None, None, None, None]
    """
    text = raw.strip().removesuffix(".").removesuffix("%")
    found = _NUMBER.fullmatch(text)
    return _plain(found) if found else None


#: What may introduce a number, and the unit that may follow it.
_LEAD = r"(?:(?:the\s+)?(?:final\s+)?answer\s*(?:is|:|=)\s*)?"
_UNIT = r"(?:\s*[%$€£]|\s*[^\W\d_]+(?:[ /-][^\W\d_]+){0,3})?"
_QUANTITY = re.compile(
    rf"{_LEAD}(?:{_NUMBER.pattern}){_UNIT}\s*\.?", re.VERBOSE | re.IGNORECASE
)


def read_quantity(raw: str) -> str | None:
    """Read a number that may have a unit of up to four words, or "The answer is" before it.

    It is the whole first line with text. A second number leaves it undecided.

    >>> [read_quantity(raw) for raw in ("18", "$1,200.50", "18 kg", "The answer is 7 plums.")]
    ['18', '1200.50', '18', '7']
    >>> [read_quantity(raw) for raw in ("9 - 2 = 7", "7 or 8", "seven", "Tom has 7")]
    [None, None, None, None]
    """
    line = next((line for line in raw.splitlines() if line.strip()), "")
    found = _QUANTITY.fullmatch(line.strip())
    return _plain(found) if found else None


#: Digits and what may be written between and around them without a blank: a number, or a
#: fraction, a date, a time, a product, an exponent. Letters behind are a unit, or "e5".
_WRITTEN = re.compile(
    r"[-+\N{MINUS SIGN}*/:^\u00d7\u00f7.,$€£\d]*\d"
    r"[-+\N{MINUS SIGN}*/:^\u00d7\u00f7.,$€£%\d]*(?P<unit>\w*)"
)
#: The beginning of "1 000", up to its last three digits.
_THOUSANDS = re.compile(r"(?<![\w.,])[0-9]{1,3}(?:[ \u00a0\u2009\u202f][0-9]{3})*\s$")


def read_last_number(raw: str) -> str | None:
    """Read the last number in a free answer, such as a worked solution.

    It stands by itself, with at most a currency sign, a per cent sign, a unit, stars or a mark
    of punctuation at it. Where what is written last is no such number, but a fraction, a
    date, a calculation, an exponent, a decimal comma or thousands parted by blanks, nothing
    is read: a piece of it would be another number.

    >>> read_last_number("3 + 4 = 7, so she has 1,007.")
    '1007'
    >>> [read_last_number(raw) for raw in ("**-5 kg**", "$18", "a 25% discount")]
    ['-5', '18', '25']
    >>> [read_last_number(raw) for raw in ("1/2", "3e5", "1.234,56", "1 000", "10-3", "none")]
    [None, None, None, None, None, None]
    """
    found = list(_WRITTEN.finditer(raw))
    if not found or (found[-1]["unit"] and not found[-1]["unit"].isalpha()):
        return None
    start, end = found[-1].start(), found[-1].start("unit")
    while raw[start] in "*/:^\u00d7\u00f7,":
        start += 1
    if raw[start] == "." and raw[:start][-1:].isalpha():  # "No.5" has a full stop
        start += 1
    while not raw[end - 1].isdigit():
        end -= 1
    number, before = _NUMBER.fullmatch(raw, start, end), raw[:start]
    is_end_of_thousands = re.match(r"\d{3}(?!\d)", raw[start:]) and _THOUSANDS.search(
        before
    )
    if not number or is_end_of_thousands or re.search(r"\w$", before):
        return None
    return _plain(number)


_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


def plain_float(text: str) -> float | None:
    """The finite number that a text is, as other programs write one; None for anything else.

    `float` also reads "1_0", digits of other scripts, "nan" and "infinity".

    >>> plain_float("-1.5e3"), plain_float("7."), plain_float("1_0"), plain_float("nan")
    (-1500.0, 7.0, None, None)
    """
    number = float(text) if _FLOAT.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def read_text(raw: str) -> str | None:
    """Read a free answer: the whole output, if there is any text in it.

    >>> read_text(" Lena  Falk\\n"), read_text(" \\n")
    ('Lena Falk', None)
    """
    return " ".join(raw.split()) or None


def number_after(marker: str) -> Callable[[str], str | None]:
    """Read the first number after the first `marker`, on the first line with any text;
    a fraction is none.

    >>> read = number_after("####")
    >>> read("3 + 4 = 7\\n#### $1,200"), read("So she has 7."), read("#### none\\n3")
    ('1200', None, None)
    """

    def read(raw: str) -> str | None:
        line, _, _ = raw.partition(marker)[2].lstrip().partition("\n")
        found = _NUMBER.search(line)
        is_fraction = found and line[found.end() :].lstrip().startswith("/")
        return _plain(found) if found and not is_fraction else None

    return read


def _plain(number: re.Match[str]) -> str:
    """Without plus sign, currency, commas and leading zeros: what `float` reads."""
    sign = "-" if number["sign"] in ("-", "\N{MINUS SIGN}") else ""
    whole, point, decimals = number["digits"].replace(",", "").partition(".")
    return f"{sign}{whole.lstrip('0') or '0'}{point}{decimals}"
