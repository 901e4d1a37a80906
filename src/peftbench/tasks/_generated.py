"""The small world that the generated tasks, and the tiny model's own text, speak of.

People do things that leave them in a good, bad or neutral mood; meals are praised and
blamed; pens and shells are counted. The tiny model is pre-trained on stories of this
world (`recipes/tiny/corpus.py`), told in other sentences than the tasks use.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence

from peftbench.tasks._task import SPLITS, Row, Split

#: Rows in each split of a generated task.
SIZES: Mapping[Split, int] = {"train": 2000, "validation": 200, "test": 400}

#: Name to pronoun.
PEOPLE = {
    "Ada": "she", "Ben": "he", "Cleo": "she", "Dan": "he", "Ella": "she",
    "Finn": "he", "Gina": "she", "Hugo": "he", "Ivy": "she", "Jack": "he",
    "Kira": "she", "Liam": "he", "Mia": "she", "Noah": "he", "Olga": "she",
    "Paul": "he", "Rosa": "she", "Sam": "he", "Tess": "she", "Victor": "he",
}  # fmt: skip
NAMES = tuple(PEOPLE)

THINGS = (
    "ball", "bell", "boat", "book", "clock", "coin", "cup", "doll",
    "drum", "hat", "key", "kite", "lamp", "map", "ring", "toy",
)  # fmt: skip

#: Mood to the events that bring it; a thing follows.
EVENTS = {
    "good": (
        "found a", "won a", "got a new", "fixed the", "was given a", "earned a",
        "saved the", "enjoyed the",
    ),
    "bad": (
        "lost the", "broke the", "dropped the", "cracked the", "ruined the", "burned the",
        "missed the", "wrecked the",
    ),
    "neutral": (
        "saw a", "passed a", "held the", "drew a", "moved the", "looked at a",
        "touched the", "described a",
    ),
}  # fmt: skip

#: What almost happened brings the other mood: a coin that was almost lost is a relief.
OPPOSITE = {"good": "bad", "bad": "good", "neutral": "neutral"}

MEALS = (
    "bread", "cake", "cheese", "fish", "juice", "milk", "pasta", "pie",
    "rice", "salad", "soup", "tea",
)  # fmt: skip

#: What is said of a meal, and how much it says.
ADJECTIVES = {
    "awful": -2, "terrible": -2, "dull": -1, "weak": -1,
    "nice": 1, "tasty": 1, "great": 2, "superb": 2,
}  # fmt: skip
ADVERBS = {"a bit": 0.5, "": 1.0, "very": 1.5}

COUNTED = (
    "apples", "books", "cards", "coins", "eggs", "nuts", "pens", "pins",
    "shells", "stamps", "stones", "toys",
)  # fmt: skip


def points(adverb: str, adjective: str) -> float:
    """What an opinion is worth, from 0.2 to 9.8 points.

    >>> points("very", "great"), points("", "dull")
    (9.8, 3.4)
    """
    return round(5 + 1.6 * ADVERBS[adverb] * ADJECTIVES[adjective], 1)


def opinion(adverb: str, adjective: str) -> str:
    """The opinion in words.

    >>> opinion("very", "dull"), opinion("", "nice")
    ('very dull', 'nice')
    """
    return f"{adverb} {adjective}".strip()


def split_of(*parts: object) -> Split:
    """The one split in which a combination may be used: 3 in 5 go to training.

    >>> split_of("found a", "key")
    'train'
    """
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    train, validation, test = SPLITS
    return (train, train, train, validation, test)[digest[0] % 5]


def distinct_rows(
    task: str, split: Split, row: Callable[[random.Random, int], Row]
) -> Sequence[Row]:
    """As many rows as the split has, no two alike, the same ones every time.

    `row` makes the row at an index, and makes it anew if there is one like it. The rows
    come in random order, so that the index is not to be seen in them.
    """
    chance = random.Random(f"{task} {split} 1")
    rows: dict[tuple[object, ...], Row] = {}
    while len(rows) < SIZES[split]:
        made = row(chance, len(rows))
        rows.setdefault(tuple(made.values()), made)
    shuffled = list(rows.values())
    chance.shuffle(shuffled)
    return shuffled
