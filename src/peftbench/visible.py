"""Text as it may be shown: on a terminal, on a page, in a table.

Labels, names and outputs are other people's, and a model's. A terminal obeys what stands in
them: colours, titles, the clipboard; a page shows text from right to left. Here such
characters become words about themselves.
"""

from __future__ import annotations

import re

#: Control characters but for tabs and line ends, what turns the direction of text, line ends that
#: are none, and halves of characters, which cannot be written at all.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""The text with what would not be seen, but obeyed, written out as in JSON.

    >>> print(visible("\x1b[31mred\x07"))
    \u001b[31mred\u0007
    """
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))
