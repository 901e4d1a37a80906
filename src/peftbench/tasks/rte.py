"""RTE, recognising textual entailment (Dagan et al., 2006, and later RTE challenges).

row         {"sentence1": "Maria Lund opened the new bridge in Oslo on Friday.",
             "sentence2": "A bridge was opened in Oslo.", "label": 0}
prompt      "Premise: Maria Lund opened the new bridge in Oslo on Friday.\\n
             Hypothesis: A bridge was opened in Oslo.\\n
             Question: Given the premise, must the hypothesis be true? Answer yes or no.\\n
             Answer:"
completion  "yes"
target      "yes"

The GLUE version (Wang et al., 2019, arXiv:1804.07461). Its test labels are hidden, so its
validation split is our test. "entailment" and "not_entailment" become yes and no: the same
question as in `mnli`, whose "maybe" and "no" are both "no" here. F1 is that of yes.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("no", "yes")


def to_example(row: Row) -> Example:
    """Premise, hypothesis and question; the answer is whether one follows."""
    premise = text_of(row, "sentence1")
    answer = label_of(row, "label", {0: "yes", 1: "no"})
    return Example(
        prompt=(
            f"Premise: {premise}\n"
            f"Hypothesis: {text_of(row, 'sentence2')}\n"
            "Question: Given the premise, must the hypothesis be true? "
            "Answer yes or no.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group=premise,
    )


TASK = Task(
    description="RTE: whether a hypothesis follows from a premise",
    hub_id="nyu-mll/glue",
    subset="rte",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 2_490, "validation": 277},
    license="other (the RTE challenges' own terms; the hub's GLUE card)",
    fields=("sentence1", "sentence2", "label"),
    to_example=to_example,
    grouped_by="premise",
    read_answer=label_reader(LABELS),
    metrics=("accuracy", "f1"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={
        "sentence1": "Maria Lund opened the new bridge in Oslo on Friday.",
        "sentence2": "A bridge was opened in Oslo.",
        "label": 0,
    },
)
