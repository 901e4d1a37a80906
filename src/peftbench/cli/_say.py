"""The one way by which plain text leaves to the terminal; `_print.Terminal` is that of rich."""

from __future__ import annotations

import sys

from peftbench.visible import visible


def say(text: object = "", *, is_aside: bool = False) -> None:
    """Print a line; an aside, such as progress, goes to stderr."""
    print(visible(str(text)), file=sys.stderr if is_aside else sys.stdout)
