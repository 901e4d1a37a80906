"""Generated: someone gains or loses things; how many are there now?

row         {"story": "Ada owns 14 shells and gets 5 more.", "things": "shells",
             "answer": 19}
prompt      "Ada owns 14 shells and gets 5 more.\\nHow many shells?"
completion  "19"
target      "19"

Numbers are at least 2 and at most `LARGEST`. No sum stands in two splits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from peftbench.tasks import _generated as world
from peftbench.tasks._answers import read_number
from peftbench.tasks._task import Example, Row, Split, Task

LARGEST = 30

GAINS = ("gets {} more", "finds {} more", "buys {} more", "makes {} more")
LOSSES = ("loses {}", "sells {}", "breaks {}", "drops {}")


def generate(split: Split) -> Sequence[Row]:
    """The rows of a split; gains and losses take turns."""

    def row(chance: random.Random, index: int) -> Row:
        gains = index % 2 == 0
        while True:
            total = chance.randint(4, LARGEST)
            part = chance.randint(2, total - 2)
            before, after = (part, total) if gains else (total, part)
            if world.split_of(before, after) == split:
                break
        change = chance.choice(GAINS if gains else LOSSES).format(abs(after - before))
        things = chance.choice(world.COUNTED)
        story = f"{chance.choice(world.NAMES)} owns {before} {things} and {change}."
        return {"story": story, "things": things, "answer": after}

    return world.distinct_rows("generated-sums", split, row)


def to_example(row: Row) -> Example:
    """The story and the question; the number is the answer."""
    answer = str(row["answer"])
    return Example(
        prompt=f"{row['story']}\nHow many {row['things']}?",
        completion=answer,
        target=answer,
    )


TASK = Task(
    description="generated: how many things someone has after a gain or a loss",
    hub_id=None,
    splits={"train": "train", "validation": "validation", "test": "test"},
    license="Apache-2.0",
    fields=("story", "things", "answer"),
    to_example=to_example,
    read_answer=read_number,
    metrics=("numeric_match", "format_error_rate"),
    max_new_tokens=6,
    example_row={
        "story": "Ada owns 14 shells and gets 5 more.",
        "things": "shells",
        "answer": 19,
    },
    generate=generate,
)
