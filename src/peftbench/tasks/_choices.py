"""Questions with lettered choices: how they are asked, and how a letter is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from peftbench.tasks._task import Example

LETTERS = "ABCDE"

#: What may stand around a letter: brackets, quotes, Markdown's stars.
_OPEN, _CLOSE = r"""[(\[{"'“‘*_`]*""", r"""[)\]}"'”’*_`]*"""


def letters(count: int) -> tuple[str, ...]:
    """The labels of a task with so many choices."""
    return tuple(LETTERS[:count])


def choice_example(
    question: str, choices: Sequence[str], right: int, group: str
) -> Example:
    """A question, its choices on lettered lines, and the letter of `choices[right]`."""
    labels = letters(len(choices))
    texts = [choice.strip() for choice in choices]
    lines = "".join(f"{a}: {text}\n" for a, text in zip(labels, texts, strict=True))
    named = f"{', '.join(labels[:-1])} or {labels[-1]}"
    return Example(
        prompt=f"{question}\n{lines}Answer with {named}.\nAnswer:",
        completion=labels[right],
        target=labels[right],
        group=group,
        extra={"choices": texts},
    )


def letter_reader(labels: Sequence[str]) -> Callable[[str], str | None]:
    """Read the letter that an output chooses; None where it names none, or two.

    Only the first line with text is read; one that ends in a colon goes on in the next. It
    chooses a letter in one of three ways, with or without brackets, quotes or stars:

    - it is the letter, in either case, perhaps with a full stop: ``b``, ``(B)``, ``**B**.``
    - it begins with the capital letter and a mark: ``B.``, ``B) an iron nail``, ``(B) it is``
    - it says so: ``The answer is B``, ``Answer: (B)``, ``I choose option B``

    A second letter that is named as a choice (``B or C``, ``B, not C``, ``(B) (C)``) leaves
    it undecided. A capital A before a small word is an article.

    >>> read = letter_reader("ABCD")
    >>> [read(raw) for raw in ("B", " (b)\\n", "B) an iron nail", "The answer is B, as")]
    ['B', 'B', 'B', 'B']
    >>> [read(raw) for raw in ("", "A magnet", "B or C", "an iron nail", "E")]
    [None, None, None, None, None]
    """
    letter = f"([{''.join(labels)}])"
    # "A magnet" has an article, unless something has said that a letter comes.
    named = rf"{letter}(?!\w)(?!{_CLOSE}(?<=A)\s+[a-z])"
    bare = re.compile(rf"{_OPEN}{letter}{_CLOSE}\.?{_CLOSE}", re.IGNORECASE)
    begins = re.compile(
        rf"{_OPEN}{letter}(?:[)\]}}*]+(?!\w)|{_CLOSE}(?:[.,:;!]|\s*[–—-]|$))"
    )
    says = re.compile(
        r"\b(?i:answer|option|choice|choose|pick)(?:\s+(?i:is|would\s+be|must\s+be|option))?"
        rf"\s*[:=]?\s*{_OPEN}{letter}(?!\w)"
    )
    also = re.compile(
        rf"(?:[,/&(\[]|\b(?i:or|and|nor|not|both|either))\s*{_OPEN}{named}"
        rf"|(?<!\w){letter}(?=[)\]:])"
    )

    def read(raw: str) -> str | None:
        line = _first_line(raw)
        alone = bare.fullmatch(line)
        if alone:
            return alone[1].upper()
        start = begins.match(line)
        chosen = {start[1]} if start else set()
        chosen.update(found[1] for found in says.finditer(line))
        if chosen:
            chosen.update(found[1] or found[2] for found in also.finditer(line))
        return chosen.pop() if len(chosen) == 1 else None

    return read


def _first_line(raw: str) -> str:
    """The first line with text, and the next where it ends in a colon."""
    lines = [line.strip() for line in raw.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        return f"{lines[0]} {lines[1]}"
    return lines[0] if lines else ""
