"""How a report writes numbers. Every format calls these, so no two can disagree.

Scores are multiplied by 100, fractions and correlations alike, and have one decimal.
Prefixes are decimal: 1 MB is 1,000,000 bytes, as in the constants of PSCP.
"""

from __future__ import annotations

from peftbench.scoring.summary import Interval

#: Stands where there is no number. A note beside it says why.
NOTHING = "–"

_PREFIXES = (
    (1e18, "E"),
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
)


def decimals(value: float, digits: int) -> str:
    """A fixed number of decimals, with a real minus sign and no negative zero.

    >>> decimals(-1.25, 1), decimals(-0.01, 1)
    ('−1.2', '0.0')
    """
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-")


def points(value: float | None) -> str:
    """A number that is already in points, such as a mean score or PSCP.

    >>> points(88.351), points(None)
    ('88.4', '–')
    """
    return NOTHING if value is None else decimals(value, 1)


def score(value: float | None) -> str:
    """A score in its own unit, shown in points.

    >>> score(0.88351)
    '88.4'
    """
    return points(None if value is None else 100 * value)


def interval(value: Interval | None) -> str:
    """Mean ± half the width of the interval, where there is one.

    >>> interval(Interval(mean=0.884, low=0.872, high=0.896, seeds=3))
    '88.4 ± 1.2'
    """
    if value is None:
        return NOTHING
    if value.half_width is None:
        return score(value.mean)
    return f"{score(value.mean)} ± {score(value.half_width)}"


def rank(value: float | None) -> str:
    """An average rank.

    >>> rank(1.5)
    '1.50'
    """
    return NOTHING if value is None else decimals(value, 2)


def factor(value: float | None) -> str:
    """A factor of PSCP, between 0 and 1.

    >>> factor(0.98611)
    '0.986'
    """
    return NOTHING if value is None else decimals(value, 3)


def count(value: int | None) -> str:
    """A whole number with separators.

    >>> count(14680064)
    '14,680,064'
    """
    return NOTHING if value is None else decimals(value, 0)


def si(value: float | None, unit: str) -> str:
    """Three significant digits with a decimal prefix.

    >>> si(999_600, "B"), si(0.01234, "s"), si(512, "B"), si(0, "B")
    ('1.00 MB', '12.3 ms', '512 B', '0 B')
    """
    if value is None:
        return NOTHING
    rounded = float(f"{value:.3g}")
    if not rounded:
        return f"0 {unit}"
    size, prefix = next(
        (pair for pair in _PREFIXES if abs(rounded) >= pair[0] * (1 - 1e-9)), _PREFIXES[-1]
    )
    scaled = rounded / size
    whole = size == 1 and float(value).is_integer()
    digits = 0 if whole else max(0, 3 - len(str(int(abs(scaled)))))
    return f"{decimals(scaled, digits)} {prefix}{unit}"


def share(part: float, whole: float) -> str:
    """A percentage with as many decimals as it takes to show three digits.

    >>> share(3, 1000), share(1, 3), share(1, 1)
    ('0.300 %', '33.3 %', '100 %')
    """
    percentage = 100 * part / whole
    digits = 0 if percentage >= 99.95 else 1 if percentage >= 10 else 3
    return "0 %" if not part else f"{decimals(percentage, digits)} %"
