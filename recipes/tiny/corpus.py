"""The text that the tiny model is pre-trained on. Nothing is downloaded.

docs       documentation of the Python standard library: docstrings and help topics
source     its source code
generated  short stories of the world of `peftbench.tasks._generated`

Whether a document is held out follows from a hash of its name (its text, if generated),
so that no part of a held-out document, and no docstring of a held-out file, is trained on.
"""

from __future__ import annotations

import ast
import hashlib
import random
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from peftbench.tasks import _generated as world

Source = Literal["docs", "source", "generated"]
SOURCES: tuple[Source, ...] = ("docs", "source", "generated")

#: Folders of the standard library that are tests, tables, programs or not its own.
SKIPPED = {
    "__pycache__", "encodings", "ensurepip", "idlelib", "lib2to3", "pydoc_data",
    "site-packages", "dist-packages", "test", "tests", "turtledemo",
}  # fmt: skip


@dataclass(frozen=True)
class Document:
    """A text and the name that decides whether it is held out."""

    source: Source
    name: str
    text: str

    @property
    def is_held_out(self) -> bool:
        """True for about one document in 32."""
        return hashlib.sha256(self.name.encode()).digest()[0] < 8


def standard_library() -> Iterator[Document]:
    """Documentation and sources of the running interpreter, in a fixed order."""
    from pydoc_data.topics import topics

    for topic in sorted(topics):
        yield Document("docs", f"topic {topic}", topics[topic].strip() + "\n")
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if SKIPPED.isdisjoint(name.parts):
            text = path.read_text("utf-8", errors="replace")
            yield Document("source", name.as_posix(), text)
            yield from _docstrings(name.as_posix(), text)


def _docstrings(name: str, text: str) -> Iterator[Document]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    try:
        nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    except SyntaxError:  # a file kept as an example of one
        return
    found = [
        f"{getattr(node, 'name', name)}\n{docstring}\n"
        for node in nodes
        if (docstring := ast.get_docstring(node))
    ]
    if found:
        yield Document("docs", name, "\n".join(found))


def stories(seed: str) -> Iterator[Document]:
    """Stories without end; the same ones for the same seed."""
    chance = random.Random(seed)
    while True:
        text = chance.choice(KINDS)(chance)
        yield Document("generated", text, text)


# --- Moods: an event brings a feeling, an event that almost happened the other one. ---

FEELINGS = {
    "good": ("glad", "happy", "pleased"),
    "bad": ("sad", "upset", "gloomy"),
    "neutral": ("calm", "quiet", "neutral"),
}
DAYS = {"good": "a good day", "bad": "a bad day", "neutral": "a neutral day"}


def _event(chance: random.Random) -> tuple[str, str]:
    """An event in words, and the mood it brings."""
    mood = chance.choice(tuple(world.EVENTS))
    words = f"{chance.choice(world.EVENTS[mood])} {chance.choice(world.THINGS)}"
    if chance.random() < 0.3:
        return f"almost {words}", world.OPPOSITE[mood]
    return words, mood


def mood_at_once(chance: random.Random) -> str:
    """Each event is followed by its feeling."""
    parts = []
    for name in chance.sample(world.NAMES, chance.randint(2, 4)):
        event, mood = _event(chance)
        feeling = chance.choice(FEELINGS[mood])
        pronoun = world.PEOPLE[name]
        parts.append(
            chance.choice((
                f"{name} {event} and was {feeling}.",
                f"{name} {event}, so {pronoun} felt {feeling}.",
                f"{name} was {feeling} because {pronoun} {event}.",
                f"Why was {name} {feeling}? Because {pronoun} {event}.",
                f"It was {DAYS[mood]} for {name}, who {event}.",
            ))
        )  # fmt: skip
    return " ".join(parts) + "\n"


def mood_at_the_end(chance: random.Random) -> str:
    """First all events, then all feelings, in another order."""
    people = chance.sample(world.NAMES, chance.randint(2, 3))
    events = {name: _event(chance) for name in people}
    told = " ".join(f"{name} {event}." for name, (event, _) in events.items())
    chance.shuffle(people)
    form = chance.choice(("feeling", "day", "evening"))
    if form == "feeling":
        ends = [f"{name} was {chance.choice(FEELINGS[events[name][1]])}" for name in people]
        return f"{told} In the end {', '.join(ends)}.\n"
    if form == "day":
        ends = [f"{name} had {DAYS[events[name][1]]}" for name in people]
        return f"{told} So {' and '.join(ends)}.\n"
    said = [
        f'"I am {chance.choice(FEELINGS[events[name][1]])}," said {name}.'
        for name in people
    ]
    return f"{told} {' '.join(said)}\n"


def mood_groups(chance: random.Random) -> str:
    """Events of one mood, listed."""
    mood = chance.choice(tuple(FEELINGS))
    events: list[str] = []
    while len(events) < 4:
        event, brings = _event(chance)
        if brings == mood:
            events.append(event)
    name = chance.choice(world.NAMES)
    return f"{name} is {chance.choice(FEELINGS[mood])} if {name} {', or '.join(events)}.\n"


# --- Meals: opinions are worth points, a meal of two dishes the mean of both. ---


def _opinion(chance: random.Random) -> tuple[str, float]:
    adverb = chance.choice(tuple(world.ADVERBS))
    adjective = chance.choice(tuple(world.ADJECTIVES))
    return world.opinion(adverb, adjective), world.points(adverb, adjective)


