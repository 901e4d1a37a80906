"""BoolQ, yes/no questions about a passage (Clark et al., 2019, arXiv:1905.10044).

row         {"question": "do penguins live at the north pole",
             "passage": "Penguin -- Penguins live almost only south of the equator.",
             "label": 0}
prompt      "Passage: Penguin -- Penguins live almost only south of the equator.\\n
             Question: do penguins live at the north pole?\\n
             Answer yes or no, going by the passage.\\nAnswer:"
completion  "no"
target      "no"

The SuperGLUE version (Wang et al., 2019, arXiv:1905.00537). Its test labels are hidden, so
its validation split is our test. The passage comes first: an input that is too long loses
its start, never its question.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("no", "yes")


def to_example(row: Row) -> Example:
    """Passage and question, which lacks its question mark in the data."""
    passage = text_of(row, "passage")
    question = text_of(row, "question").rstrip("?")
    answer = label_of(row, "label", {0: "no", 1: "yes"})
    return Example(
        prompt=(
            f"Passage: {passage}\n"
            f"Question: {question}?\n"
            "Answer yes or no, going by the passage.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group=passage,
    )


TASK = Task(
    description="BoolQ: yes/no questions about a passage",
    hub_id="aps/super_glue",
    subset="boolq",
    revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 9_427, "validation": 3_270},
    license="CC BY-SA 3.0",
    fields=("question", "passage", "label"),
    to_example=to_example,
    grouped_by="passage",
    read_answer=label_reader(LABELS),
    metrics=("accuracy", "f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={
        "question": "do penguins live at the north pole",
        "passage": "Penguin -- Penguins live almost only south of the equator.",
        "label": 0,
    },
)
