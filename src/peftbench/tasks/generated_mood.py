"""Generated: what happened to two people, and the mood of one of them.

row         {"story": "Ada found a ring. Ben almost lost the map.", "asked": "Ben",
             "mood": "good"}
prompt      "Ada found a ring. Ben almost lost the map.\\nMood of Ben:"
completion  "good"
target      "good"

The other person is always in another mood, and an event that almost happened brings the
opposite one. No pair of event and thing stands in two splits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from peftbench.tasks import _generated as world
from peftbench.tasks._answers import label_reader
from peftbench.tasks._task import Example, Row, Split, Task

MOODS = tuple(world.EVENTS)


def _event(chance: random.Random, mood: str, split: Split) -> str:
    """An event of this split that leaves its person in `mood`."""
    almost = chance.random() < 0.3
    bringing = world.EVENTS[world.OPPOSITE[mood] if almost else mood]
    while True:
        event, thing = chance.choice(bringing), chance.choice(world.THINGS)
        if world.split_of(event, thing) == split:
            return f"{'almost ' if almost else ''}{event} {thing}"


def generate(split: Split) -> Sequence[Row]:
    """The rows of a split, as many of one mood as of another."""

    def row(chance: random.Random, index: int) -> Row:
        mood = MOODS[index % len(MOODS)]
        other_mood = chance.choice([other for other in MOODS if other != mood])
        asked, other = chance.sample(world.NAMES, 2)
        told = [
            f"{asked} {_event(chance, mood, split)}.",
            f"{other} {_event(chance, other_mood, split)}.",
        ]
        chance.shuffle(told)
        return {"story": " ".join(told), "asked": asked, "mood": mood}

    return world.distinct_rows("generated-mood", split, row)


def to_example(row: Row) -> Example:
    """The story and the question; the mood is the answer."""
    return Example(
        prompt=f"{row['story']}\nMood of {row['asked']}:",
        completion=row["mood"],
        target=row["mood"],
    )


TASK = Task(
    description="generated: the mood of one of two people, from what happened to them",
    hub_id=None,
    splits={"train": "train", "validation": "validation", "test": "test"},
    license="Apache-2.0",
    fields=("story", "asked", "mood"),
    to_example=to_example,
    read_answer=label_reader(MOODS),
    metrics=("accuracy", "macro_f1", "format_error_rate"),
    labels=MOODS,
    max_new_tokens=4,
    example_row={
        "story": "Ada found a ring. Ben almost lost the map.",
        "asked": "Ben",
        "mood": "good",
    },
    generate=generate,
)
