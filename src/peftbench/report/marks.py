"""The colour and the marker of a method: the same in every plot, and in its key.

The colours are those of Okabe and Ito (2008), which colour-blind people can tell apart,
without yellow and black, which vanish on one of the two backgrounds. There are fewer
colours than symbols and the two counts share no divisor, so that methods of one colour
differ in their symbol.
"""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7F7F7F")

#: Plotly's name of a symbol, and the same as an SVG path in a box of 12 by 12.
SYMBOLS = {
    "circle": "M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10z",
    "square": "M1.5 1.5h9v9h-9z",
    "diamond": "M6 0l6 6l-6 6l-6-6z",
    "triangle-up": "M6 1l5.5 10h-11z",
    "cross": "M4 0h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "x": "M3 .5l3 3l3-3l2.5 2.5l-3 3l3 3l-2.5 2.5l-3-3l-3 3l-2.5-2.5l3-3l-3-3z",
    "triangle-down": "M6 11l5.5-10h-11z",
    "pentagon": "M6 .5l5.5 4l-2.1 6.5h-6.8l-2.1-6.5z",
    "star": "M6 0l1.5 4.2h4.4l-3.5 2.7l1.3 4.4l-3.7-2.6l-3.7 2.6l1.3-4.4l-3.5-2.7h4.4z",
    "hexagon": "M6 .5l5 2.75v5.5l-5 2.75l-5-2.75v-5.5z",
    "triangle-left": "M1 6l10-5.5v11z",
    "bowtie": "M.5 1l11 10v-10l-11 10z",
    "hourglass": "M1 .5h10l-10 11h10z",
}
DASHES = ("solid", "dot", "dash", "longdash", "dashdot", "longdashdot")


@dataclass(frozen=True)
class Mark:
    """How one method is drawn."""

    colour: str
    symbol: str

    @property
    def path(self) -> str:
        """The symbol as an SVG path in a box of 12 by 12."""
        return SYMBOLS[self.symbol]


def mark(place: int) -> Mark:
    """The mark of the method at this place of the spec.

    >>> mark(0), mark(7)
    (Mark(colour='#0072B2', symbol='circle'), Mark(colour='#0072B2', symbol='pentagon'))
    """
    return Mark(COLOURS[place % len(COLOURS)], tuple(SYMBOLS)[place % len(SYMBOLS)])


def dash(place: int) -> str:
    """The line of the seed at this place of the spec."""
    return DASHES[place % len(DASHES)]
