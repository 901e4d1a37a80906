"""What stands in two splits: prompts, word for word or nearly so, and groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Literal
from unicodedata import category, normalize

from peftbench.spec.facts import Leak
from peftbench.tasks._task import SPLITS, Example, Split


def normalised(text: str) -> str:
    """What counts as the same text: without case, punctuation and repeated white space, and
    whichever of several characters that look alike it is written with.

    Letters, their marks, digits and symbols stay: they are what texts differ in. All
    punctuation stands for itself where there is nothing else.

    >>> normalised("A  good film ."), normalised("a good film"), normalised("3 - 4")
    ('a good film', 'a good film', '3 - 4')
    >>> normalised("3 \u00d7 4") == normalised("3 \u00f7 4"), normalised("caf\u00e9") == "cafe"
    (False, False)
    >>> normalised("\uff43\u0430\u200bfe\u0301\xa0!") == normalised("Caf\u00e9")
    True
    """
    folded = text.casefold()
    if not folded.isascii():
        folded = normalize("NFKC", normalize("NFKC", text).casefold()).translate(_ALIKE)
    folded = folded.translate(_WITHOUT_PUNCTUATION)
    if _GREEK.search(folded):
        folded = _LATIN_WORD.sub(lambda word: word[0].translate(_AS_LATIN), folded)
    found = _PUNCTUATION.sub(" ", normalize("NFC", folded))
    return " ".join(found.split()) or text


class _ByCharacter(dict[int, str | None]):
    """A table for `str.translate` that works out a character when it is first met."""

    def __init__(self, work_out: Callable[[str], str | None]) -> None:
        self._work_out = work_out

    def __missing__(self, code: int) -> str | None:
        self[code] = self._work_out(chr(code))
        return self[code]


def _without_punctuation(character: str) -> str | None:
    """A blank for punctuation, but for signs that may be of arithmetic; nothing for what is
    not seen. Other characters stand for themselves."""
    kind = category(character)
    if character in _SIGNS:
        return character
    if kind == "Cf" or character in _UNSEEN:
        return None
    is_blank = kind[0] == "P" or kind == "Cc" or character in "`\u00b4\u2800"
    return " " if is_blank else character


#: Signs of arithmetic where a number follows, as in "3 - 4"; else punctuation.
_SIGNS = "-*/%"
_PUNCTUATION = re.compile(rf"[{_SIGNS}](?!\s*\d)")
#: Selectors of variants and fillers, which are marks and letters by their category.
_UNSEEN = frozenset(
    map(chr, (*range(0xFE00, 0xFE10), 0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5))
)
_WITHOUT_PUNCTUATION = _ByCharacter(_without_punctuation)

#: Letters of other alphabets that look like Latin ones, in one case or the other, and signs.
_ALIKE = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445"
    "\u0456\u0458\u0455\u0501\u051b\u051d\u04bb\u04cf\u0475\u04af"
    "\u0585\u03bf\u0251\u0261\u2010\u2011\u2012\u2013\u2014\u2212\u2044\u2215\u2217",
    "abekmhopctyxijsdqwhlvyooag------//*",
)
#: Greek ones are symbols of their own ("\u03b1 = 1"), unless they stand in a word with Latin ones.
_GREEK = re.compile("[\u03b1-\u03c9]")
_LATIN_WORD = re.compile(r"\w*[a-z]\w*")
_AS_LATIN = str.maketrans(
    "\u03b1\u03b5\u03b9\u03ba\u03bd\u03c1\u03c4\u03c5\u03c7", "aeikvptyx"
)


def _normalised_group(row: Example) -> str | None:
    return None if row.group is None else normalised(row.group)


def shared(
    examples: Mapping[Split, Sequence[Example]], text_of: Callable[[Example], str | None]
) -> dict[str, int]:
    """How many distinct texts stand in two splits; None is no text.

    The keys are "train/validation", "train/test" and "validation/test".
    """
    texts = {
        split: {text for row in examples[split] if (text := text_of(row)) is not None}
        for split in SPLITS
    }
    return {
        f"{first}/{second}": len(texts[first] & texts[second])
        for first, second in combinations(SPLITS, 2)
    }


def leaks(
    what: Literal["prompts", "normalised prompts", "groups"], counts: Mapping[str, int]
) -> tuple[Leak, ...]:
    """What `shared` counted, as a record tells it."""
    return tuple(
        Leak(what=what, splits=_pair(pair), count=count) for pair, count in counts.items()
    )


def _pair(pair: str) -> tuple[str, str]:
    first, _, second = pair.partition("/")
    return first, second


def shared_prompts(examples: Mapping[Split, Sequence[Example]]) -> dict[str, int]:
    """Prompts that stand word for word in two splits."""
    return shared(examples, lambda row: row.prompt)


def shared_normalised_prompts(
    examples: Mapping[Split, Sequence[Example]],
) -> dict[str, int]:
    """Prompts that stand in two splits, as `normalised` has them; those that agree word for
    word are among them."""
    return shared(examples, lambda row: normalised(row.prompt))


def shared_groups(examples: Mapping[Split, Sequence[Example]]) -> dict[str, int]:
    """Groups (passages, premises) with rows in two splits, normalised as prompts are."""
    return shared(examples, _normalised_group)
