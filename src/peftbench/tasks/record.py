"""ReCoRD, the entity that is missing from a statement about the news (Zhang et al., 2018,
arXiv:1810.12885).

row         {"passage": "Lena Falk won the race in Oslo.\\n@highlight\\nFalk is 21",
             "query": "The win is the first for @placeholder.", "entities": ["Lena Falk",
             "Oslo", "Falk"], "answers": ["Lena Falk", "Falk"], "idx": {"passage": 0,
             "query": 0}}
prompt      "Passage: Lena Falk won the race in Oslo.\\n- Falk is 21\\n
             Entities: Lena Falk, Oslo, Falk\\n
             Statement: The win is the first for @placeholder.\\n
             Question: Which of the entities does @placeholder stand for?\\nAnswer:"
completion  "Lena Falk"
target      "Lena Falk"

The SuperGLUE version (Wang et al., 2019, arXiv:1905.00537). Its test answers are hidden, so
its validation split is our test. A query is one row and is scored against all its answers,
by the official scorer's token F1 and exact match. In training alone it becomes one example
for each of them, after the validation part is cut. The queries of a passage form a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from peftbench.errors import DataError
from peftbench.tasks._answers import read_text
from peftbench.tasks._fields import text_of, texts_of
from peftbench.tasks._task import Example, Row, Task


def to_example(row: Row) -> Example:
    """Passage, entities and statement; any of the answers is right."""
    passage = text_of(row, "passage")
    answers = tuple(dict.fromkeys(texts_of(row, "answers")))
    if not answers:
        raise DataError(
            "'answers' is empty: the row is unlabelled, as rows of the hub's hidden test "
            "split are. Use a split that has answers."
        )
    marked = passage.replace("@highlight\n", "- ")
    entities = ", ".join(texts_of(row, "entities"))
    return Example(
        prompt=(
            f"Passage: {marked}\n"
            f"Entities: {entities}\n"
            f"Statement: {text_of(row, 'query')}\n"
            "Question: Which of the entities does @placeholder stand for?\n"
            "Answer:"
        ),
        completion=answers[0],
        target=answers[0],
        group=passage,
        references=answers,
    )


def expand(example: Example) -> Sequence[Example]:
    """One training example for every right answer."""
    return [
        replace(example, completion=answer, target=answer) for answer in example.references
    ]


TASK = Task(
    description="ReCoRD: the entity that is missing from a statement about the news",
    hub_id="aps/super_glue",
    subset="record",
    revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 100_730, "validation": 10_000},
    license="other (ReCoRD's own terms; the hub's SuperGLUE card)",
    fields=("passage", "query", "entities", "answers"),
    to_example=to_example,
    grouped_by="passage",
    expand=expand,
    read_answer=read_text,
    metrics=("token_f1", "exact_match"),
    max_new_tokens=32,
    example_row={
        "passage": "Lena Falk won the race in Oslo.\n@highlight\nFalk is 21",
        "query": "The win is the first for @placeholder.",
        "entities": ["Lena Falk", "Oslo", "Falk"],
        "answers": ["Lena Falk", "Falk"],
    },
)
