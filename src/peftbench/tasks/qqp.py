"""QQP, whether two questions ask the same (Quora Question Pairs; in GLUE, Wang et al.,
2019, arXiv:1804.07461).

row         {"question1": "How do I learn to swim?", "question2": "What is the best way to
             learn swimming?", "label": 1, "idx": 0}
prompt      "Question 1: How do I learn to swim?\\n
             Question 2: What is the best way to learn swimming?\\n
             Question: Do the two questions ask the same? Answer yes or no.\\nAnswer:"
completion  "yes"
target      "yes"

The GLUE version. Its test labels are hidden, so its validation split is our test.
"not_duplicate" and "duplicate" become no and yes; F1 is that of yes.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("no", "yes")


def to_example(row: Row) -> Example:
    """Two questions; the answer is whether they ask the same."""
    first, second = text_of(row, "question1"), text_of(row, "question2")
    answer = label_of(row, "label", {0: "no", 1: "yes"})
    return Example(
        prompt=(
            f"Question 1: {first}\n"
            f"Question 2: {second}\n"
            "Question: Do the two questions ask the same? Answer yes or no.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group="\n".join(sorted((first, second))),
    )


TASK = Task(
    description="QQP: whether two questions ask the same",
    hub_id="nyu-mll/glue",
    subset="qqp",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 363_846, "validation": 40_430},
    license="other (Quora's terms; the hub's GLUE card)",
    fields=("question1", "question2", "label"),
    to_example=to_example,
    grouped_by="pair of questions",
    read_answer=label_reader(LABELS),
    metrics=("accuracy", "f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={
        "question1": "How do I learn to swim?",
        "question2": "What is the best way to learn swimming?",
        "label": 1,
    },
)
