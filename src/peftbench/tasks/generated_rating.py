"""Generated: two dishes in words, and what the meal is worth from 0.2 to 9.8.

row         {"first": "very nice soup", "second": "a bit awful tea", "score": 5.4}
prompt      "Menu: very nice soup, a bit awful tea\\nScore:"
completion  "5.4"
target      "5.4"

The score is the mean of what `world.points` gives for either opinion. No pair of opinions
stands in two splits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from peftbench.tasks import _generated as world
from peftbench.tasks._answers import read_number
from peftbench.tasks._task import Example, Row, Split, Task

OPINIONS = tuple(
    (adverb, adjective) for adverb in world.ADVERBS for adjective in world.ADJECTIVES
)


def generate(split: Split) -> Sequence[Row]:
    """The rows of a split; which of two opinions comes first does not change its split."""

    def row(chance: random.Random, index: int) -> Row:  # noqa: ARG001
        while True:
            pair = [chance.choice(OPINIONS), chance.choice(OPINIONS)]
            if world.split_of(*sorted(pair)) == split:
                break
        first, second = (
            f"{world.opinion(*words)} {dish}"
            for words, dish in zip(pair, chance.sample(world.MEALS, 2), strict=True)
        )
        score = round(sum(world.points(*words) for words in pair) / 2, 1)
        return {"first": first, "second": second, "score": score}

    return world.distinct_rows("generated-rating", split, row)


def to_example(row: Row) -> Example:
    """The two dishes; the score, with one decimal, is the answer."""
    score = f"{row['score']:.1f}"
    return Example(
        prompt=f"Menu: {row['first']}, {row['second']}\nScore:",
        completion=score,
        target=score,
    )


TASK = Task(
    description="generated: the score of a meal, from opinions on its two dishes",
    hub_id=None,
    splits={"train": "train", "validation": "validation", "test": "test"},
    license="Apache-2.0",
    fields=("first", "second", "score"),
    to_example=to_example,
    read_answer=read_number,
    metrics=("pearson", "spearman", "format_error_rate"),
    max_new_tokens=6,
    example_row={"first": "very nice soup", "second": "a bit awful tea", "score": 5.4},
    generate=generate,
)