def meal_points(chance: random.Random) -> str:
    """Dishes, opinions and points, one after another."""
    parts = []
    for dish in chance.sample(world.MEALS, chance.randint(2, 4)):
        words, worth = _opinion(chance)
        name = chance.choice(world.NAMES)
        parts.append(
            chance.choice((
                f"{name} found the {dish} {words} and gave it {worth} points.",
                f"The {dish} was {words}, so it got {worth} points.",
                f"{worth} points went to the {dish}, which was {words}.",
                f"A dish that is {words} gets {worth} points.",
            ))
        )  # fmt: skip
    return " ".join(parts) + "\n"


def meal_of_two(chance: random.Random) -> str:
    """Two opinions and the mean of their points, with or without the way to it."""
    first, second = chance.sample(world.MEALS, 2)
    (words, worth), (other_words, other_worth) = _opinion(chance), _opinion(chance)
    mean = round((worth + other_worth) / 2, 1)
    told = f"The {first} was {words} and the {second} was {other_words}."
    name = chance.choice(world.NAMES)
    return chance.choice((
        f"{told} That is {worth} and {other_worth}, so the meal got {mean} points.\n",
        f"{told} So {name} gave the meal {mean} points.\n",
        f"{name} ate {first} and {second}. {told} The meal was worth {mean} points.\n",
        f"{told} {mean} points for the meal, said {name}.\n",
    ))  # fmt: skip


# --- Numbers: small ones are commoner, as in the world. ---


def _terms(chance: random.Random) -> tuple[int, int]:
    """Two numbers from 2 with a sum of at most 99."""
    total = chance.randint(4, chance.choice((10, 20, 30, 50, 99)))
    first = chance.randint(2, total - 2)
    return first, total - first


def sums_written(chance: random.Random) -> str:
    """Bare sums and differences."""
    parts = []
    for _ in range(chance.randint(3, 6)):
        first, second = _terms(chance)
        total = first + second
        parts.append(
            chance.choice((
                f"{first} + {second} = {total}",
                f"{total} - {first} = {second}",
                f"{first} plus {second} is {total}",
                f"{total} minus {first} is {second}",
            ))
        )  # fmt: skip
    return chance.choice((". ", ", ", "\n")).join(parts) + ".\n"


def sums_told(chance: random.Random) -> str:
    """Things that come and go, and how many there were in the end."""
    parts = []
    for name in chance.sample(world.NAMES, chance.randint(1, 3)):
        things = chance.choice(world.COUNTED)
        first, second = _terms(chance)
        total = first + second
        if chance.random() < 0.5:
            parts.append(
                chance.choice((
                    f"There were {first} {things} in the box. {name} put in {second} more. "
                    f"Now the box held {total} {things}.",
                    f"{name} had {first} {things} and took {second} more, "
                    f"which made {total} {things}.",
                    f"{name} counted {first} {things} on one day and {second} on the next, "
                    f"so {total} {things} in all.",
                    f"With {first} {things} from home and {second} from the shop {name} "
                    f"had {total}.",
                ))
            )  # fmt: skip
        else:
            parts.append(
                chance.choice((
                    f"There were {total} {things} in the box. {name} took out {first}. "
                    f"Now the box held {second} {things}.",
                    f"{name} had {total} {things} and gave {first} of them away, "
                    f"which left {second} {things}.",
                    f"Of {total} {things} {name} lost {first}, so {second} {things} remained.",
                    f"{name} brought {total} {things} and sold {first}. "
                    f"Then {name} had {second}.",
                ))
            )  # fmt: skip
    return " ".join(parts) + "\n"


def order(chance: random.Random) -> str:
    """Which of two numbers is less, and what comes next."""
    parts = []
    for _ in range(chance.randint(2, 5)):
        small, large = sorted(chance.sample(range(100), 2))
        parts.append(
            chance.choice((
                f"{small} is less than {large}.",
                f"{large} is more than {small}.",
                f"After {small} comes {small + 1}.",
                f"Before {large} comes {large - 1}.",
            ))
        )  # fmt: skip
    return " ".join(parts) + "\n"


# --- Places: to find again what was said of one of several people. ---

PLACES = ("garden", "house", "kitchen", "school", "shop", "street", "tower", "yard")


def places(chance: random.Random) -> str:
    """Who is where, holding what; then one of them is asked for."""
    people = chance.sample(world.NAMES, chance.randint(2, 4))
    at = {name: chance.choice(PLACES) for name in people}
    holds = {name: chance.choice(world.THINGS) for name in people}
    told = " ".join(
        f"{name} is in the {at[name]} with the {holds[name]}." for name in people
    )
    name = chance.choice(people)
    return chance.choice((
        f"{told} Where is {name}? In the {at[name]}.\n",
        f"{told} What does {name} have? The {holds[name]}.\n",
        f"{told} So the {holds[name]} of {name} is in the {at[name]}.\n",
    ))  # fmt: skip


KINDS: tuple[Callable[[random.Random], str], ...] = (
    mood_at_once,
    mood_at_the_end,
    mood_at_the_end,
    mood_groups,
    meal_points,
    meal_of_two,
    meal_of_two,
    sums_written,
    sums_written,
    sums_told,
    sums_told,
    sums_told,
    order,
    places,
)
