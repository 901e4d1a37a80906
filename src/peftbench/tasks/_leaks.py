"""What stands in two splits: prompts, word for word or nearly so, and groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Literal

from peftbench.spec.facts import Leak
from peftbench.tasks._task import SPLITS, Example, Split

#: Punctuation. Signs of arithmetic before a number are none: "3 - 4" is not "3 * 4".
_PUNCTUATION = re.compile(r"(?![-*/%]\s*\d)[^\w\s+=<>^|~$€£]|_")


def normalised(text: str) -> str:
    """Text without case, punctuation and repeated white space.

    >>> normalised("A  good film ."), normalised("a good film"), normalised("3 - 4")
    ('a good film', 'a good film', '3 - 4')
    """
    return " ".join(_PUNCTUATION.sub(" ", text.casefold()).split())


def _normalised_group(row: Example) -> str | None:
    return None if row.group is None else normalised(row.group) or row.group


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
    """Prompts that stand in two splits but for case, punctuation and white space; those
    that agree word for word are among them."""
    return shared(examples, lambda row: normalised(row.prompt))


def shared_groups(examples: Mapping[Split, Sequence[Example]]) -> dict[str, int]:
    """Groups (passages, premises) with rows in two splits, normalised as prompts are."""
    return shared(examples, _normalised_group)
